"""Confidence that means what it says: one temperature, fitted on held-out examples."""

import numpy as np

from plait.content.labelling.hierarchy import Codes
from plait.content.labelling.linear import Floats, softmax

_TEMPERATURES = np.geomspace(0.2, 8.0, 60)


def temperature_of(logit_NC: Floats, label_N: Codes, weight_N: Floats) -> float:
    """T in [0.2, 8] that minimises the weighted mean of -ln softmax(logits / T)[label]; 1 without rows.

    Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    if not len(label_N) or weight_N.sum() <= 0:
        return 1.0
    rows = np.arange(len(label_N))

    def loss(temperature: float) -> float:
        right_N = softmax(logit_NC / np.float32(temperature))[rows, label_N]
        return float(-(weight_N * np.log(np.maximum(right_N, 1e-12))).sum())

    return float(min(_TEMPERATURES, key=loss))
