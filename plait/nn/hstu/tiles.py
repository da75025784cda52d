"""HSTU attention and its gradients for a range of rows, tile by tile: the inside of `plait.nn.hstu.cpu`.

The range is walked in tiles of `TILE` columns and blocks of `BLOCK` rows. What a tile needs of keys and values is laid
out once and stays in a core's cache; a block's scores never leave it. Attention without a softmax is a plain sum, so a
tile's share is simply added.

All arrays are flat float32 with explicit row strides, so that queries, keys and values are read where the projection
left them.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from plait.nn.hstu.microkernel import ROWS, multiply_add
from plait.nn.hstu.vector_silu import silu, silu_and_slope
from plait.nn.hstu.vectors import LANES, spread, store
from plait.nn.time_buckets import TIME_BUCKETS

TILE = 256
"""Columns of a tile."""
BLOCK = 2 * ROWS
"""Rows that meet a tile together."""


class Rows(NamedTuple):
    """Which rows, of which sequences, and the biases between their events."""

    offsets_U1: NDArray[np.int64]
    user: int
    """The sequence of the first row."""
    first: int
    last: int
    scale: np.float32
    """What attention is multiplied by: 1 / n."""
    distance_P: NDArray[np.float32]
    """Bias by distance, the largest first; empty for none."""
    time_Z: NDArray[np.float32]
    """Bias by time bucket; empty for none."""
    run_end_R: NDArray[np.int32]
    run_bucket_R: NDArray[np.uint8]


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


@njit(inline="always")
def _up(count, multiple):
    return (count + multiple - 1) // multiple * multiple


@njit(nogil=True, cache=True)
def _weights(score, row, seen, wide, scale):
    """Scores of one row of a block become weights; zeros behind the `seen` columns that it may look at."""
    for j in range(row * TILE, row * TILE + seen, LANES):
        silu(score, j, scale)
    for j in range(row * TILE + seen, row * TILE + wide):
        score[j] = np.float32(0)


@njit(nogil=True, cache=True)
def _weights_and_slopes(score, slope, row, seen, wide, scale):
    """As `_weights`; the gradient of the weights in `slope` becomes that of the scores."""
    for j in range(row * TILE, row * TILE + seen, LANES):
        silu_and_slope(score, slope, j, scale)
    for j in range(row * TILE + seen, row * TILE + wide):
        score[j] = np.float32(0)
        slope[j] = np.float32(0)


@njit(nogil=True, cache=True, fastmath=True)
def _fill_bias(bias, at, row, start, tile, count, rows):
    """Bias of one row (of the batch) and columns `tile` to `tile + count` of its sequence, which begins at `start`."""
    if len(rows.time_Z):
        here, column = TIME_BUCKETS * row, tile
        while column < tile + count:
            end = min(np.int64(rows.run_end_R[here]), tile + count)
            if end > column:
                weight = rows.time_Z[rows.run_bucket_R[here]]
                for j in range(at + column - tile, at + end - tile, LANES):
                    store(bias, j, spread(weight))  # what it writes too far, the next run or row overwrites
                column = end
            here += 1
    if len(rows.distance_P):
        shift = len(rows.distance_P) - 1 - (row - start) + tile
        for j in range(count):
            bias[at + j] += rows.distance_P[shift + j]


@njit(nogil=True, cache=True, fastmath=True)
def _sum(numbers, first, last):
    """In any order, so that vectors may do it."""
    total = np.float32(0)
    for j in range(first, last):
        total += numbers[j]
    return total


@njit(nogil=True, cache=True)
def _add_bias_gradient(slope, at, row, start, tile, count, rows, distance_P, time_Z):
    """The gradient of what `_fill_bias` filled in, added to those of the two tables."""
    if len(rows.time_Z):
        here, column = TIME_BUCKETS * row, tile
        while column < tile + count:
            end = min(np.int64(rows.run_end_R[here]), tile + count)
            if end > column:
                # Only `_sum` may add in another order. With this line in it too, a kernel just compiled and the same
                # one from the cache differed in the last bit, so that training did not repeat.
                time_Z[rows.run_bucket_R[here]] += _sum(slope, at + column - tile, at + end - tile)
                column = end
            here += 1
    if len(rows.distance_P):
        shift = len(rows.distance_P) - 1 - (row - start) + tile
        for j in range(count):
            distance_P[shift + j] += slope[at + j]


@njit(nogil=True, cache=True)
def _by_column(source, source_row, offset, width, place, tile):
    """A tile of keys or values as `[width, TILE]`."""
    start, first, columns = place
    at = (start + first) * source_row + offset
    for d in range(width):
        for j in range(columns):
            tile[d * TILE + j] = source[at + j * source_row + d]


@njit(nogil=True, cache=True)
def _by_row(source, source_row, offset, width, place, tile, tile_row):
    """A tile of keys or values as `[TILE, tile_row]`."""
    start, first, columns = place
    at = (start + first) * source_row + offset
    for j in range(columns):
        for d in range(width):
            tile[j * tile_row + d] = source[at + j * source_row + d]


@njit(nogil=True, cache=True)
def _copy_rows(source, at, row, count, width, target, target_row):
    """`count` rows of `width` numbers to a block."""
    for r in range(count):
        for d in range(width):
            target[r * target_row + d] = source[at + r * row + d]


@njit(nogil=True, cache=True)
def _clear_rows(block, count, width):
    """Zeros in the first `width` columns of a block's rows."""
    for r in range(count):
        for j in range(r * TILE, r * TILE + width):
            block[j] = np.float32(0)


