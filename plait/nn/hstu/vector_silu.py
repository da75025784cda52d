"""SiLU and its slope on vector registers: the other thing, beside products, that HSTU spends time on."""

import numpy as np
from numba import njit

from plait.nn.hstu.vectors import exp, fma, load, spread, store


@njit(inline="always")
def sigmoid(x):
    """`1 / (1 + e^-x)` of a vector."""
    one = spread(np.float32(1))
    return one / (one + exp(spread(np.float32(0)) - x))


@njit(inline="always")
def silu(score, at, scale):
    """`SiLU(score) * scale` in place, for the vector of `score` from `at` on."""
    x = load(score, at)
    store(score, at, x * spread(scale) * sigmoid(x))


@njit(inline="always")
def silu_and_slope(score, slope, at, scale):
    """As `silu`; `slope` is multiplied by the derivative, `scale * s * (1 + x * (1 - s))` with s = sigmoid(x)."""
    x, one = load(score, at), spread(np.float32(1))
    s = sigmoid(x)
    scaled = s * spread(scale)
    store(score, at, x * scaled)
    store(slope, at, load(slope, at) * scaled * fma(x, one - s, one))
