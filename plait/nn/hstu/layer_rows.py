"""An HSTU layer and its gradients for whole sequences, a cacheful at a time: the inside of `plait.nn.hstu.layer_cpu`.

Sequences are taken `CHUNK` events at a time, so that U, V, Q and K of a chunk, and their gradients, stay in a core's
second cache and are never written to memory; what happens to each row by itself is done `BLOCK` rows at a time, in the
first cache. Products run in the micro-kernel. Weights and all that belongs to a chunk have rows of whole vectors with
zeros behind their last number ("wide" rows).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from plait.nn.hstu.microkernel import ROWS, multiply_add
from plait.nn.hstu.tiles import (
    Heads,
    Rows,
    attend,
    attend_backward,
    bias_at,
    clear_rows,
    rows_at,
    space_needed,
    take_rows,
    wide,
)
from plait.nn.hstu.vector_silu import silu_and_slope
from plait.nn.hstu.vectors import (
    LANES,
    address,
    after,
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

CHUNK = 256
"""Events that are taken together; a longer sequence is a chunk by itself."""
BLOCK = 8 * ROWS
"""Rows that are taken together where each is by itself."""
_EPSILON = 1e-5
"""What a layer norm adds to the variance."""


class Shape(NamedTuple):
    """Widths of a layer's rows, and what it does to them."""

    width: int
    """D: of states."""
    heads: int
    query_width: int
    value_width: int
    gate: bool
    dropped: int
    """Of 2^32 numbers, so many are dropped."""
    kept: np.float32
    """What the others are multiplied by."""
    seed: int
    """Of the dropout."""
    chunk: int
    """Events of the longest chunk."""


class Weights(NamedTuple):
    """The layer's weights in wide rows, each the right-hand side of a product."""

    project_DC: NDArray[np.float32]
    project_CD: NDArray[np.float32]
    output_MD: NDArray[np.float32]
    output_DM: NDArray[np.float32]
    output_bias_D: NDArray[np.float32]


class Sums(NamedTuple):
    """Gradients of the weights, wide rows; and of the biases as `attend_backward` has them."""

    project_DC: NDArray[np.float32]
    output_DM: NDArray[np.float32]
    output_bias_D: NDArray[np.float32]
    distance: NDArray[np.float32]
    time: NDArray[np.float32]


class _Space(NamedTuple):
    """Addresses of a thread's memory: blocks, then chunks, then what attention needs."""

    normal_D: int
    """`[BLOCK, D]`, as is the next."""
    block_D: int
    normal_M: int
    """`[BLOCK, M]`, as are the next two."""
    block_M: int
    gated_M: int
    inverse: int
    """`[BLOCK]`."""
    parts: int
    """U, V, Q and K of a chunk, `[chunk, C]`."""
    slopes: int
    """SiLU's slopes there."""
    gradients: int
    mixed_gradient: int
    """`[chunk, M]` without anything between the rows."""
    attention: int


@njit(inline="always")
def mixed_width(shape):
    """M: what attention mixes, and U."""
    return shape.heads * shape.value_width


@njit(inline="always")
def columns(shape):
    """C: of U, V, Q and K together."""
    return 2 * shape.heads * (shape.value_width + shape.query_width)


def layer_space_needed(shape: Shape) -> int:
    """How many numbers a thread needs as its working memory."""
    d_wide, m_wide, c_wide = wide(shape.width), wide(mixed_width(shape)), wide(columns(shape))
    blocks = BLOCK * (2 * d_wide + 3 * m_wide + LANES)
    chunks = (shape.chunk + BLOCK) * (3 * c_wide + m_wide)
    return int(blocks + chunks) + space_needed(shape.heads, shape.query_width, shape.value_width)


@njit(nogil=True, cache=True)
def _space(memory, shape):
    d_block, m_block = BLOCK * wide(shape.width), BLOCK * wide(mixed_width(shape))
    c_chunk = (shape.chunk + BLOCK) * wide(columns(shape))
    normal_D = memory
    block_D = after(normal_D, d_block)
    normal_M = after(block_D, d_block)
    block_M = after(normal_M, m_block)
    gated_M = after(block_M, m_block)
    inverse = after(gated_M, m_block)
    parts = after(inverse, BLOCK * LANES)
    slopes = after(parts, c_chunk)
    gradients = after(slopes, c_chunk)
    mixed_gradient = after(gradients, c_chunk)
    attention = after(mixed_gradient, (shape.chunk + BLOCK) * wide(mixed_width(shape)))
    blocks = (normal_D, block_D, normal_M, block_M, gated_M, inverse)
    return _Space(*blocks, parts, slopes, gradients, mixed_gradient, attention)


