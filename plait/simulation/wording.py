"""Names, descriptions and copy, in Chinese and in English, composed from the word lists."""

from typing import Any

import numpy as np

from plait.seeding import generator
from plait.simulation.catalogue import Items
from plait.simulation.taxonomy import Leaf, data_file, load_taxonomy

_LANGUAGES = (("", "zh", 0), ("_en", "en", 1))


def item_texts(items: Items, seed: int) -> dict[str, list[str]]:
    """Columns name, name_en, description, description_en of every item.

    A name tells the leaf in three of five items and a theme in two of five; a description tells both more often. Themes
    are said in one of several ways, so that the meaning, not one word, carries them.
    """
    words = data_file("words.toml")
    columns: dict[str, list[str]] = {"name": [], "name_en": [], "description": [], "description_en": []}
    rng = generator(seed, "wording")
    leaves = load_taxonomy().leaves
    for item in range(items.count):
        leaf = leaves[int(items.leaf[item])]
        themes = np.flatnonzero(items.themes[item])
        draw = rng.random(12)
        for suffix, language, column in _LANGUAGES:
            ways = _theme_ways(words, themes, language, draw[:3])
            columns["name" + suffix].append(_name(words["names"], suffix, leaf.words[column], ways, draw))
            columns["description" + suffix].append(_description(words, suffix, leaf, ways, draw))
    return columns


def query_text(leaf: Leaf, theme: str | None, draw: float) -> str:
    """What a user types who wants `leaf`, said with the word `theme` where there is one; mostly in Chinese."""
    column = 0 if draw < 0.85 else 1
    choices = (*leaf.words[column], leaf.path[2][column])
    word = choices[int(draw * 997) % len(choices)]
    return f"{theme} {word}" if theme else word


def theme_ways() -> list[list[str]]:
    """For each theme, the words that say it, in Chinese and then in English."""
    return [[*theme["zh"], *theme["en"]] for theme in data_file("words.toml")["themes"].values()]


def _theme_ways(words: dict[str, Any], themes: Any, language: str, draw: Any) -> list[str]:
    ways = [theme[language] for theme in words["themes"].values()]
    return [_pick(ways[theme], draw[index % 3]) for index, theme in enumerate(themes)]


def _name(parts: dict[str, Any], suffix: str, words: tuple[str, ...], ways: list[str], draw: Any) -> str:
    space = " " if suffix else ""
    brand = _pick(parts["head" + suffix], draw[3]) + _pick(parts["tail" + suffix], draw[4])
    if draw[5] < 0.3:
        return f"{brand}{space}{_title(_pick(words, draw[6]), suffix)}"
    if draw[5] < 0.6:
        return f"{_title(ways[0], suffix)}{space}{_title(_pick(words, draw[6]), suffix)}"
    if draw[5] < 0.7:
        return f"{_title(ways[0], suffix)}{space}{brand}"
    return brand + str(_pick(parts["suffix" + suffix], draw[7]))


def _description(words: dict[str, Any], suffix: str, leaf: Leaf, ways: list[str], draw: Any) -> str:
    space, column = (" ", 1) if suffix else ("", 0)
    values = {
        "leaf": leaf.path[2][column].lower() if suffix else leaf.path[2][column],
        "a": _pick(leaf.words[column], draw[8]),
        "b": _pick(leaf.words[column], (draw[8] + 0.3) % 1.0),
        "theme": ways[0],
        "theme2": ways[-1],
    }
    parts = words["descriptions"]
    opening = _pick(parts["open" + suffix], draw[9]).format(**values)
    closing = _pick(parts["close" + suffix], draw[10]).format(**values)
    rest = (", " if suffix else "、").join(ways)
    full_stop = "." if suffix else "。"
    return f"{opening}{full_stop}{space}{closing}{space}{_title(rest, suffix)}{full_stop}"


def _pick(choices: Any, draw: float) -> str:
    return str(choices[int(draw * len(choices))])


def _title(text: str, suffix: str) -> str:
    return text[:1].upper() + text[1:] if suffix else text
