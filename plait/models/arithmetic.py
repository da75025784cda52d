"""How much arithmetic a training step of a next-item model cannot do without."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plait.models.config import NextItemConfig
from plait.models.next_item import hstu_sizes
from plait.nn.hstu import HstuSizes


def hstu_flops(sizes: HstuSizes, length_U: NDArray[np.int64] | Sequence[int]) -> float:
    """Multiplications and additions of one forward and backward pass of an HSTU over sequences of these lengths.

    With N tokens, P causal pairs, H heads, K wide queries and V wide values, a block takes

        3 * 2 N D H (2 V + 2 K)  +  3 * 2 N H V D      projections: forward, gradient of inputs, of weights
        P H (2 (K + V) + 2 (3 K + 2 V))                attention: backward computes the scores anew

    Norms, SiLU, gates and biases are left out: they grow with N, or hide behind the products.
    """
    length_U = np.asarray(length_U, dtype=np.float64)
    tokens, pairs = float(length_U.sum()), float((length_U * (length_U + 1) / 2).sum())
    query, value = sizes.query_width, sizes.value_width
    projected = 6 * tokens * sizes.width * sizes.heads * (2 * query + 3 * value)
    attended = pairs * sizes.heads * (8 * query + 6 * value)
    return sizes.blocks * (projected + attended)


def training_flops(config: NextItemConfig, length_U: NDArray[np.int64] | Sequence[int], scores: int) -> float:
    """Of a training step: the encoder's, and `3 * 2 N D` for each of the scores that every event's loss takes.

    Args:
        config: of a model whose encoder is an HSTU.
        length_U: inputs of each user in the step.
        scores: drawn negatives and the target, or the whole catalogue.

    Raises:
        ValueError: the encoder is no HSTU.
    """
    if config.encoder != "hstu":
        raise ValueError(f"found the encoder '{config.encoder}'; the arithmetic is known of hstu")
    return hstu_flops(hstu_sizes(config), length_U) + 6.0 * float(np.sum(length_U)) * config.width * scores
