"""Items that the same users act on: co-occurrence with cosine weights, top neighbours per item.

Linden, Smith, York: Amazon.com Recommendations: Item-to-Item Collaborative Filtering, IEEE Internet Computing, 2003.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plait.config import Settings
from plait.data.arrays import load_arrays, save_arrays
from plait.retrieval.protocol import Items, RetrievalQuery, Retrieved, Scores, best


class ItemToItemSettings(Settings):
    """How neighbours are counted."""

    top: int = 50
    """Neighbours kept per item."""
    items_per_user: int = 100
    """Only each user's latest distinct items are paired: bounds the work that a heavy user causes."""
    users_per_item: int = 20_000
    """An item with more users is counted on an even sample of them."""
    minimum_together: int = 2
    """Pairs that fewer users have in common are left out: chance."""
    shrinkage: float = 5.0
    """Added to the common users in the denominator: damps similarities that rest on few users."""
    pairs_in_memory: int = 4_000_000
    """Pairs counted at a time: bounds memory."""


class ItemToItem:
    """Sums the neighbours of the user's recent items, weighted by recency."""

    name = "item_to_item"

    def __init__(self, neighbours_VN: NDArray[np.int32], similarities_VN: Scores) -> None:
        """Take the lists.

        Args:
            neighbours_VN: per item row its neighbours' rows, nearest first; -1 fills short lists.
            similarities_VN: their similarities; 0 where there is none.
        """
        self._neighbours_VN = neighbours_VN
        self._similarities_VN = similarities_VN

    def retrieve(self, query: RetrievalQuery, limit: int) -> Retrieved:
        """Items by `sum over recent items r of w_r sim(r, item)`, the recent items themselves left out."""
        if not len(query.recent_items_R):
            return Retrieved.nothing()
        found = self._neighbours_VN[query.recent_items_R].ravel()
        scores = (self._similarities_VN[query.recent_items_R] * query.recent_weights_R[:, None]).ravel()
        found, scores = found[scores > 0], scores[scores > 0]
        if not len(found):
            return Retrieved.nothing()
        items, index = np.unique(found, return_inverse=True)
        total = np.bincount(index, weights=scores).astype(np.float32)
        total[np.isin(items, query.recent_items_R)] = -np.inf
        order = best(total, limit)
        return Retrieved(items[order].astype(np.int64), total[order])

    def save(self, folder: Path) -> None:
        """Write the lists as `.npy` files."""
        save_arrays(folder, neighbours=self._neighbours_VN, similarities=self._similarities_VN)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The lists in `folder`, memory-mapped."""
        arrays = load_arrays(folder, "neighbours", "similarities")
        return cls(arrays["neighbours"], arrays["similarities"])


@dataclass(frozen=True, slots=True)
class _Lists:
    """Jagged lists: row r holds `values[offsets[r]:offsets[r + 1]]`."""

    values: Items
    offsets: Items

    @property
    def lengths(self) -> Items:
        return np.diff(self.offsets)

    @classmethod
    def group(cls, rows: Items, values: Items, count: int) -> "_Lists":
        """The values of each row, `count` rows in all."""
        order = np.argsort(rows, kind="stable")
        return cls(values[order], np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]))

    def take(self, rows: Items) -> tuple[Items, Items]:
        """The concatenated values of `rows`, and for each the index into `rows` that it came from."""
        lengths = self.lengths[rows]
        source = np.repeat(np.arange(len(rows)), lengths)
        starts = np.repeat(self.offsets[rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return self.values[starts + np.arange(len(source))], source


def build_item_to_item(
    offsets_U1: NDArray[np.int64], item_N: NDArray[np.int64], items: int, settings: ItemToItemSettings
) -> ItemToItem:
    """Count who acts on what.

    `sim(a, b) = |U_a and U_b| / (sqrt(|U_a| |U_b|) + shrinkage)` over users who acted on both. Work is the sum over
    users of their squared list lengths (at most `items_per_user`); memory is `pairs_in_memory` pairs and the result.

    Args:
        offsets_U1: jagged offsets of the users' histories.
        item_N: item row of each event in order of arrival; negative where the item is unknown.
        items: rows of the item table.
        settings: bounds and smoothing.
    """
    user_P, item_P = _distinct_pairs(offsets_U1, item_N, settings.items_per_user)
    users = len(offsets_U1) - 1
    items_of_user = _Lists.group(user_P, item_P, users)
    users_of_item = _Lists.group(item_P, user_P, items)
    neighbours_VN = np.full((items, settings.top), -1, np.int32)
    similarities_VN = np.zeros((items, settings.top), np.float32)
    for block in _blocks(users_of_item, items_of_user, settings):
        anchor, other, together = _count_pairs(block, users_of_item, items_of_user, items, settings)
        popularity = users_of_item.lengths
        cosine = together / (np.sqrt(popularity[anchor] * popularity[other].astype(np.float64)) + settings.shrinkage)
        _keep_nearest(anchor, other, cosine.astype(np.float32), neighbours_VN, similarities_VN)
    return ItemToItem(neighbours_VN, similarities_VN)


def _distinct_pairs(offsets_U1: Items, item_N: Items, limit: int) -> tuple[Items, Items]:
    """Each user's latest `limit` distinct items, as pairs (user, item)."""
    user_N = np.repeat(np.arange(len(offsets_U1) - 1), np.diff(offsets_U1))
    newest_first = np.flatnonzero(item_N >= 0)[::-1]
    user, item = user_N[newest_first], item_N[newest_first].astype(np.int64)
    width = int(item.max(initial=0)) + 1
    _, first = np.unique(user * width + item, return_index=True)
    first.sort()
    user, item = user[first], item[first]
    ends = np.searchsorted(-user, -user, side="left")  # users descend here: where each one's own items begin
    kept = np.arange(len(user)) - ends < limit
    return user[kept], item[kept]


