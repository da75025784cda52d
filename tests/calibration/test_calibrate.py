"""`plait calibrate` on a small shop: what it fits on, what it registers, and what the new version says."""

import json

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from plait.calibration import DriftRule
from plait.cli.app import register_commands
from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.models.calibrated import CalibratedRanker
from plait.models.loading import load_model
from plait.pipelines.calibrate import calibrate_model
from plait.pipelines.calibration_check import check_calibration, drift_of
from plait.pipelines.calibration_log import Evidence
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import open_project
from plait.pipelines.train import train_model
from plait.registry import Registry
from plait.schema import Split
from plait.training import predict

WORKSPACE = """
name = "small <shop>"
time_unit = "ms"

[tables.users]
path = "users.parquet"
[tables.items]
path = "items.parquet"
[tables.exposures]
path = "exposures.parquet"
[tables.behaviours]
path = "behaviours.parquet"

[[scenarios]]
name = "home"
[[scenarios]]
name = "search"

[[objectives]]
name = "click"
action = "click"
attribution = "exposure_id"
window = "1h"

[split]
kind = "global_time"
valid = 0.3
test = 0.3
"""
DAYS = 50
START_MS = 1_700_000_000_000
TURN = 20
"""Day from which all click twice as often: what training saw is then too low."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """200 users, 50 exposures each over fifty days; clicks double on day 20, where the validation window begins."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(5)
    size = 200 * DAYS
    day_B = np.tile(np.arange(DAYS), 200)
    time_B = START_MS + day_B * 86_400_000 + rng.integers(0, 80_000_000, size)
    scenario_B = rng.integers(0, 2, size)
    rate_B = np.where(day_B < TURN, 0.15, 0.3) * np.where(scenario_B == 1, 1.5, 1.0)
    exposures = pl.DataFrame(
        {
            "exposure_id": np.arange(size),
            "request_id": np.arange(size),
            "time": time_B,
            "user_id": np.repeat(np.arange(1, 201), DAYS),
            "item_id": rng.integers(1, 13, size),
            "scenario": np.array(["home", "search"])[scenario_B],
        }
    )
    clicks = exposures.filter(pl.Series(rng.random(size) < rate_B)).select(
        pl.col("time") + 5_000, "user_id", "item_id", pl.lit("click").alias("action"), "scenario", "exposure_id"
    )
    pl.DataFrame({"user_id": np.arange(1, 201)}).write_parquet(folder / "users.parquet")
    pl.DataFrame({"item_id": np.arange(1, 13)}).write_parquet(folder / "items.parquet")
    exposures.write_parquet(folder / "exposures.parquet")
    clicks.write_parquet(folder / "behaviours.parquet")
    (folder / "plait.toml").write_text(WORKSPACE)
    opened = open_project(folder)
    train_model(opened, "lr", overrides={"training": {"epochs": 1, "tensorboard": False}})
    return opened


@pytest.mark.parametrize("method", ["platt", "field-isotonic"])
def test_a_model_that_promises_half_is_put_right(project, method):
    done = calibrate_model(project, "lr@1", method=method)
    compared = check_calibration(done, bootstrap=20)
    assert compared.before.pcoc == pytest.approx(0.5, abs=0.1)
    assert compared.after.pcoc == pytest.approx(1.0, abs=0.06)
    error = compared.after.field_rce["click"]
    assert error < compared.before.field_rce["click"]
    assert method == "platt" or error < 0.08  # one line for both scenarios leaves what tells them apart


