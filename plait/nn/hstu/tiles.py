"""HSTU attention and its gradients for a range of rows, tile by tile: the inside of `plait.nn.hstu.cpu`.

The range is walked in tiles of `TILE` columns and blocks of `BLOCK` rows. What a tile needs of keys and values is laid
out once and stays in a core's cache; a block's scores never leave it. Attention without a softmax is a plain sum, so a
tile's share is simply added.

All numbers are float32 in memory with explicit row strides, so that queries, keys and values are read where the
projection left them. Rows of a block and of a tile are whole vectors; what stands behind their last number counts for
nothing.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from plait.nn.hstu.microkernel import ROWS, multiply_add
from plait.nn.hstu.vector_silu import silu_and_slope
from plait.nn.hstu.vectors import (
    LANES,
    address,
    after,
    load,
    load_first,
    only_first,
    spread,
    store,
    store_first,
    transpose_square,
)

TILE = 256
"""Columns of a tile."""
BLOCK = 2 * ROWS
"""Rows that meet a tile together."""


class Rows(NamedTuple):
    """Which rows, of which sequences."""

    offsets_U1: NDArray[np.int64]
    user: int
    """The sequence of the first row."""
    first: int
    last: int


class Bias(NamedTuple):
    """What is added to scores before SiLU, and what attention is multiplied by after it."""

    scale: np.float32
    """1 / n."""
    distance: NDArray[np.float32]
    """By distance, the largest first, and `LANES` more numbers."""
    distances: int
    """How many distances there are; 0 for no such bias."""
    time: NDArray[np.float32]
    """By time bucket."""
    times: int
    """How many buckets there are; 0 for no such bias."""
    run_first: NDArray[np.int64]
    run_end: NDArray[np.int32]
    run_bucket: NDArray[np.uint8]
    """The runs of `plait.nn.hstu.time_runs`."""


class Heads(NamedTuple):
    """Queries, keys and values: H heads of K and V numbers."""

    query: NDArray[np.float32]
    query_row: int
    key: NDArray[np.float32]
    key_row: int
    value: NDArray[np.float32]
    value_row: int
    heads: int
    query_width: int
    value_width: int


class _Space(NamedTuple):
    """Addresses of a thread's memory: of every head's tiles, then of one block's rows."""

    keys: int
    """`[H, K, TILE]`, as are the next three; K and V are rounded up to whole vectors."""
    key_sums: int
    values: int
    value_sums: int
    keys_by_row: int
    """`[H, TILE, K]`."""
    values_by_row: int
    turned: int
    """`[TILE, the wider of K and V]`."""
    bias: int
    """`[BLOCK, TILE]`, as are the next three."""
    score: int
    slope: int
    slopes: int
    query: int
    """`[BLOCK, K]`."""
    query_sums: int
    upstream: int
    """`[BLOCK, V]`."""
    mixed: int


@njit(inline="always")
def wide(count):
    """`count` rounded up to whole vectors."""
    return (count + LANES - 1) // LANES * LANES


def space_needed(heads: int, query_width: int, value_width: int) -> int:
    """How many numbers a thread needs as its working memory."""
    key, value = wide(query_width), wide(value_width)
    tiles = TILE * (3 * heads * (key + value) + max(key, value))
    return int(tiles + BLOCK * (4 * TILE + 2 * (key + value)) + 4 * LANES)


@njit(nogil=True, cache=True)
def _space(memory, heads):
    k_wide, v_wide = wide(heads.query_width), wide(heads.value_width)
    k_tiles, v_tiles, rows = heads.heads * k_wide * TILE, heads.heads * v_wide * TILE, BLOCK * TILE + LANES
    keys = memory
    key_sums = after(keys, k_tiles)
    values = after(key_sums, k_tiles)
    value_sums = after(values, v_tiles)
    keys_by_row = after(value_sums, v_tiles)
    values_by_row = after(keys_by_row, k_tiles)
    turned = after(values_by_row, v_tiles)
    bias = after(turned, TILE * max(k_wide, v_wide))
    score = after(bias, rows)
    slope = after(score, rows)
    slopes = after(slope, rows)
    query = after(slopes, rows)
    query_sums = after(query, BLOCK * k_wide)
    upstream = after(query_sums, BLOCK * k_wide)
    return _Space(
        keys,
        key_sums,
        values,
        value_sums,
        keys_by_row,
        values_by_row,
        turned,
        bias,
        score,
        slope,
        slopes,
        query,
        query_sums,
        upstream,
        after(upstream, BLOCK * v_wide),
    )


@njit(nogil=True, cache=True)
def take_rows(source, source_row, count, width, target, target_row):
    """`count` rows of `width` numbers, to rows of whole vectors with zeros behind their last number."""
    for r in range(count):
        for j in range(0, width, LANES):
            store(target, r * target_row + j, load_first(source, r * source_row + j, width - j))


