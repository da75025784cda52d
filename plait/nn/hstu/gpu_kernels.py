"""HSTU attention and its gradients for blocks of rows, as Triton kernels: the inside of `plait.nn.hstu.gpu`.

A program computes a block of one head's rows (or columns) against all that these may see, tile by tile, and alone
writes the result; so nothing is added up in an order that could change. Scores and biases of a tile live in registers.
Letters: R rows and C columns of a tile, K and V numbers of a head, padded to a power of two and masked.

Multiplications are in the type of the inputs, sums in float32; the 1 / n is applied to sums, which keeps float16 clear
of its smallest numbers.
"""

import math
from typing import Any, NamedTuple

import triton
import triton.language as tl

from plait.nn.time_buckets import BUCKET_WIDTH

_BUCKETS_PER_DOUBLING = tl.constexpr(math.log(2) / BUCKET_WIDTH)


class Part(NamedTuple):
    """A tensor `[N, H, width]` whose last dimension is contiguous."""

    data: Any
    row_stride: int
    head_stride: int
    width: int


class Blocks(NamedTuple):
    """Blocks of rows, those furthest from the beginning of their sequence first; and the times of all rows."""

    start_B: Any
    """Where the sequence of each block begins."""
    length_B: Any
    """Rows of the sequence, 32 bits; kernels count rows and columns from its beginning."""
    first_B: Any
    """First row of the block, 32 bits."""
    row_time_N: Any
    column_time_N: Any


class Biases(NamedTuple):
    """The two tables; None for none."""

    distance_P: Any
    time_Z: Any
    first_ms_Z: Any
    """The least difference in ms of each time bucket."""


@triton.jit
def _where(blocks, block):
    """Where the sequence of a block begins, its length, and the block's first row."""
    return tl.load(blocks.start_B + block), tl.load(blocks.length_B + block), tl.load(blocks.first_B + block)


@triton.jit
def _at(part, start, head, row_R, length, WIDE: tl.constexpr):
    """Where rows of one head lie, `[R, WIDE]`, and which of these numbers there are."""
    number = tl.arange(0, WIDE)
    base = part.data + start * part.row_stride + head * part.head_stride
    is_there = (row_R < length)[:, None] & (number < part.width)[None, :]
    return base + (row_R[:, None] * part.row_stride + number[None, :]), is_there


@triton.jit
def _load(part, start, head, row_R, length, WIDE: tl.constexpr):
    """Rows of one head, `[R, WIDE]`; zeros behind the sequence and beyond the part's width."""
    at, is_there = _at(part, start, head, row_R, length, WIDE)
    return tl.load(at, mask=is_there, other=0.0)


@triton.jit
def _store(part, start, head, row_R, length, rows, WIDE: tl.constexpr):
    """The reverse of `_load`."""
    at, is_there = _at(part, start, head, row_R, length, WIDE)
    tl.store(at, rows.to(part.data.dtype.element_ty), mask=is_there)


@triton.jit
def _bucket(blocks, biases, start, row_R, column_C, length):
    """Time bucket of each pair.

    The logarithm in float32, a little too small on purpose, gives the bucket or the one below it; the integer
    threshold between the two decides.
    """
    row_time_R = tl.load(blocks.row_time_N + start + row_R, mask=row_R < length, other=0)
    column_time_C = tl.load(blocks.column_time_N + start + column_C, mask=column_C < length, other=0)
    difference_RC = tl.maximum(row_time_R[:, None] - column_time_C[None, :], 0)
    seconds_RC = tl.maximum(difference_RC.to(tl.float32) * 0.001, 1.0)
    below_RC = tl.maximum(tl.log2(seconds_RC) * _BUCKETS_PER_DOUBLING - 0.001, 0.0).to(tl.int32)
    return below_RC + (difference_RC >= tl.load(biases.first_ms_Z + below_RC + 1)).to(tl.int32)


@triton.jit
def _bias(score_RC, blocks, biases, start, row_R, column_C, length):
    """Scores with their biases."""
    if biases.distance_P is not None:
        distance_RC = row_R[:, None] - column_C[None, :]
        is_pair_RC = (distance_RC >= 0) & (row_R < length)[:, None]
        score_RC += tl.load(biases.distance_P + distance_RC, mask=is_pair_RC, other=0.0).to(tl.float32)
    if biases.time_Z is not None:
        score_RC += tl.load(biases.time_Z + _bucket(blocks, biases, start, row_R, column_C, length)).to(tl.float32)
    return score_RC


