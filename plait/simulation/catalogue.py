"""Items and creatives of the simulated market."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.media_plan import MediaPlan, attribute_matrix, plan_media
from plait.simulation.sizes import Size
from plait.simulation.taxonomy import data_file, load_taxonomy

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

FIRST_ITEM, FIRST_CREATIVE = 100_000, 500_000
LAUNCHED_LATER = 0.4
"""Share of items that are launched while the log runs."""
ADVERTISED = 0.5
"""Share of items that advertise."""


@dataclass(frozen=True, slots=True)
class Items:
    """Items by row; `item_id` is the row + FIRST_ITEM."""

    leaf: Ints
    developer: Ints
    quality: Floats
    """True quality, theme fashion included; standard deviation about 1."""
    popularity: Floats
    """Log weight in everybody's choices; correlated with quality."""
    themes: Floats
    """[items, themes], rows of length 1."""
    launch_day: Ints
    """First day of the log on which the item exists; 0 for those that are older."""
    advertised: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many items there are."""
        return len(self.leaf)


@dataclass(frozen=True, slots=True)
class Creatives:
    """Creatives by row, grouped by item; `creative_id` is the row + FIRST_CREATIVE."""

    item: Ints
    media: Ints
    """Row of the file's plan."""
    bid: Floats
    """What the advertiser pays for a download, currency units; NaN where the item does not advertise."""
    first: Ints
    """[items + 1]: creatives of item i are rows first[i] to first[i + 1]."""
    plans: tuple[MediaPlan, ...]
    attributes: Floats
    """[creatives, attributes] of their files."""


def make_items(size: Size, seed: int, *, themes_matter: bool = True) -> Items:
    """The items of a world; every leaf has at least one from the first day on.

    Some themes are in fashion and lift quality, unless `themes_matter` is False (text switched off).
    """
    rng = generator(seed, "items")
    taxonomy = load_taxonomy()
    leaves = len(taxonomy.leaves)
    weights = leaf_popularity(seed)
    extra = rng.choice(leaves, size=size.items - leaves, p=weights)
    leaf = np.concatenate([np.arange(leaves), extra])
    themes = _themes(rng, size.items, len(data_file("words.toml")["themes"]))
    fashion = rng.normal(size=themes.shape[1])
    quality = 0.85 * rng.normal(size=size.items) + (0.5 if themes_matter else 0.0) * (themes @ fashion)
    popularity = 0.6 * quality + 0.75 * rng.normal(size=size.items)
    launch_day = np.where(
        rng.random(size.items) < LAUNCHED_LATER, rng.integers(1, max(2, size.days), size=size.items), 0
    )
    launch_day[:leaves] = 0
    return Items(
        leaf=leaf.astype(np.int64),
        developer=rng.integers(0, max(20, size.items // 8), size=size.items),
        quality=quality.astype(np.float32),
        popularity=popularity.astype(np.float32),
        themes=themes,
        launch_day=launch_day.astype(np.int64),
        advertised=rng.random(size.items) < ADVERTISED,
    )


def make_creatives(items: Items, size: Size, seed: int) -> Creatives:
    """One to four creatives per item, each with a file made for the item's first-level category."""
    rng = generator(seed, "creatives")
    plans = plan_media(size.media, seed)
    per_item = rng.choice([1, 2, 3, 4], size=items.count, p=[0.3, 0.35, 0.2, 0.15])
    item = np.repeat(np.arange(items.count), per_item)
    branch = load_taxonomy().branch[items.leaf[item]]
    by_branch = np.array([plan.branch for plan in plans])
    media = np.zeros(len(item), dtype=np.int64)
    for value in np.unique(branch):
        rows = np.flatnonzero(branch == value)
        media[rows] = rng.choice(np.flatnonzero(by_branch == value), size=len(rows))
    bid = np.where(items.advertised[item], np.exp(rng.normal(0.5, 0.6, size=len(item))), np.nan)
    return Creatives(
        item=item,
        media=media,
        bid=bid.astype(np.float32),
        first=np.concatenate([[0], np.cumsum(per_item)]),
        plans=plans,
        attributes=attribute_matrix(plans)[media],
    )


def leaf_popularity(seed: int) -> NDArray[np.float64]:
    """Share of each leaf in what people want."""
    raw = np.exp(0.6 * generator(seed, "leaves").normal(size=len(load_taxonomy().leaves)))
    return np.asarray(raw / raw.sum(), dtype=np.float64)


def _themes(rng: np.random.Generator, items: int, themes: int) -> Floats:
    """One to three themes for each item."""
    rank = rng.random((items, themes)).argsort(axis=1).argsort(axis=1)
    chosen = (rank < rng.integers(1, 4, size=items)[:, None]).astype(np.float32)
    return np.asarray(chosen / np.sqrt(chosen.sum(axis=1, keepdims=True)), dtype=np.float32)
