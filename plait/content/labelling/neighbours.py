"""What rows without labels tell about the space that they lie in: which directions tell labels apart, who is alike."""

import numpy as np

from plait.content.labelling.linear import Floats

_FLOOR = 0.2
"""Share of the mean variance that every direction is taken to have: those that hardly vary are not blown up."""
_CLOSENESS = 8.0
"""How fast a neighbour's say falls with its cosine: exp(8 cos)."""
_ROWS = 1_000
"""Rows whose cosines to all others are in memory at once."""


def telling_directions(x_ND: Floats, answer_NC: Floats, power: float) -> Floats:
    """A turn [D, D] that shrinks the directions in which rows of one label differ from each other.

    They say nothing about the label (the model's pose, the print on a shirt), and a regression that a few examples
    teach would lean on them. As in linear discriminant analysis (Fisher 1936), the directions are those of the
    covariance within the labels, each divided by a power of its variance; the squares' sum of all rows is kept.

    Args:
        x_ND: features, centred.
        answer_NC: probabilities of the labels.
        power: 0.5 makes all directions alike within a label, 0 keeps them.
    """
    mean_CD = (answer_NC.T @ x_ND) / (answer_NC.sum(axis=0)[:, None] + np.float32(1e-3))
    within_ND = x_ND - answer_NC @ mean_CD
    variance_D, direction_DD = np.linalg.eigh(within_ND.T @ within_ND / len(x_ND))
    variance_D = np.maximum(variance_D, 0) + _FLOOR * variance_D.mean()
    turn_DD = direction_DD / variance_D**power
    scale = np.sqrt(np.square(x_ND).sum() / max(float(np.square(x_ND @ turn_DD).sum()), 1e-12))
    return np.asarray(turn_DD * scale, np.float32)


def smoothed(x_ND: Floats, answer_NC: Floats, neighbours: int, share: float) -> Floats:
    """Answers mixed with those of the nearest other rows by cosine: what only a row itself believes counts less.

    Args:
        x_ND: features.
        answer_NC: probabilities of the labels.
        neighbours: how many of them.
        share: of the mixture that is theirs.
    """
    neighbours = min(neighbours, len(x_ND) - 1)
    if neighbours < 1:
        return answer_NC
    unit_ND = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-9)
    result_NC = np.empty_like(answer_NC)
    for start in range(0, len(x_ND), _ROWS):
        cosine_RN = unit_ND[start : start + _ROWS] @ unit_ND.T
        here_R = np.arange(len(cosine_RN))
        cosine_RN[here_R, start + here_R] = -2
        nearest_RK = np.argpartition(-cosine_RN, neighbours - 1, axis=1)[:, :neighbours]
        weight_RK = np.exp(_CLOSENESS * np.take_along_axis(cosine_RN, nearest_RK, axis=1))
        weight_RK /= weight_RK.sum(axis=1, keepdims=True)
        said_RC = (answer_NC[nearest_RK] * weight_RK[:, :, None]).sum(axis=1)
        result_NC[start : start + _ROWS] = (1 - share) * answer_NC[start : start + _ROWS] + share * said_RC
    return result_NC
