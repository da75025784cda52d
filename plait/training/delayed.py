"""Delayed feedback: labels as they stand at the end of training, and a loss that knows how long they have had.

With F_t(e) the share of objective t's positives that are known e after their exposure, a label that stands at 1 has
probability p F, one that stands at 0 has 1 - p F. Their likelihood, with p the probability that the label ever becomes
1, is what `delayed_losses` makes large:

    loss = -y log p - (1 - y) log(1 - p F(e))        (log F(e) of the positives does not depend on p)

F = 1 is the usual cross-entropy that takes every label as it stands; F in {0, 1} is waiting for maturity. (Chapelle
2014, "Modeling Delayed Feedback in Display Advertising", with delays counted instead of exponential.)

`importance_losses` keeps the usual cross-entropy and weighs labels back to what they will be: a positive for the 1 / F
that it stands for, a negative by its chance to be a real one,

    loss = -y / F log p - (1 - y) (1 - q) / (1 - q F) log(1 - p),    q = p, through which no gradient flows

(Yang et al. 2021, "Capturing Delayed Feedback in Conversion Rate Prediction via Elapsed-Time Sampling", whose weights
come from two further classifiers, and which meets a late positive twice because it learns from a stream. A log is read
once, at the time that each exposure has had, so that there are no twins; and F is counted.)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plait.training.objective import ObjectiveLosses

DelayedFeedback = Literal["waiting", "naive", "dfm", "es-dfm"]
_KNOTS = 512
LEAST_SHARE = 0.05
"""Labels of which less is in say next to nothing, and F is known worst there; a positive stands for 20 at most."""


@dataclass(frozen=True, slots=True)
class KnownShares:
    """F of every objective as steps: `share_TK[t, k]` of the positives are known by `delay_TK[t, k]` milliseconds."""

    as_of: int
    """When training's labels were read, epoch milliseconds."""
    delay_TK: Tensor
    share_TK: Tensor

    @classmethod
    def complete(cls, as_of: int, objectives: int) -> "KnownShares":
        """F = 1: every label is taken as it stands."""
        return cls(as_of, torch.zeros(objectives, 1, dtype=torch.int64), torch.ones(objectives, 1))

    @classmethod
    def of(cls, as_of: int, after_BT: NDArray[np.int64], time_B: NDArray[np.int64]) -> "KnownShares":
        """F from what was known at `as_of`.

        Args:
            as_of: epoch milliseconds; later feedback has no say.
            after_BT: milliseconds from each exposure until its label was known to be 1.
            time_B: times of the exposures, none later than `as_of`.
        """
        elapsed_B = as_of - time_B
        curves = []
        for after_B in after_BT.T:
            known_B = after_B <= elapsed_B
            curves.append(known_shares(after_B[known_B], elapsed_B[known_B]))
        delay_TK = np.stack([_at_quantiles(delay_K) for delay_K, _ in curves])
        share_TK = np.stack([np.interp(at_K, *curve) for at_K, curve in zip(delay_TK, curves, strict=True)])
        return cls(as_of, torch.from_numpy(delay_TK), torch.from_numpy(share_TK).float())

    def at(self, time_B: Tensor) -> Tensor:
        """`[B, T]`: the share of positives that was known at `as_of` of exposures at these times."""
        elapsed_TB = (self.as_of - time_B).expand(len(self.delay_TK), -1).contiguous()
        place_TB = torch.searchsorted(self.delay_TK, elapsed_TB, right=True) - 1
        share_TB = self.share_TK.gather(1, place_TB.clamp(min=0))
        return torch.where(place_TB < 0, 0.0, share_TB).T


def known_shares(
    delay_P: NDArray[np.int64], limit_P: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The distribution of delays of which only those up to a limit each were seen.

    A young exposure shows its short delays only, so that the share of seen delays below d says too much. In reverse
    time the product-limit estimator puts that right:

        F(d) = prod_{d_j > d} (1 - n_j / N_j),   N_j = #{i: d_i <= d_j <= limit_i}

    with n_j delays equal to d_j. (Lynden-Bell 1971; Woodroofe 1985, "Estimating a Distribution Function with Truncated
    Data".) It is relative to the longest delay that any exposure could have shown.

    Args:
        delay_P: milliseconds, each at most its limit.
        limit_P: how long each positive's exposure has been watched.

    Returns:
        Distinct delays, rising, and F at each; one delay of 0 with F = 1 where there are none.
    """
    if not len(delay_P):
        return np.zeros(1, np.int64), np.ones(1)
    distinct_K, count_K = np.unique(delay_P, return_counts=True)
    seen_K = np.searchsorted(np.sort(delay_P), distinct_K, "right")
    watched_K = seen_K - np.searchsorted(np.sort(limit_P), distinct_K, "left")
    kept_K = 1 - count_K / watched_K
    above_K = np.append(np.cumprod(kept_K[:0:-1])[::-1], 1.0)
    return distinct_K, above_K


def delayed_losses(logits_BT: Tensor, known_BT: Tensor, share_BT: Tensor) -> ObjectiveLosses:
    """Negative log-likelihood of labels as they stand, its mean per objective.

    Args:
        logits_BT: the model's, of the label that will be.
        known_BT: 1 where the label stands at 1.
        share_BT: F; where it is 0 a label says nothing and enters nowhere.
    """
    says_BT = (share_BT > 0).to(logits_BT.dtype)
    # log(1 - p F) = log((1 - F) + F (1 - p)), in logarithms throughout
    none_BT = torch.logaddexp(torch.log1p(-share_BT), share_BT.log() + functional.logsigmoid(-logits_BT))
    each_BT = -torch.where(known_BT > 0, functional.logsigmoid(logits_BT), none_BT)
    return _mean(each_BT, says_BT)


def importance_losses(logits_BT: Tensor, known_BT: Tensor, share_BT: Tensor) -> ObjectiveLosses:
    """Cross-entropy of labels as they stand, each with the weight that makes it that of final ones; mean per objective.

    Args:
        logits_BT: the model's, of the label that will be.
        known_BT: 1 where the label stands at 1.
        share_BT: F; where it is below a twentieth a label enters nowhere.
    """
    says_BT = (share_BT >= LEAST_SHARE).to(logits_BT.dtype)
    share_BT = share_BT.clamp(min=LEAST_SHARE)
    chance_BT = torch.sigmoid(logits_BT.detach())
    real_BT = (1 - chance_BT) / (1 - chance_BT * share_BT).clamp(min=1e-6)
    positive_BT, negative_BT = functional.logsigmoid(logits_BT), functional.logsigmoid(-logits_BT)
    return _mean(-torch.where(known_BT > 0, positive_BT / share_BT, real_BT * negative_BT), says_BT)


def _mean(each_BT: Tensor, says_BT: Tensor) -> ObjectiveLosses:
    """Over the rows that say something."""
    count_T = says_BT.sum(0)
    return ObjectiveLosses((each_BT * says_BT).sum(0) / count_T.clamp(min=1.0), (count_T > 0).to(each_BT.dtype))


def _at_quantiles(delay_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `_KNOTS` of the distinct delays, evenly spread over them; all objectives have equally many."""
    places = np.linspace(0, len(delay_K) - 1, _KNOTS).round().astype(np.int64)
    return delay_K[places]
