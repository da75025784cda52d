"""Which creatives a person should label first: those that stand for most of the others. No label has a say in it."""

import heapq
from collections.abc import Sequence

import numpy as np

from plait.content.labelling.linear import Floats, Rows


def coverage_order(
    feature_ND: Floats,
    covered_M: Rows | None = None,
    weight_M: Floats | None = None,
    known: Sequence[int] | Rows = (),
) -> Rows:
    """All rows but the known ones, the one that stands for most of what nothing stands for yet first.

    A row is stood for by the most alike (cosine, the mean taken off) of the rows before it; the next is the one that
    raises the weighted sum of these likenesses most. That is greedy facility location, within 1 - 1/e of the best set
    of any size (Nemhauser, Wolsey and Fisher 1978, "An Analysis of Approximations for Maximizing Submodular Set
    Functions"). What a row would add only falls while others are chosen, so that an old gain is a bound, and few are
    worked out anew at each step (Minoux 1978). Memory: 4 bytes for every row and covered row.

    Args:
        feature_ND: of the rows.
        covered_M: rows that shall be stood for; all if None.
        weight_M: how much each of these counts; alike if None.
        known: rows that have a label already; they stand for others, and are not in the order.
    """
    if not len(feature_ND):
        return np.zeros(0, np.int64)
    centred_ND = feature_ND - feature_ND.mean(axis=0)
    unit_ND = centred_ND / np.maximum(np.linalg.norm(centred_ND, axis=1, keepdims=True), 1e-9)
    covered_MD = unit_ND if covered_M is None else unit_ND[covered_M]
    alike_NM = unit_ND @ covered_MD.T
    weight_M = np.ones(len(covered_MD), np.float32) if weight_M is None else weight_M
    known_K = np.asarray(known, np.int64)
    stood_M = alike_NM[known_K].max(axis=0) if len(known_K) else np.full(len(covered_MD), -1, np.float32)

    def gain(row: int) -> float:
        return float(np.maximum(alike_NM[row] - stood_M, 0) @ weight_M)

    order: list[int] = []
    waiting = [(-gain(row), row, 0) for row in np.setdiff1d(np.arange(len(feature_ND)), known_K).tolist()]
    heapq.heapify(waiting)
    while waiting:
        _, row, chosen_before = heapq.heappop(waiting)
        if chosen_before < len(order):
            heapq.heappush(waiting, (-gain(row), row, len(order)))
            continue
        order.append(row)
        np.maximum(stood_M, alike_NM[row], out=stood_M)
    return np.array(order, np.int64)


def asking_order(unsure_ND: Floats, confidence_N: Floats, known_KD: Floats) -> Rows:
    """The unsure rows, the one whose label would teach most first: what stands for most of what is unsure.

    Args:
        unsure_ND: features of the rows.
        confidence_N: how sure the answers about them are.
        known_KD: features of rows that have a label already.
    """
    feature_ND = np.concatenate([unsure_ND, known_KD])
    unsure_N, known_K = np.split(np.arange(len(feature_ND)), [len(unsure_ND)])
    return coverage_order(feature_ND, unsure_N, (1 - confidence_N).astype(np.float32), known_K)


def first_of_each(label_N: Sequence[int] | Rows, order_M: Rows, most: int) -> Rows:
    """Rows of the order, at most `most` of every label: what a person finds who looks through it and stops at enough.

    Args:
        label_N: of all rows.
        order_M: some of the rows.
        most: of each label.
    """
    label_M = np.asarray(label_N)[order_M]
    by_label_M = np.argsort(label_M, kind="stable")
    sorted_M = label_M[by_label_M]
    place_M = np.arange(len(sorted_M)) - np.searchsorted(sorted_M, sorted_M)
    return order_M[np.sort(by_label_M[place_M < most])]


def draw_examples(label_N: Sequence[int] | Rows, pool_M: Rows, most: int, generator: np.random.Generator) -> Rows:
    """Rows of the pool: at most `most` of every label, drawn at random."""
    label = np.asarray(label_N)
    chosen = [generator.permutation(pool_M[label[pool_M] == leaf])[:most] for leaf in np.unique(label[pool_M])]
    return np.concatenate(chosen)
