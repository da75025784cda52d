"""SiLU and its slope on vector registers: the other thing, beside products, that HSTU spends time on."""

import numpy as np
from numba import njit

from plait.nn.hstu.vectors import exp, fma, spread


@njit(inline="always")
def sigmoid(x):
    """`1 / (1 + e^-x)` of a vector."""
    one = spread(np.float32(1))
    return one / (one + exp(spread(np.float32(0)) - x))


@njit(inline="always")
def silu_and_slope(x):
    """`x s` and its derivative `s (1 + x (1 - s))` of a vector, with s = sigmoid(x)."""
    one = spread(np.float32(1))
    s = sigmoid(x)
    return x * s, s * fma(x, one - s, one)
