"""The tables that all chunks share: items, creatives, and the truth about both."""

from pathlib import Path
from typing import Any

import numpy as np

from plait.schema import Columns as C
from plait.schema.creative_profile import FIELDS
from plait.seeding import generator
from plait.simulation.catalogue import FIRST_CREATIVE, FIRST_ITEM, Items
from plait.simulation.taxonomy import data_file, load_taxonomy
from plait.simulation.wording import item_texts
from plait.simulation.world import DAY_MS, START, World
from plait.simulation.writer import write_parquet

TRUE_FIELDS = tuple(name for name in FIELDS if name != "label")
"""The true fields of a creative, beside its id."""


def write_shared_tables(world: World, folder: Path, *, media: bool) -> None:
    """items.parquet and creatives.parquet, and their truth; `media` says whether the files are rendered."""
    texts = item_texts(world.items, world.seed)
    write_parquet(folder / "items.parquet", _item_columns(world, texts))
    write_parquet(folder / "creatives.parquet", _creative_columns(world, texts["name"], media=media))
    write_parquet(folder / "truth" / "items.parquet", _item_truth(world.items))
    write_parquet(folder / "truth" / "creatives.parquet", _creative_truth(world))


def _item_columns(world: World, texts: dict[str, list[str]]) -> dict[str, Any]:
    items, leaves = world.items, load_taxonomy().leaves
    rng = generator(world.seed, "item-columns")
    columns: dict[str, Any] = {C.ITEM_ID: np.arange(items.count) + FIRST_ITEM, C.NAME: texts["name"]}
    columns["name_en"] = texts["name_en"]
    for level, column in enumerate((C.CATEGORY_1, C.CATEGORY_2, C.CATEGORY_3)):
        for language, suffix in enumerate(("", "_en")):
            columns[column + suffix] = [leaves[leaf].path[level][language] for leaf in items.leaf]
    games = load_taxonomy().games[items.leaf]
    return {
        **columns,
        C.DESCRIPTION: texts["description"],
        "description_en": texts["description_en"],
        "developer": [f"dev{number:04d}" for number in items.developer],
        "kind": np.where(games, "game", "app"),
        "size_mb": np.round(np.exp(rng.normal(np.where(games, 6.0, 4.0), 0.7)), 1),
        "rating": np.round(np.clip(4.0 + 0.3 * items.quality + rng.normal(scale=0.3, size=items.count), 1.0, 5.0), 1),
        "launch_time": START + (items.launch_day - np.where(items.launch_day == 0, 400, 0)) * DAY_MS,
    }


def _creative_columns(world: World, names: list[str], *, media: bool) -> dict[str, Any]:
    creatives, items, leaves = world.creatives, world.items, load_taxonomy().leaves
    rng = generator(world.seed, "creative-text")
    copies = list(data_file("words.toml")["copy"].values())
    texts = []
    for item in creatives.item:
        copy, line, word = rng.integers(0, [len(copies), 3, 4])
        words = leaves[int(items.leaf[item])].words[0]
        texts.append(f"{names[int(item)]}:{copies[copy]['zh'][line].format(word=words[word % len(words)])}")
    advertised = items.advertised[creatives.item]
    developers = items.developer[creatives.item]
    return {
        C.CREATIVE_ID: np.arange(len(creatives.item)) + FIRST_CREATIVE,
        C.ITEM_ID: creatives.item + FIRST_ITEM,
        C.MEDIA: [creatives.plans[row].file if media else None for row in creatives.media],
        C.TEXT: texts,
        C.ADVERTISER: [f"dev{who:04d}" if paid else None for who, paid in zip(developers, advertised, strict=True)],
        C.BID: np.round(creatives.bid.astype(np.float64), 2),
    }


def _item_truth(items: Items) -> dict[str, Any]:
    themes = list(data_file("words.toml")["themes"])
    return {
        C.ITEM_ID: np.arange(items.count) + FIRST_ITEM,
        "leaf": items.leaf,
        "quality": items.quality,
        "popularity": items.popularity,
        "launch_day": items.launch_day,
        **{f"theme_{name}": items.themes[:, column] for column, name in enumerate(themes)},
    }


def _creative_truth(world: World) -> dict[str, Any]:
    creatives = world.creatives
    plans = [creatives.plans[row] for row in creatives.media]
    return {
        C.CREATIVE_ID: np.arange(len(plans)) + FIRST_CREATIVE,
        "file": [plan.file for plan in plans],
        **{name: [getattr(plan, name) for plan in plans] for name in TRUE_FIELDS},
    }
