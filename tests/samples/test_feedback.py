"""When labels became known: by hand, and against the plain-loop reference at every moment."""

import numpy as np
import polars as pl
import pytest
from samples_reference import reference
from samples_worlds import behaviour, exposure, random_world, workspace, write_tables
from test_against_reference import random_workspace

from plait.config import ObjectiveSettings
from plait.data.feedback import build_feedback
from plait.data.samples import build_samples


def feedback(folder, exposures, behaviours, space):
    """Milliseconds until known, by exposure id and objective."""
    tables = write_tables(folder / "tables", exposures, behaviours)
    samples, out = folder / "samples", folder / "feedback"
    samples.mkdir()
    out.mkdir()
    build_samples(tables, space, samples, rows_per_bucket=10)
    build_feedback(tables, samples, space, out)
    found = pl.read_parquet(out / "part-*.parquet")
    shown = pl.read_parquet(samples / "exposures" / "part-*.parquet")
    assert found["exposure_id"].equals(shown["exposure_id"])
    return {row["exposure_id"]: row for row in found.to_dicts()}


def test_by_hand(tmp_path):
    """A click at 5 reported at 20; an install at 8: known at 20, when the click that it needs is known."""
    steps = [
        ObjectiveSettings(name="click", action="click", window=30),
        ObjectiveSettings(name="install", action="install", parent="click", window=30),
    ]
    shown = [exposure(1, 2), exposure(2, 3, user_id=2)]
    done = [
        behaviour(5, exposure_id=1, received_time=20),
        behaviour(8, "install", exposure_id=1),
        behaviour(4, "install", user_id=2, exposure_id=2),  # without a click it counts for nothing
        behaviour(50, user_id=2, exposure_id=2),  # after the window
    ]
    found = feedback(tmp_path, shown, done, workspace(steps))
    assert found[1] == {"exposure_id": 1, "click": 18, "install": 18}
    assert found[2] == {"exposure_id": 2, "click": None, "install": None}


@pytest.mark.parametrize("seed", range(40))
def test_labels_at_any_time_follow(tmp_path, seed):
    exposures, behaviours = random_world(seed)
    space = random_workspace(seed)
    found = feedback(tmp_path, exposures, behaviours, space)
    for as_of in np.random.default_rng(seed).choice(130, 12, replace=False).tolist():
        for row in reference(exposures, behaviours, space, as_of)[0]:
            for name in space.objective_names():
                after = found[row["exposure_id"]][name]
                assert row[f"label_{name}"] == (after is not None and row["time"] + after <= as_of)