@njit(nogil=True, cache=True)
def _add_rows(source, source_row, count, width, target, at, target_row):
    """The first `width` numbers of `count` rows, added to rows elsewhere."""
    for r in range(count):
        for d in range(width):
            target[at + r * target_row + d] += source[r * source_row + d]


@njit(nogil=True, cache=True)
def _add_columns(source, count, width, target, at, target_row):
    """The first `count` columns of `[width, TILE]`, added to rows elsewhere."""
    for j in range(count):
        for d in range(width):
            target[at + j * target_row + d] += source[d * TILE + j]


@njit(nogil=True, cache=True)
def _block_of_bias(bias, row, count, place, rows):
    """Bias of a block's rows; zeros where a row may not look."""
    start, tile, columns = place
    _clear_rows(bias, BLOCK, _up(min(columns, row + count - start - tile), LANES))
    for r in range(count):
        _fill_bias(bias, r * TILE, row + r, start, tile, min(columns, row + r - start + 1 - tile), rows)


@njit(nogil=True, cache=True)
def _block_of_bias_gradient(slopes, row, count, place, rows, distance_P, time_Z):
    """What a block's slopes add to the gradients of the two tables."""
    start, tile, columns = place
    for r in range(count):
        seen = min(columns, row + r - start + 1 - tile)
        _add_bias_gradient(slopes, r * TILE, row + r, start, tile, seen, rows, distance_P, time_Z)


@njit(nogil=True, cache=True)
def _forward_block(row, count, h, place, rows, heads, keys, values, bias, buffers, out):
    """One head's share of one tile for one block of rows."""
    start, tile, columns = place
    query, score, mixed = buffers
    k_n, v_n, v_wide = heads.query_width, heads.value_width, _up(heads.value_width, LANES)
    seen = min(columns, row + count - start - tile)
    wide = _up(seen, LANES)
    _copy_rows(bias, 0, TILE, count, wide, score, TILE)
    _copy_rows(heads.query, row * heads.query_row + h * k_n, heads.query_row, count, k_n, query, k_n)
    multiply_add(score, 0, TILE, query, 0, k_n, 1, keys, 0, TILE, count, k_n, wide)
    for r in range(count):
        _weights(score, r, min(columns, row + r - start + 1 - tile), wide, rows.scale)
    mixed[:] = np.float32(0)
    multiply_add(mixed, 0, v_wide, score, 0, TILE, 1, values, 0, v_wide, count, seen, v_wide)
    _add_rows(mixed, v_wide, count, v_n, out, (row * heads.heads + h) * v_n, heads.heads * v_n)


@njit(nogil=True, cache=True)
def forward_rows(rows, heads, out):
    """`out[i] += sum over j <= i of SiLU(q_i . k_j + bias) / n * v_j` for the rows of `rows`; `out` is zero before."""
    h_n, k_n, v_n = heads.heads, heads.query_width, heads.value_width
    v_wide = _up(v_n, LANES)
    keys, values = np.zeros((h_n, k_n * TILE), np.float32), np.zeros((h_n, TILE * v_wide), np.float32)
    bias = np.zeros(BLOCK * TILE + LANES, np.float32)
    buffers = (
        np.zeros(BLOCK * k_n, np.float32),
        np.zeros(BLOCK * TILE, np.float32),
        np.zeros(BLOCK * v_wide, np.float32),
    )
    user, first = rows.user, rows.first
    while first < rows.last:
        start, end = rows.offsets_U1[user], min(rows.offsets_U1[user + 1], rows.last)
        for tile in range(0, end - start, TILE):
            place = (start, tile, min(TILE, end - start - tile))
            for h in range(h_n):
                _by_column(heads.key, heads.key_row, h * k_n, k_n, place, keys[h])
                _by_row(heads.value, heads.value_row, h * v_n, v_n, place, values[h], v_wide)
            for row in range(max(first, start + tile), end, BLOCK):
                count = min(BLOCK, end - row)
                _block_of_bias(bias, row, count, place, rows)
                for h in range(h_n):
                    _forward_block(row, count, h, place, rows, heads, keys[h], values[h], bias, buffers, out)
        first = end
        user += 1