@njit(nogil=True, cache=True)
def _normalise(source, width, target):
    """`target = LN(source)` for one row, into a wide row; returns one over the standard deviation."""
    sums = spread(np.float32(0))
    for j in range(0, width, LANES):
        sums += load_first(source, j, width - j)
    mean = spread(total(sums) / np.float32(width))
    squares = spread(np.float32(0))
    for j in range(0, width, LANES):
        centred = only_first(load_first(source, j, width - j) - mean, width - j)
        squares = fma(centred, centred, squares)
        store(target, j, centred)
    inverse = np.float32(1) / np.sqrt(total(squares) / np.float32(width) + np.float32(_EPSILON))
    for j in range(0, width, LANES):
        store(target, j, load(target, j) * spread(inverse))
    return inverse


@njit(nogil=True, cache=True)
def _normalise_gradient(gradient, normal, width, inverse):
    """The gradient of LN's output becomes that of its input, `(g - mean(g) - y mean(g y)) / std`, for one wide row.

    Args:
        gradient: g, zeros behind the row.
        normal: y, the output.
        width: of the row.
        inverse: 1 / std.
    """
    sums, products = spread(np.float32(0)), spread(np.float32(0))
    for j in range(0, width, LANES):
        g = load(gradient, j)
        sums += g
        products = fma(g, load(normal, j), products)
    mean = spread(total(sums) / np.float32(width))
    mean_product = spread(total(products) / np.float32(width))
    for j in range(0, width, LANES):
        centred = load(gradient, j) - mean - load(normal, j) * mean_product
        store(gradient, j, centred * spread(inverse))


@njit(inline="always")
def _key(seed, row):
    """What a row's dropout begins with (Steele's SplitMix64)."""
    bits = np.uint64(seed) + np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(bits >> np.uint64(32))


@njit(nogil=True, cache=True)
def _gate(row, shape, parts, normal, gated):
    """`gated = dropout(U * LN(mixed))` for one wide row, LN(mixed) being `normal`."""
    m_n, key = mixed_width(shape), _key(shape.seed, row)
    for j in range(0, m_n, LANES):
        numbers = load(normal, j)
        if shape.gate:
            numbers *= load_first(parts, j, m_n - j)
        if shape.dropped:
            numbers *= unless_dropped(key, j, shape.dropped, shape.kept)
        store(gated, j, numbers)


@njit(nogil=True, cache=True)
def _gate_gradient(row, shape, parts, normal, gradient, gate_gradient):
    """The gradient of `gated` becomes that of LN(mixed); U's is put in its place."""
    m_n, key = mixed_width(shape), _key(shape.seed, row)
    for j in range(0, m_n, LANES):
        g = load(gradient, j)
        if shape.dropped:
            g *= unless_dropped(key, j, shape.dropped, shape.kept)
        if shape.gate:
            store_first(gate_gradient, j, g * load(normal, j), m_n - j)
            g *= load_first(parts, j, m_n - j)
        store(gradient, j, g)


@njit(nogil=True, cache=True)
def _prepare(chunk, shape, weights, state, space, with_slopes):
    """U, V, Q and K, `SiLU(LN(state) W)`, of a chunk's rows; and SiLU's slopes."""
    first, last = chunk
    d_n, d_wide, c_wide = shape.width, wide(shape.width), wide(columns(shape))
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        parts, slopes = after(space.parts, (row - first) * c_wide), after(space.slopes, (row - first) * c_wide)
        for r in range(count):
            _normalise(after(state, (row + r) * d_n), d_n, after(space.normal_D, r * d_wide))
        clear_rows(parts, c_wide, count, c_wide)
        multiply_add(parts, c_wide, space.normal_D, d_wide, 1, weights.project_DC, c_wide, count, d_n, c_wide)
        for j in range(0, count * c_wide, LANES):
            value, slope = silu_and_slope(load(parts, j))
            store(parts, j, value)
            if with_slopes:
                store(slopes, j, slope)