def _blocks(users_of_item: _Lists, items_of_user: _Lists, settings: ItemToItemSettings) -> Iterator[Items]:
    """Consecutive items whose pairs fit into memory together (an item that does not fit comes alone)."""
    pairs_P = items_of_user.lengths[users_of_item.values]
    total = np.concatenate([[0], np.cumsum(pairs_P)])
    pairs_V = total[users_of_item.offsets[1:]] - total[users_of_item.offsets[:-1]]
    block_V = np.cumsum(pairs_V) // settings.pairs_in_memory
    edges = np.flatnonzero(np.diff(block_V)) + 1
    yield from (block for block in np.split(np.arange(len(pairs_V)), edges) if pairs_V[block].any())


def _count_pairs(
    block: Items, users_of_item: _Lists, items_of_user: _Lists, items: int, settings: ItemToItemSettings
) -> tuple[Items, Items, NDArray[np.float64]]:
    """Pairs (anchor, other) of the block's anchors and how many users they have in common."""
    users, source = users_of_item.take(block)
    scale_V = np.ones(len(block))
    if (large := users_of_item.lengths[block] > settings.users_per_item).any():
        scale_V[large] = users_of_item.lengths[block][large] / settings.users_per_item
        kept = _even_sample(source, users_of_item.lengths[block], settings.users_per_item)
        users, source = users[kept], source[kept]
    other, pair = items_of_user.take(users)
    keys, counts = np.unique(source[pair] * items + other, return_counts=True)
    index, other = keys // items, keys % items
    together = counts * scale_V[index]
    kept = (block[index] != other) & (together >= settings.minimum_together)
    return block[index[kept]], other[kept], together[kept]


def _even_sample(source: Items, lengths: Items, limit: int) -> Items:
    """Positions that keep at most `limit` of each source's values, evenly spread."""
    place = np.arange(len(source)) - np.concatenate([[0], np.cumsum(lengths)[:-1]])[source]
    length = np.maximum(lengths[source], limit)
    return np.flatnonzero(place * limit // length != (place - 1) * limit // length)


def _keep_nearest(
    anchor: Items, other: Items, cosine: Scores, neighbours_VN: NDArray[np.int32], similarities_VN: Scores
) -> None:
    order = np.lexsort((other, -cosine, anchor))
    anchor, other, cosine = anchor[order], other[order], cosine[order]
    rank = np.arange(len(anchor)) - np.searchsorted(anchor, anchor, side="left")
    kept = rank < neighbours_VN.shape[1]
    neighbours_VN[anchor[kept], rank[kept]] = other[kept]
    similarities_VN[anchor[kept], rank[kept]] = cosine[kept]
