"""Whether probabilities mean what they say: logloss, normalised entropy, PCOC, Brier score, ECE, reliability curve."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.evaluation.auc import Labels, Numbers

CLIP = 1e-7
"""Kept between probabilities and 0 or 1 in logarithms: a sure and wrong prediction costs 16.1 nats, not infinity."""
BINS = 20
"""How many bins of equal mass ECE and the reliability curve use."""


def row_losses(labels_B: Labels, probabilities_B: Numbers) -> NDArray[np.float64]:
    """The logarithmic loss of each row in nats: -log of the probability given to what happened."""
    given_B = np.clip(np.asarray(probabilities_B, np.float64), CLIP, 1 - CLIP)
    return np.asarray(-np.where(np.asarray(labels_B) > 0, np.log(given_B), np.log1p(-given_B)))


def log_loss(labels_B: Labels, probabilities_B: Numbers) -> float:
    """Mean logarithmic loss in nats; NaN without rows."""
    return float(row_losses(labels_B, probabilities_B).mean()) if len(labels_B) else float("nan")


def entropy(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy in nats of outcomes that happen at `rate`; 0 at 0 and 1."""
    inner = np.where((rate > 0) & (rate < 1), rate, 0.5)
    return np.where((rate > 0) & (rate < 1), -inner * np.log(inner) - (1 - inner) * np.log1p(-inner), 0.0)


def normalised_entropy(labels_B: Labels, probabilities_B: Numbers) -> float:
    """Logloss over the logloss of always answering the base rate: below 1 is better than knowing the rate only.

    NE = logloss / (-r log r - (1 - r) log(1 - r)), r the share of positives; NaN with one class only. (He et al.,
    "Practical Lessons from Predicting Clicks on Ads at Facebook", 2014, section 2.3.)
    """
    if not len(labels_B):
        return float("nan")
    base = float(entropy(np.asarray(np.mean(np.asarray(labels_B) > 0))))
    return log_loss(labels_B, probabilities_B) / base if base else float("nan")


def pcoc(labels_B: Labels, probabilities_B: Numbers) -> float:
    """Mean prediction over mean outcome: 1 is calibrated on average, 2 promises too much; NaN without positives."""
    positives = float(np.sum(np.asarray(labels_B) > 0))
    return float(np.sum(probabilities_B, dtype=np.float64)) / positives if positives else float("nan")


def brier(labels_B: Labels, probabilities_B: Numbers) -> float:
    """Mean squared distance of the probability from the outcome; NaN without rows."""
    distance_B = np.asarray(probabilities_B, np.float64) - (np.asarray(labels_B) > 0)
    return float(np.mean(distance_B**2)) if len(labels_B) else float("nan")


def equal_mass_bins(probabilities_B: Numbers, bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each row when rows are cut by rising probability into `bins` parts of equal size.

    A row's bin is floor(bins * rows with a smaller probability / rows): equal probabilities share a bin, so that a
    model which says the same for everybody fills one bin, not twenty.
    """
    below_B = np.searchsorted(np.sort(probabilities_B), probabilities_B, "left")
    return np.asarray(below_B * bins // max(len(probabilities_B), 1), np.int64)


def expected_calibration_error(labels_B: Labels, probabilities_B: Numbers, bins: int = BINS) -> float:
    """Mean distance between what a bin was promised and what it got, bins weighted by rows; NaN without rows.

    ECE = sum_b (n_b / n) |mean prediction_b - mean outcome_b| over bins of equal mass (see `equal_mass_bins`). With
    few rows it is above 0 even for true probabilities, since outcomes are random.
    """
    if not len(labels_B):
        return float("nan")
    bin_B = equal_mass_bins(probabilities_B, bins)
    gap_B = np.asarray(probabilities_B, np.float64) - (np.asarray(labels_B) > 0)
    return float(np.abs(np.bincount(bin_B, weights=gap_B)).sum() / len(labels_B))


def field_rce(labels_B: Labels, probabilities_B: Numbers, field_B: NDArray[np.integer[Any]]) -> float:
    """Mean relative distance between what a field's values were promised and what they got; NaN without positives.

    Field-RCE = sum_z N_z |P_z - Y_z| / Y_z / sum_z N_z over the values z that have positives, with N rows, P predicted
    and Y observed positives. Like ECE it is above 0 even for true probabilities. (Pan et al. 2020, "Field-aware
    Calibration", section 3.2, without its 0.01 in the denominator.)

    Args:
        labels_B: outcomes.
        probabilities_B: predictions.
        field_B: the field's value of each row, from 0.
    """
    rows_Z = np.bincount(field_B)
    observed_Z = np.bincount(field_B, weights=_outcomes(labels_B))
    gap_Z = np.abs(np.bincount(field_B, weights=probabilities_B) - observed_Z)
    known_Z = observed_Z > 0
    if not known_Z.any():
        return float("nan")
    return float((rows_Z[known_Z] * gap_Z[known_Z] / observed_Z[known_Z]).sum() / rows_Z[known_Z].sum())


def reliability_curve(
    labels_B: Labels, probabilities_B: Numbers, bins: int = BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean prediction, mean outcome and rows of every bin of equal mass that has rows, by rising prediction."""
    bin_B = equal_mass_bins(probabilities_B, bins)
    rows_K = np.bincount(bin_B, minlength=bins)
    predicted_K = np.bincount(bin_B, weights=np.asarray(probabilities_B, np.float64), minlength=bins)
    observed_K = np.bincount(bin_B, weights=_outcomes(labels_B), minlength=bins)
    full_K = rows_K > 0
    rows_K = rows_K[full_K]
    return predicted_K[full_K] / rows_K, observed_K[full_K] / rows_K, rows_K


def _outcomes(labels_B: NDArray[Any]) -> NDArray[np.float64]:
    return (np.asarray(labels_B) > 0).astype(np.float64)
