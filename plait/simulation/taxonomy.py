"""The market's category tree and word lists, read from the package's data files."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIBLING_LEAF = 0.4
"""Similarity of two leaves under one second-level category."""
SIBLING_BRANCH = 0.12
"""Similarity of two leaves under one first-level category only."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One third-level category; names are (Chinese, English)."""

    path: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
    words: tuple[tuple[str, ...], tuple[str, ...]]
    """What its items are about, in Chinese and in English."""
    games: bool


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """All leaves, and how near they are to each other."""

    leaves: tuple[Leaf, ...]
    branch: NDArray[np.int64]
    """First-level category of each leaf."""
    middle: NDArray[np.int64]
    """Second-level category of each leaf."""
    games: NDArray[np.bool_]
    """Which leaves are games."""
    similarity: NDArray[np.float32]
    """[leaves, leaves]: 1 for itself, less for siblings, 0 elsewhere."""


@cache
def data_file(name: str) -> dict[str, Any]:
    """A TOML data file of this package; shared, so read it only."""
    return tomllib.loads(files("plait.simulation").joinpath(name).read_text(encoding="utf-8"))


@cache
def load_taxonomy() -> Taxonomy:
    """The category tree of `taxonomy.toml`."""
    leaves, branch, middle = [], [], []
    middles = 0
    for first, category in enumerate(data_file("taxonomy.toml")["category"]):
        for second_name, rows in category["children"].items():
            for row in rows:
                leaves.append(_leaf(category, second_name, row))
                branch.append(first)
                middle.append(middles)
            middles += 1
    branches, centres = np.array(branch), np.array(middle)
    same_branch = branches[:, None] == branches[None, :]
    same_middle = centres[:, None] == centres[None, :]
    similarity = np.where(same_middle, SIBLING_LEAF, np.where(same_branch, SIBLING_BRANCH, 0.0)).astype(np.float32)
    np.fill_diagonal(similarity, 1.0)
    games = np.array([leaf.games for leaf in leaves])
    return Taxonomy(tuple(leaves), branches, centres, games, similarity)


def _leaf(category: dict[str, Any], second_name: str, row: str) -> Leaf:
    zh, en, zh_words, en_words = row.split("|")
    path = (_pair(category["name"]), _pair(second_name), (zh, en))
    return Leaf(path, (tuple(zh_words.split(",")), tuple(en_words.split(","))), category.get("games", False))


def _pair(text: str) -> tuple[str, str]:
    zh, en = text.split("|")
    return zh, en