@triton.jit
def _weight_and_slope(score_RC, weight_slope_RC, row_R, column_C, length):
    """SiLU of the scores, and the gradient of the scores from that of the weights; zeros where a row may not look."""
    is_pair_RC = (row_R[:, None] >= column_C[None, :]) & (row_R < length)[:, None]
    gate_RC = tl.sigmoid(score_RC)
    weight_RC = score_RC * gate_RC
    slope_RC = weight_slope_RC * gate_RC * (1.0 + score_RC - weight_RC)
    return tl.where(is_pair_RC, weight_RC, 0.0), tl.where(is_pair_RC, slope_RC, 0.0)


@triton.jit
def forward_kernel(
    query,
    key,
    value,
    out,
    blocks,
    biases,
    scale,
    BLOCK: tl.constexpr,
    K_WIDE: tl.constexpr,
    V_WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """`out[i] = scale * sum over j <= i of SiLU(q[i] . k[j] + bias) v[j]`; a program has a block of rows of a head."""
    block, head = tl.program_id(0), tl.program_id(1)
    start, length, first = _where(blocks, block)
    row_R = first + tl.arange(0, BLOCK)
    query_RK = _load(query, start, head, row_R, length, K_WIDE)
    mixed_RV = tl.zeros([BLOCK, V_WIDE], tl.float32)
    for column in range(0, tl.minimum(first + BLOCK, length), BLOCK):
        column_C = column + tl.arange(0, BLOCK)
        key_CK = _load(key, start, head, column_C, length, K_WIDE)
        value_CV = _load(value, start, head, column_C, length, V_WIDE)
        score_RC = tl.dot(query_RK, tl.trans(key_CK), input_precision=PRECISION)
        score_RC = _bias(score_RC, blocks, biases, start, row_R, column_C, length)
        weight_RC, _ = _weight_and_slope(score_RC, score_RC, row_R, column_C, length)
        mixed_RV += tl.dot(weight_RC.to(value_CV.dtype), value_CV, input_precision=PRECISION)
    _store(out, start, head, row_R, length, mixed_RV * scale, V_WIDE)


@triton.jit
def query_kernel(
    query,
    key,
    value,
    upstream,
    query_gradient,
    blocks,
    biases,
    scale,
    BLOCK: tl.constexpr,
    K_WIDE: tl.constexpr,
    V_WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradient of the queries; a program has a block of rows of a head."""
    block, head = tl.program_id(0), tl.program_id(1)
    start, length, first = _where(blocks, block)
    row_R = first + tl.arange(0, BLOCK)
    query_RK = _load(query, start, head, row_R, length, K_WIDE)
    upstream_RV = _load(upstream, start, head, row_R, length, V_WIDE)
    gradient_RK = tl.zeros([BLOCK, K_WIDE], tl.float32)
    for column in range(0, tl.minimum(first + BLOCK, length), BLOCK):
        column_C = column + tl.arange(0, BLOCK)
        key_CK = _load(key, start, head, column_C, length, K_WIDE)
        value_CV = _load(value, start, head, column_C, length, V_WIDE)
        score_RC = tl.dot(query_RK, tl.trans(key_CK), input_precision=PRECISION)
        score_RC = _bias(score_RC, blocks, biases, start, row_R, column_C, length)
        slope_RC = tl.dot(upstream_RV, tl.trans(value_CV), input_precision=PRECISION)
        _, slope_RC = _weight_and_slope(score_RC, slope_RC, row_R, column_C, length)
        gradient_RK += tl.dot(slope_RC.to(key_CK.dtype), key_CK, input_precision=PRECISION)
    _store(query_gradient, start, head, row_R, length, gradient_RK * scale, K_WIDE)


@triton.jit
def key_value_kernel(
    query,
    key,
    value,
    upstream,
    key_gradient,
    value_gradient,
    blocks,
    biases,
    scale,
    BLOCK: tl.constexpr,
    K_WIDE: tl.constexpr,
    V_WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of keys and values; a program has a block of columns of a head, the first of a sequence first."""
    block, head = tl.num_programs(0) - 1 - tl.program_id(0), tl.program_id(1)
    start, length, first = _where(blocks, block)
    column_C = first + tl.arange(0, BLOCK)
    key_CK = _load(key, start, head, column_C, length, K_WIDE)
    value_CV = _load(value, start, head, column_C, length, V_WIDE)
    key_gradient_CK = tl.zeros([BLOCK, K_WIDE], tl.float32)
    value_gradient_CV = tl.zeros([BLOCK, V_WIDE], tl.float32)
    for row in range(first, length, BLOCK):
        row_R = row + tl.arange(0, BLOCK)
        query_RK = _load(query, start, head, row_R, length, K_WIDE)
        upstream_RV = _load(upstream, start, head, row_R, length, V_WIDE)
        score_RC = tl.dot(query_RK, tl.trans(key_CK), input_precision=PRECISION)
        score_RC = _bias(score_RC, blocks, biases, start, row_R, column_C, length)
        slope_RC = tl.dot(upstream_RV, tl.trans(value_CV), input_precision=PRECISION)
        weight_RC, slope_RC = _weight_and_slope(score_RC, slope_RC, row_R, column_C, length)
        value_gradient_CV += tl.dot(tl.trans(weight_RC.to(value_CV.dtype)), upstream_RV, input_precision=PRECISION)
        key_gradient_CK += tl.dot(tl.trans(slope_RC.to(key_CK.dtype)), query_RK, input_precision=PRECISION)
    _store(key_gradient, start, head, column_C, length, key_gradient_CK * scale, K_WIDE)
    _store(value_gradient, start, head, column_C, length, value_gradient_CV * scale, V_WIDE)


@triton.jit
def _sum_by_bucket(slope_RC, blocks, biases, start, row_R, column_C, length, Z_WIDE: tl.constexpr):
    """`[Z_WIDE]`: sum of a tile's slopes by time bucket; slopes are 0 where a row may not look."""
    bucket_RC = _bucket(blocks, biases, start, row_R, column_C, length)
    is_pair_RC = (row_R[:, None] >= column_C[None, :]) & (row_R < length)[:, None]
    least = tl.min(tl.where(is_pair_RC, bucket_RC, Z_WIDE))
    most = tl.max(tl.where(is_pair_RC, bucket_RC, 0))
    bucket_Z = tl.arange(0, Z_WIDE)
    sum_Z = tl.zeros([Z_WIDE], tl.float32)
    for bucket in range(least, most + 1):
        sum_Z += tl.where(bucket_Z == bucket, tl.sum(tl.where(bucket_RC == bucket, slope_RC, 0.0)), 0.0)
    return sum_Z


@triton.jit
def _diagonals(tile_RC, BLOCK: tl.constexpr):
    """`[2 * BLOCK]`: sum of a tile where row - column is -BLOCK, ..., BLOCK - 1."""
    column_RT = tl.arange(0, BLOCK)[:, None] - tl.arange(0, 2 * BLOCK)[None, :] + BLOCK
    skewed_RT = tl.gather(tile_RC, tl.minimum(tl.maximum(column_RT, 0), BLOCK - 1), axis=1)
    return tl.sum(tl.where((column_RT >= 0) & (column_RT < BLOCK), skewed_RT, 0.0), axis=0)


@triton.jit
def bias_kernel(
    query,
    key,
    value,
    upstream,
    distance_sum,
    time_sum,
    band_blocks,
    heads,
    blocks,
    biases,
    scale,
    BLOCK: tl.constexpr,
    K_WIDE: tl.constexpr,
    V_WIDE: tl.constexpr,
    Z_WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of the biases; a program has a share of the tiles of a band, whose columns lie `band` blocks back.

    All tiles of a band hold the same distances at the same places: they are added up as tiles, and once at the end the
    diagonals of the sum are. Time buckets differ from tile to tile, but a tile has few: each is summed in turn.
    """
    share, band = tl.program_id(0), tl.program_id(1)
    step_R = tl.arange(0, BLOCK)
    slopes_RC = tl.zeros([BLOCK, BLOCK], tl.float32)
    time_sum_Z = tl.zeros([Z_WIDE], tl.float32)
    for block in range(share, tl.load(band_blocks + band), tl.num_programs(0)):
        start, length, first = _where(blocks, block)
        row_R = first + step_R
        column_C = row_R - band * BLOCK
        bias_RC = _bias(tl.zeros([BLOCK, BLOCK], tl.float32), blocks, biases, start, row_R, column_C, length)
        tile_RC = tl.zeros([BLOCK, BLOCK], tl.float32)
        for head in range(heads):
            query_RK = _load(query, start, head, row_R, length, K_WIDE)
            key_CK = _load(key, start, head, column_C, length, K_WIDE)
            upstream_RV = _load(upstream, start, head, row_R, length, V_WIDE)
            value_CV = _load(value, start, head, column_C, length, V_WIDE)
            score_RC = bias_RC + tl.dot(query_RK, tl.trans(key_CK), input_precision=PRECISION)
            slope_RC = tl.dot(upstream_RV, tl.trans(value_CV), input_precision=PRECISION)
            _, slope_RC = _weight_and_slope(score_RC, slope_RC, row_R, column_C, length)
            tile_RC += slope_RC
        slopes_RC += tile_RC
        if biases.time_Z is not None:
            time_sum_Z += _sum_by_bucket(tile_RC, blocks, biases, start, row_R, column_C, length, Z_WIDE)
    at = share * tl.num_programs(1) + band
    if biases.distance_P is not None:
        tl.store(distance_sum + at * 2 * BLOCK + tl.arange(0, 2 * BLOCK), _diagonals(slopes_RC, BLOCK) * scale)
    if biases.time_Z is not None:
        tl.store(time_sum + at * Z_WIDE + tl.arange(0, Z_WIDE), time_sum_Z * scale)