@njit(nogil=True, cache=True)
def add_rows(source, source_row, count, width, target, target_row):
    """The first `width` numbers of `count` rows, added to rows elsewhere."""
    for r in range(count):
        for j in range(0, width, LANES):
            at = r * target_row + j
            total = load_first(target, at, width - j) + load(source, r * source_row + j)
            store_first(target, at, total, width - j)


@njit(nogil=True, cache=True)
def clear_rows(block, row, count, width):
    """Zeros in the first `width` numbers of `count` rows, up to whole vectors."""
    for r in range(count):
        for j in range(r * row, r * row + width, LANES):
            store(block, j, spread(np.float32(0)))


@njit(nogil=True, cache=True)
def _transpose(source, source_row, rows, columns, target, target_row):
    """`target[j, r] = source[r, j]`, in whole squares."""
    for r in range(0, rows, LANES):
        for j in range(0, columns, LANES):
            square = after(source, r * source_row + j)
            transpose_square(square, source_row, after(target, j * target_row + r), target_row)


@njit(nogil=True, cache=True)
def _fill_bias(target, row, place, count, bias):
    """The bias of one row (of the batch) and the first `count` columns of a tile."""
    start, tile, _ = place
    if bias.times:
        run, column = bias.run_first[row], tile
        while bias.run_end[run] <= tile:
            run += 1
        while column < tile + count:
            weight = spread(bias.time[bias.run_bucket[run]])
            end = min(np.int64(bias.run_end[run]), tile + count)
            # What is written too far, the next run or row overwrites. Most runs are shorter than a vector.
            store(target, column - tile, weight)
            for j in range(column - tile + LANES, end - tile, LANES):
                store(target, j, weight)
            column = end
            run += 1
    else:
        clear_rows(target, 0, 1, count)
    if bias.distances:
        distance = after(bias.distance, bias.distances - 1 - (row - start) + tile)
        for j in range(0, count, LANES):
            store(target, j, load(target, j) + load(distance, j))


@njit(nogil=True, cache=True)
def _add_bias_gradient(slopes, row, place, count, bias, sums):
    """The gradient of what `_fill_bias` filled in, added to those of the two tables.

    That of a bucket has a place for every lane, so that a run is added as it lies, without summing it up: always in the
    same order, whatever the compiler.
    """
    start, tile, _ = place
    distance_sums, time_sums = sums
    if bias.times:
        run, column = bias.run_first[row], tile
        while bias.run_end[run] <= tile:
            run += 1
        while column < tile + count:
            at = LANES * np.int64(bias.run_bucket[run])
            end = min(np.int64(bias.run_end[run]), tile + count)
            for j in range(column, end, LANES):
                store(time_sums, at, load(time_sums, at) + load_first(slopes, j - tile, end - j))
            column = end
            run += 1
    if bias.distances:
        distance_sums = after(distance_sums, bias.distances - 1 - (row - start) + tile)
        for j in range(0, count, LANES):
            store(distance_sums, j, load(distance_sums, j) + load_first(slopes, j, count - j))


@njit(nogil=True, cache=True)
def _weights(score, seen, columns, scale):
    """Scores of a row become weights; zeros behind the `seen` columns that it may look at."""
    for j in range(0, seen, LANES):
        weight, _ = silu_and_slope(load(score, j))
        store(score, j, only_first(weight * spread(scale), seen - j))
    for j in range(wide(seen), columns, LANES):
        store(score, j, spread(np.float32(0)))


@njit(nogil=True, cache=True)
def _weights_and_slopes(score, slope, slopes, seen, columns, scale):
    """As `_weights`; the gradient of the weights in `slope` becomes that of the scores, and is added to `slopes`."""
    for j in range(0, seen, LANES):
        weight, derivative = silu_and_slope(load(score, j))
        store(score, j, only_first(weight * spread(scale), seen - j))
        gradient = only_first(load(slope, j) * derivative * spread(scale), seen - j)
        store(slope, j, gradient)
        store(slopes, j, load(slopes, j) + gradient)
    for j in range(wide(seen), columns, LANES):
        store(score, j, spread(np.float32(0)))
        store(slope, j, spread(np.float32(0)))


@njit(inline="always")
def _seen(row, place):
    """How many columns of a tile a row may look at."""
    start, tile, columns = place
    return min(columns, row + 1 - start - tile)


@njit(nogil=True, cache=True)
def _copy_bias(space, columns):
    for r in range(BLOCK):
        for j in range(r * TILE, r * TILE + columns, LANES):
            store(space.score, j, load(space.bias, j))


