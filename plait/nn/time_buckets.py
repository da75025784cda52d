"""Time differences in logarithmic buckets."""

import torch
from torch import Tensor

TIME_BUCKETS = 129
"""Number of buckets, as in the published HSTU; the last ones lie beyond any calendar."""

BUCKET_WIDTH = 0.301
"""Of a bucket, in natural logarithms of seconds."""


def time_bucket(difference_ms: Tensor) -> Tensor:
    """`clamp(floor(ln(max(1, |difference in seconds|)) / 0.301), 0, 128)`: buckets of a factor of about 1.35.

    Zhai et al. 2024, "Actions Speak Louder than Words", relative attention bias.
    """
    seconds = (difference_ms.abs().to(torch.float32) / 1000.0).clamp_(min=1.0)
    return (seconds.log_() / BUCKET_WIDTH).to(torch.int64).clamp_(max=TIME_BUCKETS - 1)
