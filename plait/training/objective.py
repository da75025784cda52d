"""The loss of every ranker."""

import torch
from torch import Tensor
from torch.nn import functional


def masked_loss(logits_BT: Tensor, labels_BT: Tensor, mask_BT: Tensor, weight_T: Tensor) -> Tensor:
    """Binary cross-entropy over mature labels: its mean per objective, then the weighted mean over objectives.

    `sum_t w_t mean_{b mature}(bce_bt) / sum_t w_t` over the objectives that have a mature label in the batch; an
    immature label is unknown, not negative, and enters nowhere.

    Args:
        logits_BT: the model's output.
        labels_BT: 0 or 1; anything where the mask is False.
        mask_BT: which labels are mature.
        weight_T: weights of the objectives.

    Returns:
        A number; 0 if no label is mature.
    """
    mature_BT = mask_BT.to(logits_BT.dtype)
    each_BT = functional.binary_cross_entropy_with_logits(logits_BT, labels_BT * mature_BT, reduction="none")
    count_T = mature_BT.sum(0)
    mean_T = (each_BT * mature_BT).sum(0) / count_T.clamp(min=1.0)
    present_T = weight_T * (count_T > 0)
    return (mean_T * present_T).sum() / present_T.sum().clamp(min=torch.finfo(torch.float32).tiny)