@njit(nogil=True, cache=True)
def _forward_block(row, count, h, place, scale, heads, space, out):
    """One head's share of one tile for one block of rows."""
    k_n, v_n = heads.query_width, heads.value_width
    k_wide, v_wide = wide(k_n), wide(v_n)
    seen = _seen(row + count - 1, place)
    _copy_bias(space, seen)
    take_rows(after(heads.query, row * heads.query_row + h * k_n), heads.query_row, count, k_n, space.query, k_wide)
    keys, values = after(space.keys, h * k_wide * TILE), after(space.values_by_row, h * TILE * v_wide)
    multiply_add(space.score, TILE, space.query, k_wide, 1, keys, TILE, count, k_n, wide(seen))
    for r in range(count):
        _weights(after(space.score, r * TILE), _seen(row + r, place), seen, scale)
    clear_rows(space.mixed, v_wide, BLOCK, v_wide)
    multiply_add(space.mixed, v_wide, space.score, TILE, 1, values, v_wide, count, seen, v_wide)
    add_rows(space.mixed, v_wide, count, v_n, after(out, (row * heads.heads + h) * v_n), heads.heads * v_n)


@njit(nogil=True, cache=True)
def _lay_out(heads, place, space, backward):
    """A tile's keys and values of every head, by row and by column."""
    start, tile, columns = place
    k_n, v_n = heads.query_width, heads.value_width
    k_wide, v_wide = wide(k_n), wide(v_n)
    for h in range(heads.heads):
        key = after(heads.key, (start + tile) * heads.key_row + h * k_n)
        value = after(heads.value, (start + tile) * heads.value_row + h * v_n)
        keys_by_row, values_by_row = (
            after(space.keys_by_row, h * TILE * k_wide),
            after(space.values_by_row, h * TILE * v_wide),
        )
        take_rows(key, heads.key_row, columns, k_n, keys_by_row, k_wide)
        take_rows(value, heads.value_row, columns, v_n, values_by_row, v_wide)
        _transpose(keys_by_row, k_wide, columns, k_wide, after(space.keys, h * k_wide * TILE), TILE)
        if backward:
            _transpose(values_by_row, v_wide, columns, v_wide, after(space.values, h * v_wide * TILE), TILE)
            clear_rows(after(space.key_sums, h * k_wide * TILE), TILE, k_wide, columns)
            clear_rows(after(space.value_sums, h * v_wide * TILE), TILE, v_wide, columns)


@njit(nogil=True, cache=True)
def attend(rows, bias, heads, out, memory):
    """`out[i] += sum over j <= i of SiLU(q_i . k_j + bias) / n * v_j` for the rows of `rows`.

    Args:
        rows: with the address of the offsets, as all arrays here are addresses.
        bias: of all rows.
        heads: of all rows.
        out: of all rows, `[N, H, V]`.
        memory: `space_needed` numbers.
    """
    space = _space(memory, heads)
    user, first = rows.user, rows.first
    while first < rows.last:
        start, end = rows.offsets_U1[user], min(rows.offsets_U1[user + 1], rows.last)
        for tile in range(0, end - start, TILE):
            place = (start, tile, min(TILE, end - start - tile))
            _lay_out(heads, place, space, False)
            for row in range(max(first, start + tile), end, BLOCK):
                count = min(BLOCK, end - row)
                for r in range(count):
                    _fill_bias(after(space.bias, r * TILE), row + r, place, _seen(row + r, place), bias)
                for h in range(heads.heads):
                    _forward_block(row, count, h, place, bias.scale, heads, space, out)
        first = end
        user += 1


@njit(nogil=True, cache=True)
def _backward_block(row, count, h, place, scale, heads, space, upstream_of, gradients):
    """One head's gradients from one tile for one block of rows; `space.slopes` gathers the bias' over the heads."""
    k_n, v_n = heads.query_width, heads.value_width
    k_wide, v_wide = wide(k_n), wide(v_n)
    seen = _seen(row + count - 1, place)
    query, upstream, score, slope = space.query, space.upstream, space.score, space.slope
    k_tile, v_tile = h * k_wide * TILE, h * v_wide * TILE
    _copy_bias(space, seen)
    clear_rows(slope, TILE, BLOCK, seen)
    take_rows(after(heads.query, row * heads.query_row + h * k_n), heads.query_row, count, k_n, query, k_wide)
    take_rows(after(upstream_of, (row * heads.heads + h) * v_n), heads.heads * v_n, count, v_n, upstream, v_wide)
    multiply_add(score, TILE, query, k_wide, 1, after(space.keys, k_tile), TILE, count, k_n, wide(seen))
    multiply_add(slope, TILE, upstream, v_wide, 1, after(space.values, v_tile), TILE, count, v_n, wide(seen))
    for r in range(count):
        at = r * TILE
        rows = (after(score, at), after(slope, at), after(space.slopes, at))
        _weights_and_slopes(rows[0], rows[1], rows[2], _seen(row + r, place), seen, scale)
    multiply_add(after(space.value_sums, v_tile), TILE, upstream, 1, v_wide, score, TILE, v_n, count, wide(seen))
    multiply_add(after(space.key_sums, k_tile), TILE, query, 1, k_wide, slope, TILE, k_n, count, wide(seen))
    clear_rows(space.query_sums, k_wide, BLOCK, k_wide)
    multiply_add(
        space.query_sums, k_wide, slope, TILE, 1, after(space.keys_by_row, k_tile), k_wide, count, seen, k_wide
    )
    target = after(gradients.query, row * gradients.query_row + h * k_n)
    add_rows(space.query_sums, k_wide, count, k_n, target, gradients.query_row)