@njit(nogil=True, cache=True)
def _finish(chunk, shape, weights, state, mixed, out, space):
    """`out = dropout(U * LN(mixed)) W + b + state` for a chunk's rows."""
    first, last = chunk
    d_n, m_n = shape.width, mixed_width(shape)
    d_wide, m_wide, c_wide = wide(d_n), wide(m_n), wide(columns(shape))
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        for r in range(count):
            normal, parts = after(space.normal_M, r * m_wide), after(space.parts, (row + r - first) * c_wide)
            _normalise(after(mixed, (row + r) * m_n), m_n, normal)
            _gate(row + r, shape, parts, normal, normal)
            for j in range(0, d_n, LANES):
                before = load_first(state, (row + r) * d_n + j, d_n - j)
                store(space.block_D, r * d_wide + j, before + load(weights.output_bias_D, j))
        multiply_add(space.block_D, d_wide, space.normal_M, m_wide, 1, weights.output_MD, d_wide, count, m_n, d_wide)
        for r in range(count):
            for j in range(0, d_n, LANES):
                store_first(out, (row + r) * d_n + j, load(space.block_D, r * d_wide + j), d_n - j)


@njit(nogil=True, cache=True)
def _finish_backward(chunk, shape, weights, upstream, mixed, space, sums):
    """Gradients of `_finish`: of U and of what attention mixed, in the chunk's memory, and of the output's weights."""
    first, last = chunk
    d_n, m_n = shape.width, mixed_width(shape)
    d_wide, m_wide, c_wide = wide(d_n), wide(m_n), wide(columns(shape))
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        take_rows(after(upstream, row * d_n), d_n, count, d_n, space.block_D, d_wide)
        clear_rows(space.block_M, m_wide, count, m_wide)
        multiply_add(space.block_M, m_wide, space.block_D, d_wide, 1, weights.output_DM, m_wide, count, d_n, m_wide)
        for r in range(count):
            at, c_at = r * m_wide, (row + r - first) * c_wide
            parts, normal, gradient = after(space.parts, c_at), after(space.normal_M, at), after(space.block_M, at)
            inverse = _normalise(after(mixed, (row + r) * m_n), m_n, normal)
            _gate(row + r, shape, parts, normal, after(space.gated_M, at))
            clear_rows(after(space.gradients, c_at), c_wide, 1, c_wide)
            _gate_gradient(row + r, shape, parts, normal, gradient, after(space.gradients, c_at))
            _normalise_gradient(gradient, normal, m_n, inverse)
            for j in range(0, m_n, LANES):
                store_first(space.mixed_gradient, (row + r - first) * m_n + j, load(gradient, j), m_n - j)
        _add_together(space.block_D, count, d_wide, sums.output_bias_D)
        multiply_add(sums.output_DM, m_wide, space.block_D, 1, d_wide, space.gated_M, m_wide, d_n, count, m_wide)


@njit(nogil=True, cache=True)
def _add_together(rows, count, width, target):
    """The sum of `count` wide rows, added to one."""
    for j in range(0, width, LANES):
        sums = load(target, j)
        for r in range(count):
            sums += load(rows, r * width + j)
        store(target, j, sums)


@njit(nogil=True, cache=True)
def _prepare_backward(chunk, shape, weights, upstream, state, state_gradient, space, sums):
    """Gradients of `_prepare` and of the residual: of the state, and of the projection's weight."""
    first, last = chunk
    d_n, c_n, d_wide, c_wide = shape.width, columns(shape), wide(shape.width), wide(columns(shape))
    for row in range(first, last, BLOCK):
        count = min(BLOCK, last - row)
        gradients, slopes = after(space.gradients, (row - first) * c_wide), after(space.slopes, (row - first) * c_wide)
        for j in range(0, count * c_wide, LANES):
            store(gradients, j, load(gradients, j) * load(slopes, j))
        clear_rows(space.block_D, d_wide, count, d_wide)
        multiply_add(space.block_D, d_wide, gradients, c_wide, 1, weights.project_CD, d_wide, count, c_n, d_wide)
        for r in range(count):
            normal, gradient = after(space.normal_D, r * d_wide), after(space.block_D, r * d_wide)
            inverse = _normalise(after(state, (row + r) * d_n), d_n, normal)
            _normalise_gradient(gradient, normal, d_n, inverse)
            for j in range(0, d_n, LANES):
                at = (row + r) * d_n + j
                store_first(state_gradient, at, load(gradient, j) + load_first(upstream, at, d_n - j), d_n - j)
        multiply_add(sums.project_DC, c_wide, space.normal_D, 1, d_wide, gradients, c_wide, d_n, count, c_wide)


