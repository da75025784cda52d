"""In what numbers an encoder's matrix products are made."""

from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def resolved(precision: Precision) -> Literal["float32", "bfloat16"]:
    """`auto` is bfloat16 where the processor has instructions for it."""
    if precision == "auto":
        return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
    return precision


def as_dtype(precision: Literal["float32", "bfloat16"]) -> torch.dtype:
    """What PyTorch calls it."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