@njit(nogil=True, cache=True)
def _add_tile(gradients, place, space):
    """What a tile's rows have summed up for its keys and values."""
    start, tile, columns = place
    k_n, v_n = gradients.query_width, gradients.value_width
    k_wide, v_wide = wide(k_n), wide(v_n)
    for h in range(gradients.heads):
        _transpose(after(space.key_sums, h * k_wide * TILE), TILE, k_wide, columns, space.turned, k_wide)
        target = after(gradients.key, (start + tile) * gradients.key_row + h * k_n)
        add_rows(space.turned, k_wide, columns, k_n, target, gradients.key_row)
        _transpose(after(space.value_sums, h * v_wide * TILE), TILE, v_wide, columns, space.turned, v_wide)
        target = after(gradients.value, (start + tile) * gradients.value_row + h * v_n)
        add_rows(space.turned, v_wide, columns, v_n, target, gradients.value_row)


@njit(nogil=True, cache=True)
def attend_backward(rows, bias, heads, upstream, gradients, bias_sums, memory):
    """Gradients of `attend` for the rows of `rows`, added to what is there.

    Args:
        rows: as in `attend`.
        bias: as there.
        heads: as there.
        upstream: gradient of the output.
        gradients: of queries, keys and values.
        bias_sums: gradients of the bias by distance, and of that by time, `LANES` numbers a bucket.
        memory: as there.
    """
    space = _space(memory, heads)
    user, first = rows.user, rows.first
    while first < rows.last:
        start, end = rows.offsets_U1[user], min(rows.offsets_U1[user + 1], rows.last)
        for tile in range(0, end - start, TILE):
            place = (start, tile, min(TILE, end - start - tile))
            _lay_out(heads, place, space, True)
            for row in range(max(first, start + tile), end, BLOCK):
                count = min(BLOCK, end - row)
                clear_rows(space.slopes, TILE, count, _seen(row + count - 1, place))
                for r in range(count):
                    _fill_bias(after(space.bias, r * TILE), row + r, place, _seen(row + r, place), bias)
                for h in range(heads.heads):
                    _backward_block(row, count, h, place, bias.scale, heads, space, upstream, gradients)
                for r in range(count):
                    slopes = after(space.slopes, r * TILE)
                    _add_bias_gradient(slopes, row + r, place, _seen(row + r, place), bias, bias_sums)
            _add_tile(gradients, place, space)
        first = end
        user += 1


@njit(inline="always")
def rows_at(rows):
    """With an address for its array."""
    return Rows(address(rows.offsets_U1), rows.user, rows.first, rows.last)


@njit(inline="always")
def bias_at(bias):
    """With addresses for its arrays."""
    tables = (address(bias.distance), bias.distances, address(bias.time), bias.times)
    return Bias(bias.scale, *tables, address(bias.run_first), address(bias.run_end), address(bias.run_bucket))


@njit(inline="always")
def heads_at(heads, shift):
    """With addresses for its arrays, whose keys and values begin with those of event `shift`."""
    key, value = (
        after(address(heads.key), -shift * heads.key_row),
        after(address(heads.value), -shift * heads.value_row),
    )
    parts = (address(heads.query), heads.query_row, key, heads.key_row, value, heads.value_row)
    return Heads(*parts, heads.heads, heads.query_width, heads.value_width)


@njit(nogil=True, cache=True)
def forward_rows(rows, bias, heads, out, memory):
    """`attend` for arrays."""
    attend(rows_at(rows), bias_at(bias), heads_at(heads, 0), address(out), address(memory))


@njit(nogil=True, cache=True)
def backward_rows(rows, bias, heads, upstream, gradients, shift, distance_sums, time_sums, memory):
    """`attend_backward` for arrays; the gradients of keys and values begin with those of event `shift`."""
    attend_backward(
        rows_at(rows),
        bias_at(bias),
        heads_at(heads, 0),
        address(upstream),
        heads_at(gradients, shift),
        (address(distance_sums), address(time_sums)),
        address(memory),
    )