@njit(inline="always")
def _heads(memory, first, shape):
    """Queries, keys and values in a chunk's rows of U, V, Q and K, addressed by the batch's rows."""
    row = wide(columns(shape))
    value = after(memory, mixed_width(shape) - first * row)
    query = after(value, mixed_width(shape))
    key = after(query, shape.heads * shape.query_width)
    return Heads(query, row, key, row, value, row, shape.heads, shape.query_width, shape.value_width)


@njit(nogil=True, cache=True)
def _next_chunk(rows, user, first):
    """The sequence behind a chunk that begins at row `first` with sequence `user`, and the row behind it."""
    last = rows.offsets_U1[user + 1]
    user += 1
    while last < rows.last and rows.offsets_U1[user + 1] <= min(first + CHUNK, rows.last):
        last = rows.offsets_U1[user + 1]
        user += 1
    return user, last


@njit(inline="always")
def _weights_at(weights):
    matrices = (address(weights.project_DC), address(weights.project_CD), address(weights.output_MD))
    return Weights(*matrices, address(weights.output_DM), address(weights.output_bias_D))


@njit(inline="always")
def _sums_at(sums):
    matrices = (address(sums.project_DC), address(sums.output_DM), address(sums.output_bias_D))
    return Sums(*matrices, address(sums.distance), address(sums.time))


@njit(nogil=True, cache=True)
def layer_forward(rows, bias, shape, weights, state, mixed, out, memory):
    """What attention mixes, and a layer's output, for the rows of whole sequences.

    Args:
        rows: which.
        bias: of attention.
        shape: of the layer.
        weights: of the layer.
        state: of all rows, `[N, D]`.
        mixed: put there, `[N, M]`.
        out: put there, `[N, D]`.
        memory: `layer_space_needed` numbers.
    """
    at, tables, space, weights_at = rows_at(rows), bias_at(bias), _space(address(memory), shape), _weights_at(weights)
    state, mixed, out = address(state), address(mixed), address(out)
    user, first = rows.user, rows.first
    while first < rows.last:
        behind, last = _next_chunk(at, user, first)
        _prepare((first, last), shape, weights_at, state, space, False)
        _clear(mixed, first * mixed_width(shape), last * mixed_width(shape))
        chunk = Rows(at.offsets_U1, user, first, last)
        attend(chunk, tables, _heads(space.parts, first, shape), mixed, space.attention)
        _finish((first, last), shape, weights_at, state, mixed, out, space)
        user, first = behind, last


@njit(nogil=True, cache=True)
def _clear(memory, first, last):
    for j in range(first, last, LANES):
        store_first(memory, j, spread(np.float32(0)), last - j)


@njit(nogil=True, cache=True)
def layer_backward(rows, bias, shape, weights, upstream, state, mixed, state_gradient, sums, memory):
    """Gradients of `layer_forward`.

    Args:
        rows: as there.
        bias: as there.
        shape: as there.
        weights: as there.
        upstream: gradient of its output, `[N, D]`.
        state: as there.
        mixed: what it put there.
        state_gradient: put there, `[N, D]`.
        sums: to add to.
        memory: as there.
    """
    at, tables, space, weights_at = rows_at(rows), bias_at(bias), _space(address(memory), shape), _weights_at(weights)
    sums_at, state, mixed = _sums_at(sums), address(state), address(mixed)
    upstream, state_gradient = address(upstream), address(state_gradient)
    user, first = rows.user, rows.first
    while first < rows.last:
        behind, last = _next_chunk(at, user, first)
        _prepare((first, last), shape, weights_at, state, space, True)
        _finish_backward((first, last), shape, weights_at, upstream, mixed, space, sums_at)
        chunk, parts, gradients = (
            Rows(at.offsets_U1, user, first, last),
            _heads(space.parts, first, shape),
            _heads(space.gradients, first, shape),
        )
        mixed_gradient = after(space.mixed_gradient, -first * mixed_width(shape))
        bias_sums = (sums_at.distance, sums_at.time)
        attend_backward(chunk, tables, parts, mixed_gradient, gradients, bias_sums, space.attention)
        _prepare_backward((first, last), shape, weights_at, upstream, state, state_gradient, space, sums_at)
        user, first = behind, last
