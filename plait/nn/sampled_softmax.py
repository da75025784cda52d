"""A sampled softmax and its gradients for some tokens: the inside of `plait.nn.catalogue_softmax`.

What it needs of a token's negatives is read from the catalogue's rows, which a core's second cache holds, where a
gather would write it out first.
"""

import numpy as np
from numba import njit

from plait.nn.hstu.vectors import LANES, address, after, exp, fma, load, only_first, spread, store, total


@njit(nogil=True, cache=True)
def _scores(state, items, row, target, negatives, count, sharpness, scores):
    """Scores of `count` negatives, and behind them the target's; returns the highest."""
    highest = np.float32(-np.inf)
    for m in range(count + 1):
        item = after(items, row * np.int64(target if m == count else negatives[m]))
        products = spread(np.float32(0))
        for d in range(0, row, LANES):
            products = fma(load(state, d), load(item, d), products)
        scores[m] = total(products) * sharpness
        highest = max(highest, scores[m])
    return highest


@njit(nogil=True, cache=True)
def _shares(scores, target, negatives, count, highest):
    """Scores become `e^(score - highest)`, 0 for a negative that is the target; returns their sum."""
    sums = spread(np.float32(0))
    for m in range(0, count + 1, LANES):
        store(scores, m, exp(load(scores, m) - spread(highest)))
    for m in range(count):
        if negatives[m] == target:
            scores[m] = np.float32(0)
    for m in range(0, count + 1, LANES):
        sums += only_first(load(scores, m), count + 1 - m)
    return total(sums)


@njit(nogil=True, cache=True)
def sampled_rows(state_ND, item_VD, target_N, negative_NM, sharpness, share, loss_N, state_sums_ND, item_sums_VD, room):
    """Loss and gradients of some tokens.

    Args:
        state_ND: their states; rows here are whole vectors, and all arrays flat but `negative_NM`.
        item_VD: vectors of the catalogue.
        target_N: what came next.
        negative_NM: their negatives.
        sharpness: 1 / T.
        share: what a unit of d loss / d score weighs.
        loss_N: put there.
        state_sums_ND: gradient to add to.
        item_sums_VD: gradient to add to.
        room: M numbers, and two vectors more.
    """
    count = negative_NM.shape[1]
    row = len(state_ND) // max(len(target_N), 1)
    items, item_sums, scores = address(item_VD), address(item_sums_VD), address(room)
    for n in range(len(target_N)):
        target, negatives = target_N[n], after(address(negative_NM), n * count)
        state, state_sums = after(address(state_ND), n * row), after(address(state_sums_ND), n * row)
        highest = _scores(state, items, row, target, negatives, count, sharpness, scores)
        own = scores[count]
        sum_of_shares = _shares(scores, target, negatives, count, highest)
        loss_N[n] = np.log(sum_of_shares) + highest - own
        scores[count] -= sum_of_shares
        for m in range(count + 1):
            at = row * np.int64(target if m == count else negatives[m])
            weight = spread(scores[m] / sum_of_shares * share)
            for d in range(0, row, LANES):
                store(state_sums, d, fma(weight, load(items, at + d), load(state_sums, d)))
                store(item_sums, at + d, fma(weight, load(state, d), load(item_sums, at + d)))
