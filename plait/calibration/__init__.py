"""From a ranker's logits to probabilities that mean what they say: curves fitted after training; NumPy only.

`fit_curves` fits them on labelled logits of a window that training did not see; `plait.nn.calibration` is the same
function as a layer of the served model. Formulas and choices: `docs/calibration.md`.
"""

from plait.calibration.curves import Curves, logit, sigmoid
from plait.calibration.drift import DriftRule, Window, drift_windows, pcoc_of
from plait.calibration.fitting import METHODS, CalibrationRows, Method, fit_curves
from plait.calibration.outcomes import Outcomes

__all__ = [
    "METHODS",
    "CalibrationRows",
    "Curves",
    "DriftRule",
    "Method",
    "Outcomes",
    "Window",
    "drift_windows",
    "fit_curves",
    "logit",
    "pcoc_of",
    "sigmoid",
]
