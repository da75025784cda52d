"""What each known part of the truth is worth: the AUC of growing sums of true parts, and of each part alone."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.data.artifacts import write_atomically
from plait.schema import Columns as C
from plait.simulation.generate import open_world
from plait.simulation.objectives import OBJECTIVES
from plait.simulation.outcomes import Truth, calibrate
from plait.simulation.parts import PARTS
from plait.simulation.scenarios import load_scenarios

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("scenario", ()),
    ("quality and position", ("quality", "position_bias")),
    ("user and profile", ("activity", "profile")),
    ("query", ("query_match",)),
    ("interest, focus, session", ("interest", "drift", "session_intent")),
    ("long memory: habit, loyalty", ("habit", "loyalty")),
    ("text", ("text",)),
    ("creative", ("creative_appeal", "creative_taste")),
)
"""What is known after each step, roughly in the order of the ladder."""

EXPLAINED = ("click", "download", "return_1d", "pay")


def explain(folder: Path) -> str:
    """A table, as text, of the AUC of the summed parts known so far; also left as truth/auc_by_parts.json.

    The sum is the objective's own logit (given its parent); the last line is the true probability P(label = 1), the
    oracle, which knows the whole funnel. AUC is pooled over scenarios.

    Raises:
        DataError: the folder holds no simulated world.
    """
    world = open_world(folder)
    exposures = pl.read_parquet(folder / "exposures" / "*.parquet", columns=[C.EXPOSURE_ID, C.USER_ID, C.SCENARIO])
    frame = exposures.join(pl.read_parquet(folder / "truth" / "exposures" / "*.parquet"), on=C.EXPOSURE_ID)
    activity = pl.read_parquet(folder / "truth" / "users" / "*.parquet", columns=[C.USER_ID, "activity"])
    frame = frame.join(activity, on=C.USER_ID)
    truth = calibrate(world)
    table = {name: _steps(truth, folder, frame, name) for name in EXPLAINED}
    write_atomically(folder / "truth" / "auc_by_parts.json", json.dumps(table, indent=1))
    lines = [f"{'AUC (simulated), known so far':34}" + "".join(f"{name:>11}" for name in EXPLAINED)]
    steps = table[EXPLAINED[0]]
    return "\n".join(
        lines + [f"{step:34}" + "".join(f"{table[name][step]:11.4f}" for name in EXPLAINED) for step in steps]
    )


def rank_auc(labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties counting half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _steps(truth: Truth, folder: Path, frame: pl.DataFrame, name: str) -> dict[str, float]:
    objective = [entry.name for entry in OBJECTIVES].index(name)
    names = [scenario.name for scenario in load_scenarios()]
    scenario = frame[C.SCENARIO].replace_strict(names, list(range(len(names)))).to_numpy()
    parts = frame.select([f"part_{part}" for part in PARTS]).to_numpy().astype(np.float64)
    parts[:, PARTS.index("activity")] = frame["activity"].list.get(objective).to_numpy()
    weighted = parts * truth.weights[scenario, objective]
    labels = _labels(folder, frame, name)
    score = truth.intercepts[scenario, objective].astype(np.float64)
    table = {}
    for step, columns in STEPS:
        score = score + weighted[:, [PARTS.index(column) for column in columns]].sum(axis=1)
        table["+ " + step] = rank_auc(labels, score)
    table["oracle"] = rank_auc(labels, frame[f"p_{name}"].to_numpy())
    return table


def _labels(folder: Path, frame: pl.DataFrame, name: str) -> NDArray[np.bool_]:
    behaviours = pl.scan_parquet(folder / "behaviours" / "*.parquet")
    happened = behaviours.filter((pl.col(C.ACTION) == name) & pl.col(C.EXPOSURE_ID).is_not_null())
    return frame[C.EXPOSURE_ID].is_in(happened.select(C.EXPOSURE_ID).collect()[C.EXPOSURE_ID].implode()).to_numpy()
