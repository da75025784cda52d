"""`plait bench user-level` on small data: the same exposures both ways, the same logits, and what is reported."""

from pathlib import Path

import numpy as np
import pytest

from plait.errors import ConfigError, PlaitError
from plait.pipelines import bench_user_level
from plait.pipelines.bench_user_level import Trained, UserLevelOptions, metrics_of, train_both
from plait.schema import Split
from plait.testing.datasets import small_dataset
from plait.training import TrainingResult, load_recipe_by_name
from plait.training.loop import CurvePoint

OPTIONS = UserLevelOptions("hstu-small", exposures=200, rounds=2, write=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("small"), users=30, exposures=20, behaviours=150)


def test_both_ways_take_the_same_exposures_and_have_the_same_logits(dataset):
    """Histories are longer than a pass of the recipe's tower (64 events)."""
    assert dataset.before(dataset.rows(Split.TRAIN)).max() > 64
    rounds = train_both(dataset, load_recipe_by_name("hstu-small", Path()), OPTIONS)
    user, impression = rounds["user"], rounds["impression"]
    assert [one.samples for one in user] == [one.samples for one in impression]
    assert sum(one.samples for one in user) >= 200
    metrics = metrics_of(rounds)
    assert metrics["logit_max_abs_diff"].value < 1e-5
    assert np.isfinite([metrics[f"{way}_level.auc"].value for way in rounds]).all()


def test_the_speed_up_is_the_mean_over_rounds_of_the_ratio(dataset):
    """200 against 100 and 900 against 300 samples/s: 2 and 3, so 2.5."""
    evaluation = train_both(dataset, load_recipe_by_name("hstu-small", Path()), OPTIONS)["user"][0].evaluation

    def at(speed: float) -> Trained:
        result = TrainingResult(1, 1, 1.0, speed, [CurvePoint(4, 50, {})])
        return Trained(result, evaluation, 1e-6)

    metrics = metrics_of({"user": [at(200.0), at(900.0)], "impression": [at(100.0), at(300.0)]})
    speedup = metrics["speedup_vs_impression_level"]
    assert (speedup.value, speedup.low, speedup.high) == (2.5, 2.0, 3.0)
    assert metrics["user_level.samples_per_s"].value == 550.0
    assert metrics["auc_difference"].value == 0.0
    assert (metrics["samples"].value, metrics["user_level.steps"].value) == (100, 8)


def test_each_level_has_steps_of_its_own_size(dataset):
    """The same exposures, in more steps at the level whose steps are smaller."""
    recipe = load_recipe_by_name("hstu-small", Path())
    options = UserLevelOptions("hstu-small", exposures=100, rounds=1, user_batch=20, impression_batch=50)
    rounds = train_both(dataset, recipe, options)
    (user,), (impression,) = rounds["user"], rounds["impression"]
    assert user.samples == impression.samples
    metrics = metrics_of(rounds)
    assert metrics["user_level.steps"].value > metrics["impression_level.steps"].value == -(-impression.samples // 50)
    assert metrics["time_ratio"].value == pytest.approx(impression.result.seconds / user.result.seconds)


def test_other_families_and_other_logits_are_refused(dataset, monkeypatch):
    with pytest.raises(ConfigError, match="family dnn, expected an HSTU ranker"):
        train_both(dataset, load_recipe_by_name("dnn-small", Path()), OPTIONS)
    monkeypatch.setattr(bench_user_level, "largest_difference", lambda *_: 2e-4)
    with pytest.raises(PlaitError, match=r"differ by 0\.0002"):
        train_both(dataset, load_recipe_by_name("hstu-small", Path()), OPTIONS)
