"""What an HSTU layer does to each row by itself, forward and backward: the inside of `plait.nn.hstu.layer_cpu`.

Rows are taken `BLOCK` at a time, so that a block's intermediate results stay in a core's first cache and its products
run in the micro-kernel. All arrays are flat float32, row behind row; those of a block and the weights have rows of
whole vectors with zeros behind their last number ("wide" rows).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from plait.nn.hstu.microkernel import ROWS, multiply_add
from plait.nn.hstu.vector_silu import sigmoid
from plait.nn.hstu.vectors import (
    LANES,
    fma,
    load,
    load_first,
    only_first,
    spread,
    store,
    store_first,
    total,
    unless_dropped,
)

BLOCK = 8 * ROWS
"""Rows that are taken together."""
_EPSILON = 1e-5
"""What a layer norm adds to the variance."""


class Shape(NamedTuple):
    """Widths of a layer's rows, and what it does to them."""

    width: int
    """D: of states."""
    mixed: int
    """M: of what attention mixes, and of U."""
    columns: int
    """C: of U, V, Q and K together."""
    gate: bool
    dropped: int
    """Of 2^32 numbers, so many are dropped."""
    kept: np.float32
    """What the others are multiplied by."""
    seed: int
    """Of the dropout."""


class Weights(NamedTuple):
    """The layer's weights in wide rows, each the right-hand side of a product."""

    project_DC: NDArray[np.float32]
    project_CD: NDArray[np.float32]
    output_MD: NDArray[np.float32]
    output_DM: NDArray[np.float32]
    output_bias_D: NDArray[np.float32]


@njit(inline="always")
def wide(count):
    """`count` rounded up to whole vectors."""
    return (count + LANES - 1) // LANES * LANES


@njit(nogil=True, cache=True)
def _normalise(source, at, width, target, to):
    """`target = LN(source)` for one row, into a wide row; returns one over the standard deviation."""
    sums = spread(np.float32(0))
    for j in range(0, width, LANES):
        sums += load_first(source, at + j, width - j)
    mean = spread(total(sums) / np.float32(width))
    squares = spread(np.float32(0))
    for j in range(0, width, LANES):
        centred = only_first(load_first(source, at + j, width - j) - mean, width - j)
        squares = fma(centred, centred, squares)
        store(target, to + j, centred)
    inverse = np.float32(1) / np.sqrt(total(squares) / np.float32(width) + np.float32(_EPSILON))
    for j in range(0, width, LANES):
        store(target, to + j, load(target, to + j) * spread(inverse))
    return inverse


@njit(nogil=True, cache=True)
def _normalise_gradient(gradient, normal, at, width, inverse):
    """The gradient of LN's output becomes that of its input, `(g - mean(g) - y mean(g y)) / std`, for one wide row.

    Args:
        gradient: g, zeros behind the row.
        normal: y, the output.
        at: where the row begins in both.
        width: of the row.
        inverse: 1 / std.
    """
    sums, products = spread(np.float32(0)), spread(np.float32(0))
    for j in range(at, at + width, LANES):
        g = load(gradient, j)
        sums += g
        products = fma(g, load(normal, j), products)
    mean = spread(total(sums) / np.float32(width))
    mean_product = spread(total(products) / np.float32(width))
    for j in range(at, at + width, LANES):
        centred = load(gradient, j) - mean - load(normal, j) * mean_product
        store(gradient, j, centred * spread(inverse))


@njit(nogil=True, cache=True)
def _take_rows(source, at, row, count, width, target):
    """`count` rows of a matrix as wide rows."""
    for r in range(count):
        for j in range(0, width, LANES):
            store(target, r * wide(width) + j, load_first(source, at + r * row + j, width - j))


@njit(nogil=True, cache=True)
def _clear(block, count):
    """Zeros in the first `count` numbers, up to whole vectors."""
    for j in range(0, count, LANES):
        store(block, j, spread(np.float32(0)))


@njit(inline="always")
def _key(seed, row):
    """What a row's dropout begins with (Steele's SplitMix64)."""
    bits = np.uint64(seed) + np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(bits >> np.uint64(32))


@njit(nogil=True, cache=True)
def prepare_rows(first, last, shape, weights, state, parts, slopes):
    """`parts = SiLU(LN(state) W)` for the rows from `first` to `last`, and SiLU's slope there if `slopes` has room."""
    d_n, c_n = shape.width, shape.columns
    normal, product = np.zeros(BLOCK * wide(d_n), np.float32), np.zeros(BLOCK * wide(c_n), np.float32)
    one = spread(np.float32(1))
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        for r in range(count):
            _normalise(state, (row + r) * d_n, d_n, normal, r * wide(d_n))
        _clear(product, count * wide(c_n))
        multiply_add(
            product, 0, wide(c_n), normal, 0, wide(d_n), 1, weights.project_DC, 0, wide(c_n), count, d_n, wide(c_n)
        )
        for r in range(count):
            for j in range(0, c_n, LANES):
                x = load(product, r * wide(c_n) + j)
                s = sigmoid(x)
                store_first(parts, (row + r) * c_n + j, x * s, c_n - j)
                if len(slopes):
                    store_first(slopes, (row + r) * c_n + j, s * fma(x, one - s, one), c_n - j)


@njit(nogil=True, cache=True)
def _gated_row(row, shape, parts, normal, at, gated, j):
    """Vector j of `U * LN(mixed)` after dropout, and what LN's output and the gate were multiplied by there."""
    gate = factor = spread(np.float32(1))
    if shape.gate:
        gate = load_first(parts, row * shape.columns + j, shape.mixed - j)
    if shape.dropped:
        factor = unless_dropped(_key(shape.seed, row), j, shape.dropped, shape.kept)
    store(gated, at + j, load(normal, at + j) * gate * factor)
    return gate, factor


