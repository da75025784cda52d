"""Time differences in logarithmic buckets."""

import math

import torch
from torch import Tensor

TIME_BUCKETS = 129
"""Number of buckets, as in the published HSTU; the last ones lie beyond any calendar."""

BUCKET_WIDTH = 0.301
"""Of a bucket, in natural logarithms of seconds."""

FIRST_MS = (0, *(math.ceil(1000 * math.exp(min(BUCKET_WIDTH * bucket, 36.0))) for bucket in range(1, TIME_BUCKETS)))
"""The least difference in ms of each bucket; those beyond any difference of two 64-bit times are cut at e^36 s."""


def time_bucket(difference_ms: Tensor) -> Tensor:
    """`clamp(floor(ln(max(1, |difference in seconds|)) / 0.301), 0, 128)`: buckets of a factor of about 1.35.

    Zhai et al. 2024, "Actions Speak Louder than Words", relative attention bias.
    """
    seconds = (difference_ms.abs().to(torch.float32) / 1000.0).clamp_(min=1.0)
    return (seconds.log_() / BUCKET_WIDTH).to(torch.int64).clamp_(max=TIME_BUCKETS - 1)
