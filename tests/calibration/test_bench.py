"""Both measurements on a tiny simulated world: what they count, and that they write what they say."""

import numpy as np
import pytest

from plait.errors import ArtifactError
from plait.pipelines.bench_calibration import CalibrationOptions, measure_calibration
from plait.pipelines.bench_delayed import DelayedOptions, _Truth, measure_delayed
from plait.pipelines.project import open_project
from plait.pipelines.train import train_model
from plait.simulation import simulate


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("worlds") / "tiny"
    simulate("tiny", root, seed=3, media=False, processes=1)
    return open_project(root)


@pytest.mark.slow
def test_calibration(world):
    train_model(world, "lr", overrides={"training": {"epochs": 1, "tensorboard": False}})
    options = CalibrationOptions("lr", large=100, bootstrap=20, write=False)
    metrics, path = measure_calibration(world, options)
    assert path is None
    assert metrics["large_cells_after"] == metrics["large_cells_oracle"]
    assert metrics["small_cells_before"] == metrics["small_cells_oracle"]
    assert metrics["pcoc_oracle"].value == pytest.approx(1.0, abs=0.06)
    for name in ("after", "refitted"):
        assert abs(metrics[f"pcoc_{name}"].value - 1) < abs(metrics["pcoc_before"].value - 1) + 0.02
    assert metrics["logloss_oracle"].value < metrics["logloss_after"].value


def test_delayed_feedback(world):
    options = DelayedOptions(recipe="lr", seeds=(1, 2), days=14, epochs=1, write=False)
    metrics, path = measure_delayed(world, options)
    assert path is None
    for way in ("waiting", "naive", "dfm", "es-dfm"):
        assert metrics["oracle.nll"].value < metrics[f"{way}.nll"].value
        assert metrics[f"{way}.nll"].low <= metrics[f"{way}.nll"].value <= metrics[f"{way}.nll"].high
    assert metrics["naive.pcoc"].value < min(metrics["dfm.pcoc"].value, metrics["es-dfm.pcoc"].value)
    gain = metrics["es-dfm.gain_over_naive"]
    assert gain.low < gain.value < gain.high
    assert gain.value == pytest.approx(metrics["naive.nll"].value - metrics["es-dfm.nll"].value)
    assert 0 < metrics["immature.pay"].value < metrics["immature.uninstall"].value


def test_expected_loss_by_hand():
    """A truth of 1/4 met with 1/2: log 2; met with itself: its entropy."""
    truth = _Truth([0], ["pay"], np.array([[0.25], [0.25]]))
    assert truth.nll(np.full((2, 1), 0.5))[0] == pytest.approx(np.log(2))
    entropy = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    assert truth.nll(np.full((2, 1), 0.25))[0] == pytest.approx(entropy)
    assert truth.pcoc(np.full((2, 1), 0.5))[0] == pytest.approx(2.0)


def test_without_a_truth_there_is_nothing_to_measure(world, tmp_path):
    import shutil

    shutil.copytree(world.root, tmp_path / "blind", ignore=shutil.ignore_patterns("truth", ".plait", "media"))
    blind = open_project(tmp_path / "blind")
    with pytest.raises(ArtifactError, match="plait simulate"):
        measure_calibration(blind, CalibrationOptions("lr"))
    with pytest.raises(ArtifactError, match="plait simulate"):
        measure_delayed(blind, DelayedOptions())
