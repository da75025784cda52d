"""What is known of outcomes at some moment, and what that says of a logit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.calibration.curves import Floats, sigmoid


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Labels as they stand, of which a share of the positives is in.

    A label stands at 1 with probability `F p`, p the probability that it ever becomes 1 and F the share of positives
    that is known by now: 1 where labels are final.
    """

    labels_B: NDArray[np.bool_]
    share_B: Floats
    """F, above 0."""
    weight_B: Floats
    """What each row counts: less than 1 for what is long ago."""

    @classmethod
    def final(cls, labels_B: NDArray[np.bool_]) -> "Outcomes":
        """Labels that will not change, all of them counting alike."""
        ones_B = np.ones(len(labels_B))
        return cls(labels_B, ones_B, ones_B)

    def loss(self, score_B: Floats) -> float:
        """Negative log-likelihood of `p = sigmoid(score)`, without what does not depend on the score."""
        none_B = -np.log1p(-np.minimum(self.share_B * sigmoid(score_B), 1 - 1e-12))
        return float((self.weight_B * np.where(self.labels_B, np.logaddexp(0.0, -score_B), none_B)).sum())

    def derivatives(self, score_B: Floats) -> tuple[Floats, Floats]:
        """Of the log-likelihood in each score: the first, and the expected second with its sign turned.

            (y - F p) (1 - p) / (1 - F p),    F p (1 - p)^2 / (1 - F p)

        With F = 1 these are `y - p` and `p (1 - p)`.
        """
        probability_B = sigmoid(score_B)
        known_B = self.share_B * probability_B
        rest_B = self.weight_B * (1 - probability_B) / np.maximum(1 - known_B, 1e-12)
        return rest_B * (self.labels_B - known_B), rest_B * known_B * (1 - probability_B)