def test_what_is_registered(project):
    done = calibrate_model(project, "lr@1", evidence=Evidence(5 * 86_400_000))
    registry = Registry(project.hidden / "registry")
    plain, new = registry.resolve("lr@1"), done.registered
    assert new.version > 1
    assert registry.resolve("lr@production").version == 1
    assert new.file("model.safetensors").read_bytes() == plain.file("model.safetensors").read_bytes()
    assert new.manifest.data_fingerprint == plain.manifest.data_fingerprint
    noted = new.manifest.details["calibration"]
    assert (noted["method"], noted["of"], noted["window"]) == ("field", "lr@1", "valid")
    cut = START_MS + TURN * 86_400_000
    assert cut - 86_400_000 < noted["from"] < noted["to"] < cut + 16 * 86_400_000
    assert 4.5 * 86_400_000 < noted["to"] - noted["from"] < 5 * 86_400_000
    model = load_model(new)
    assert isinstance(model, CalibratedRanker)
    assert sorted(load_file(new.file("calibration.safetensors"))) == ["below_ST", "knot_STK", "slope_STK", "value_ST"]
    dataset = EncodedDataset.open(encoded_dataset(project))
    served, checked = predict(dataset, model, Split.TEST), predict(dataset, done.model, Split.TEST)
    np.testing.assert_allclose(served.probabilities_BT, checked.probabilities_BT, atol=1e-6)


def test_curves_of_a_calibrated_model_are_fitted_anew(project):
    first = calibrate_model(project, "lr@1", method="platt")
    again = calibrate_model(project, first.registered.reference, method="platt")
    one, two = (load_file(done.registered.file("calibration.safetensors")) for done in (first, again))
    assert all((one[name] == two[name]).all() for name in one)


def test_the_test_window_has_no_say(project, tmp_path):
    """Every click of the test window gone: the same curves."""
    import shutil

    folder = tmp_path / "altered"
    shutil.copytree(project.root, folder, ignore=shutil.ignore_patterns(".plait"))
    dataset = EncodedDataset.open(encoded_dataset(project))
    first_test = int(dataset.times(dataset.rows(Split.TEST)).min())
    clicks = pl.read_parquet(folder / "behaviours.parquet")
    last = clicks.sort("time").tail(1)  # the log ends when it ended
    kept = pl.concat([clicks.filter(pl.col("time") < first_test), last])
    kept.write_parquet(folder / "behaviours.parquet")
    altered = open_project(folder)
    train_model(altered, "lr", overrides={"training": {"epochs": 1, "tensorboard": False}})
    found = [
        load_file(calibrate_model(one, "lr@1").registered.file("calibration.safetensors")) for one in (project, altered)
    ]
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-5)


def test_drift_of_the_plain_model_is_an_alarm(project):
    days = {"width_ms": 5 * 86_400_000, "rule": DriftRule()}
    found = drift_of(project, "lr@1", split=Split.TEST, **days)
    assert any(window.alarm for window in found["click"])
    reference = calibrate_model(project, "lr@1", method="platt").registered.reference
    found = drift_of(project, reference, split=Split.TEST, **days)
    assert not any(window.alarm for window in found["click"])


def test_a_model_that_is_not_there(project):
    with pytest.raises(ArtifactError, match="no model 'lrr'"):
        calibrate_model(project, "lrr")


def test_the_commands(project, tmp_path):
    page = tmp_path / "page.html"
    folder = str(project.root)
    result = CliRunner().invoke(
        register_commands(),
        ["calibrate", "lr@1", "-w", folder, "--bootstrap", "20", "--page", str(page), "--last", "8d"],
    )
    assert result.exit_code == 0, result.output
    assert "cells surely not 1" in result.output
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "small &lt;shop&gt;" in text
    result = CliRunner().invoke(register_commands(), ["drift", "lr@1", "-w", folder, "--every", "5d"])
    assert result.exit_code == 1
    assert "alarm" in result.output
    result = CliRunner().invoke(register_commands(), ["calibrate", "lr@1", "-w", folder, "--method", "magic"])
    assert result.exit_code == 2
    manifest = json.loads((project.hidden / "registry" / "lr" / "2" / "manifest.json").read_text())
    assert "calibration.safetensors" in manifest["files"]


def test_training_on_labels_as_they_stand(project):
    """Windows of one hour and a log of days: next to nothing is immature, and all ways agree closely."""
    for way in ("naive", "dfm", "es-dfm"):
        once = {"training": {"epochs": 1, "tensorboard": False, "delayed_feedback": way}}
        trained = train_model(project, "lr", name=f"lr-{way}", overrides=once)
        plain = train_model(project, "lr", overrides={"training": {"epochs": 1, "tensorboard": False}})
        assert trained.result.curve[-1].logloss == pytest.approx(plain.result.curve[-1].logloss, abs=2e-3)
