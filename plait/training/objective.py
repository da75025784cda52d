"""The loss of every ranker: one number per objective, and one number of them all."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Balancing = Literal["none", "uncertainty", "pcgrad"]
_LEAST = 1e-6


class ObjectiveLosses(NamedTuple):
    """What a batch says about each objective."""

    mean_T: Tensor
    """Mean over its mature labels; 0 where there are none."""
    known_T: Tensor
    """1 where there are some, else 0."""


def objective_losses(
    logits_BT: Tensor, labels_BT: Tensor, mask_BT: Tensor, positive_T: Tensor | None = None
) -> ObjectiveLosses:
    """Binary cross-entropy over mature labels, its mean per objective; an immature label enters nowhere.

    With weights w of the positives it is

        w y log(1 + e^-z) + (1 - y) log(1 + e^z),  z = l + log w

    Weighing positives by w multiplies the odds that fit the data best by w; z has those odds, so the logit l fits the
    true chance and needs no correction afterwards.

    Args:
        logits_BT: the model's output.
        labels_BT: 0 or 1; anything where the mask is False.
        mask_BT: which labels are mature.
        positive_T: w of each objective; None for 1.
    """
    mature_BT = mask_BT.to(logits_BT.dtype)
    if positive_T is not None:
        logits_BT = logits_BT + positive_T.log()
    each_BT = functional.binary_cross_entropy_with_logits(
        logits_BT, labels_BT * mature_BT, reduction="none", pos_weight=positive_T
    )
    count_T = mature_BT.sum(0)
    mean_T = (each_BT * mature_BT).sum(0) / count_T.clamp(min=1.0)
    return ObjectiveLosses(mean_T, (count_T > 0).to(logits_BT.dtype))


def combined(losses: ObjectiveLosses, weight_T: Tensor, balancing: Balancing = "none") -> Tensor:
    """One number to make small: `sum_t w_t L_t / sum_t w_t` over the objectives that have a mature label.

    Under `uncertainty` it is the same of `log L_t`: learned noise scales s_t, `L_t / s_t + log s_t` (Kendall et al.
    2018, equation 7), are at their best `s_t = L_t` in every step, and then say just this; so rare objectives with
    small losses pull as hard as others. Under `pcgrad` it is the plain mean, whose gradient `surgery` changes.

    Returns:
        A number; 0 if no label is mature.
    """
    each_T = losses.mean_T.clamp(min=_LEAST).log() if balancing == "uncertainty" else losses.mean_T
    present_T = weight_T * losses.known_T
    return (each_T * present_T).sum() / present_T.sum().clamp(min=torch.finfo(torch.float32).tiny)