@njit(nogil=True, cache=True)
def finish_rows(first, last, shape, weights, state, parts, mixed, out):
    """`out = dropout(U * LN(mixed)) W + b + state` for the rows from `first` to `last`."""
    d_n, m_n = shape.width, shape.mixed
    normal = np.zeros(BLOCK * wide(m_n), np.float32)
    product = np.zeros(BLOCK * wide(d_n), np.float32)
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        for r in range(count):
            at = r * wide(m_n)
            _normalise(mixed, (row + r) * m_n, m_n, normal, at)
            for j in range(0, m_n, LANES):
                _gated_row(row + r, shape, parts, normal, at, normal, j)
            for j in range(0, d_n, LANES):
                before = load_first(state, (row + r) * d_n + j, d_n - j)
                store(product, r * wide(d_n) + j, before + load(weights.output_bias_D, j))
        multiply_add(
            product, 0, wide(d_n), normal, 0, wide(m_n), 1, weights.output_MD, 0, wide(d_n), count, m_n, wide(d_n)
        )
        for r in range(count):
            for j in range(0, d_n, LANES):
                store_first(out, (row + r) * d_n + j, load(product, r * wide(d_n) + j), d_n - j)


@njit(nogil=True, cache=True)
def finish_backward_rows(
    first, last, shape, weights, upstream, parts, mixed, parts_gradient, mixed_gradient, output_DM, output_bias_D
):
    """Gradients of `finish_rows`.

    Args:
        first: of the rows.
        last: behind them.
        shape: as in `finish_rows`.
        weights: as there.
        upstream: gradient of its output.
        parts: as there.
        mixed: as there.
        parts_gradient: that of U is put there, zeros for V, Q and K.
        mixed_gradient: is put there.
        output_DM: gradient of the output's weight to add to, wide rows.
        output_bias_D: that of its bias.
    """
    d_n, m_n, c_n = shape.width, shape.mixed, shape.columns
    above = np.zeros(BLOCK * wide(d_n), np.float32)
    normal, gated = np.zeros(BLOCK * wide(m_n), np.float32), np.zeros(BLOCK * wide(m_n), np.float32)
    gradient = np.zeros(BLOCK * wide(m_n), np.float32)
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        _take_rows(upstream, row * d_n, d_n, count, d_n, above)
        _clear(gradient, count * wide(m_n))
        multiply_add(
            gradient, 0, wide(m_n), above, 0, wide(d_n), 1, weights.output_DM, 0, wide(m_n), count, d_n, wide(m_n)
        )
        for r in range(count):
            at = r * wide(m_n)
            inverse = _normalise(mixed, (row + r) * m_n, m_n, normal, at)
            for j in range(0, m_n, LANES):
                gate, factor = _gated_row(row + r, shape, parts, normal, at, gated, j)
                g = load(gradient, at + j) * factor
                if shape.gate:
                    store_first(parts_gradient, (row + r) * c_n + j, g * load(normal, at + j), m_n - j)
                store(gradient, at + j, g * gate)
            for j in range(m_n if shape.gate else 0, c_n, LANES):
                store_first(parts_gradient, (row + r) * c_n + j, spread(np.float32(0)), c_n - j)
            _normalise_gradient(gradient, normal, at, m_n, inverse)
            for j in range(0, m_n, LANES):
                store_first(mixed_gradient, (row + r) * m_n + j, load(gradient, at + j), m_n - j)
            for j in range(0, d_n, LANES):
                store(output_bias_D, j, load(output_bias_D, j) + load(above, r * wide(d_n) + j))
        multiply_add(output_DM, 0, wide(m_n), above, 0, 1, wide(d_n), gated, 0, wide(m_n), d_n, count, wide(m_n))


@njit(nogil=True, cache=True)
def prepare_backward_rows(
    first, last, shape, weights, upstream, state, slopes, parts_gradient, state_gradient, project_DC
):
    """Gradients of `prepare_rows`, and of the residual.

    Args:
        first: of the rows.
        last: behind them.
        shape: as in `prepare_rows`.
        weights: as there.
        upstream: gradient of the layer's output.
        state: as there.
        slopes: what `prepare_rows` put there.
        parts_gradient: of its output.
        state_gradient: is put there.
        project_DC: gradient of the projection's weight to add to, transposed, wide rows.
    """
    d_n, c_n = shape.width, shape.columns
    normal, gradient = np.zeros(BLOCK * wide(d_n), np.float32), np.zeros(BLOCK * wide(d_n), np.float32)
    above, inverses = np.zeros(BLOCK * wide(c_n), np.float32), np.zeros(BLOCK, np.float32)
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        for r in range(count):
            inverses[r] = _normalise(state, (row + r) * d_n, d_n, normal, r * wide(d_n))
            for j in range(0, c_n, LANES):
                at = (row + r) * c_n + j
                slope = load_first(slopes, at, c_n - j)
                store(above, r * wide(c_n) + j, load_first(parts_gradient, at, c_n - j) * slope)
        _clear(gradient, count * wide(d_n))
        multiply_add(
            gradient, 0, wide(d_n), above, 0, wide(c_n), 1, weights.project_CD, 0, wide(d_n), count, c_n, wide(d_n)
        )
        for r in range(count):
            _normalise_gradient(gradient, normal, r * wide(d_n), d_n, inverses[r])
            for j in range(0, d_n, LANES):
                at = (row + r) * d_n + j
                through = load(gradient, r * wide(d_n) + j) + load_first(upstream, at, d_n - j)
                store_first(state_gradient, at, through, d_n - j)
        multiply_add(project_DC, 0, wide(c_n), normal, 0, 1, wide(d_n), above, 0, wide(c_n), d_n, count, wide(c_n))
