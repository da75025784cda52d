"""Multinomial logistic regression with soft targets and weights, by L-BFGS."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SoftmaxModel:
    """P(c | x) = softmax(x W + b)."""

    weight_DC: Floats
    bias_C: Floats

    def logits(self, x_ND: Floats) -> Floats:
        return x_ND @ self.weight_DC + self.bias_C


def fit_softmax(
    x_ND: Floats, target_NC: Floats, weight_N: Floats, *, penalty: float, iterations: int = 60
) -> SoftmaxModel:
    """Minimise the weighted mean cross-entropy plus penalty / 2 * |W|^2.

    Args:
        x_ND: features.
        target_NC: distributions over the C classes, one a row.
        weight_N: how much each row counts.
        penalty: of the weights, not of the biases.
        iterations: of L-BFGS, at most.
    """
    import torch  # noqa: PLC0415 (slow to import)

    x, target = torch.from_numpy(x_ND), torch.from_numpy(target_NC)
    share_N = torch.from_numpy(weight_N / weight_N.sum())
    weight_DC = torch.zeros(x_ND.shape[1], target_NC.shape[1], requires_grad=True)
    bias_C = torch.zeros(target_NC.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight_DC, bias_C], max_iter=iterations, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        likelihood_NC = torch.log_softmax(x @ weight_DC + bias_C, dim=1)
        value = -(share_N[:, None] * target * likelihood_NC).sum() + 0.5 * penalty * weight_DC.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call, unused-ignore]
    return SoftmaxModel(weight_DC.detach().numpy(), bias_C.detach().numpy())


def softmax(logit_NC: Floats) -> Floats:
    """Rows to distributions."""
    shifted_NC = logit_NC - logit_NC.max(axis=1, keepdims=True)
    exp_NC = np.exp(shifted_NC)
    result: Floats = exp_NC / exp_NC.sum(axis=1, keepdims=True)
    return result


def shares_without_labels(probability_NC: Floats, assumed_C: Floats, iterations: int = 100) -> Floats:
    """Shares of the classes among unlabelled rows, by expectation and maximisation.

    A classifier taught with shares `assumed_C` gives `probability_NC`; the shares under which its corrected answers
    agree with themselves are those of the rows (Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a
    Classifier to New a Priori Probabilities").
    """
    share_C = assumed_C.astype(np.float64)
    for _ in range(iterations):
        corrected_NC = probability_NC * (share_C / assumed_C)
        corrected_NC /= corrected_NC.sum(axis=1, keepdims=True)
        share_C = corrected_NC.mean(axis=0) + 1e-5
        share_C /= share_C.sum()
    return share_C.astype(np.float32)