@njit(nogil=True, cache=True)
def _backward_block(row, count, h, place, rows, heads, tiles, bias, buffers, slopes, upstream_of, gradients):
    """One head's gradients from one tile for one block of rows; `slopes` gathers the bias' over the heads."""
    start, tile, columns = place
    keys, keys_by_row, values, key_gradient, value_gradient = tiles
    query, upstream, score, slope, q_slope = buffers
    k_n, v_n = heads.query_width, heads.value_width
    k_rows, v_rows, k_wide = _up(k_n, ROWS), _up(v_n, ROWS), _up(k_n, LANES)
    seen = min(columns, row + count - start - tile)
    wide = _up(seen, LANES)
    _copy_rows(bias, 0, TILE, BLOCK, wide, score, TILE)
    _clear_rows(slope, BLOCK, wide)
    _copy_rows(heads.query, row * heads.query_row + h * k_n, heads.query_row, count, k_n, query, k_rows)
    _copy_rows(upstream_of, (row * heads.heads + h) * v_n, heads.heads * v_n, count, v_n, upstream, v_rows)
    multiply_add(score, 0, TILE, query, 0, k_rows, 1, keys, 0, TILE, count, k_n, wide)
    multiply_add(slope, 0, TILE, upstream, 0, v_rows, 1, values, 0, TILE, count, v_n, wide)
    for r in range(BLOCK):
        visible = min(columns, row + r - start + 1 - tile) if r < count else 0
        _weights_and_slopes(score, slope, r, visible, wide, rows.scale)
    multiply_add(value_gradient, 0, TILE, upstream, 0, 1, v_rows, score, 0, TILE, v_n, BLOCK, wide)
    multiply_add(key_gradient, 0, TILE, query, 0, 1, k_rows, slope, 0, TILE, k_n, BLOCK, wide)
    q_slope[:] = np.float32(0)
    multiply_add(q_slope, 0, k_wide, slope, 0, TILE, 1, keys_by_row, 0, k_wide, count, seen, k_wide)
    at = row * gradients.query_row + h * k_n
    _add_rows(q_slope, k_wide, count, k_n, gradients.query, at, gradients.query_row)
    if len(slopes):
        for r in range(count):
            for j in range(r * TILE, r * TILE + wide):
                slopes[j] += slope[j]


@njit(nogil=True, cache=True)
def backward_rows(rows, heads, out_gradient, gradients, shift, distance_P, time_Z):
    """Gradients of `forward_rows` for the rows of `rows`, added to arrays of zeros.

    Args:
        rows: as in `forward_rows`.
        heads: as in `forward_rows`.
        out_gradient: of the output.
        gradients: of queries, keys and values, to add to.
        shift: the event whose keys and values have the first row there.
        distance_P: gradient of the bias by distance, to add to.
        time_Z: gradient of the bias by time, to add to.
    """
    h_n, k_n, v_n = heads.heads, heads.query_width, heads.value_width
    k_rows, v_rows, k_wide = _up(k_n, ROWS), _up(v_n, ROWS), _up(k_n, LANES)
    keys, values = np.zeros((h_n, k_n * TILE), np.float32), np.zeros((h_n, v_n * TILE), np.float32)
    keys_by_row = np.zeros((h_n, TILE * k_wide), np.float32)
    key_sums, value_sums = np.zeros((h_n, k_rows * TILE), np.float32), np.zeros((h_n, v_rows * TILE), np.float32)
    bias = np.zeros(BLOCK * TILE + LANES, np.float32)
    slopes = np.zeros(BLOCK * TILE if len(distance_P) or len(time_Z) else 0, np.float32)
    buffers = (
        np.zeros(BLOCK * k_rows, np.float32),
        np.zeros(BLOCK * v_rows, np.float32),
        np.zeros(BLOCK * TILE, np.float32),
        np.zeros(BLOCK * TILE, np.float32),
        np.zeros(BLOCK * k_wide, np.float32),
    )
    user, first = rows.user, rows.first
    while first < rows.last:
        start, end = rows.offsets_U1[user], min(rows.offsets_U1[user + 1], rows.last)
        for tile in range(0, end - start, TILE):
            place = (start, tile, min(TILE, end - start - tile))
            key_sums[:] = np.float32(0)
            value_sums[:] = np.float32(0)
            for h in range(h_n):
                _by_row(heads.key, heads.key_row, h * k_n, k_n, place, keys_by_row[h], k_wide)
                _by_column(heads.key, heads.key_row, h * k_n, k_n, place, keys[h])
                _by_column(heads.value, heads.value_row, h * v_n, v_n, place, values[h])
            for row in range(max(first, start + tile), end, BLOCK):
                count = min(BLOCK, end - row)
                _block_of_bias(bias, row, count, place, rows)
                if len(slopes):
                    _clear_rows(slopes, count, _up(min(place[2], row + count - start - tile), LANES))
                for h in range(h_n):
                    tiles = (keys[h], keys_by_row[h], values[h], key_sums[h], value_sums[h])
                    _backward_block(
                        row, count, h, place, rows, heads, tiles, bias, buffers, slopes, out_gradient, gradients
                    )
                if len(slopes):
                    _block_of_bias_gradient(slopes, row, count, place, rows, distance_P, time_Z)
            for h in range(h_n):
                key_at = (start + tile - shift) * gradients.key_row + h * k_n
                value_at = (start + tile - shift) * gradients.value_row + h * v_n
                _add_columns(key_sums[h], place[2], k_n, gradients.key, key_at, gradients.key_row)
                _add_columns(value_sums[h], place[2], v_n, gradients.value, value_at, gradients.value_row)
        first = end
        user += 1
