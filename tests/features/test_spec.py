"""The feature specification: codes by hand, JSON there and back."""

import numpy as np
import pytest

from plait.errors import ArtifactError
from plait.features.spec import Action, FeatureSpec
from plait.testing.batches import random_batch, random_item_fields, small_spec


def test_action_codes_by_hand() -> None:
    spec = FeatureSpec((), (), (Action("click"), Action("rate", (2.0, 4.0)), Action("安装")), (), ())
    assert spec.action_size == 1 + 1 + 4 + 1
    assert spec.action_code("click", None) == 1
    assert spec.action_code("click", 9.0) == 1
    assert spec.action_code("rate", None) == 2
    assert spec.action_code("rate", float("nan")) == 2
    assert [spec.action_code("rate", value) for value in (1.9, 2.0, 3.9, 4.0, 5.0)] == [3, 4, 4, 5, 5]
    assert spec.action_code("安装", None) == 6
    assert spec.action_code("never seen", None) == 0


def test_json_round_trip() -> None:
    spec = small_spec()
    assert FeatureSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("text", ["{}", "[]", "not json", '{"objectives": 1}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="not a feature specification"):
        FeatureSpec.from_json(text)


def test_columns_by_source() -> None:
    spec = small_spec()
    assert spec.item_columns == (2, 3, 4)
    assert spec.columns("user") == (0, 1)
    assert spec.number_columns("history") == (2, 3)
    assert spec.field_index("position") == 8
    with pytest.raises(KeyError, match="nothing"):
        spec.field_index("nothing")


def test_random_batches_are_consistent() -> None:
    spec = small_spec()
    item_fields_VI = random_item_fields(spec)
    batch = random_batch(spec, item_fields_VI, users=20, exposures_per_user=4, seed=3)
    sizes_F = np.array([field.size for field in spec.fields])
    assert (batch.categorical_BF >= 0).all()
    assert (batch.categorical_BF < sizes_F).all()
    lengths_U = np.diff(batch.history_offsets_U1)
    assert (batch.before_B <= lengths_U[batch.user_B]).all()
    for user, before, time in zip(batch.user_B, batch.before_B, batch.time_B, strict=True):
        times = batch.history_time_N[batch.history_offsets_U1[user] : batch.history_offsets_U1[user + 1]]
        assert (times[:before] < time).all()
        assert (times[before:] >= time).all()
    again = random_batch(spec, item_fields_VI, users=20, exposures_per_user=4, seed=3)
    np.testing.assert_array_equal(batch.categorical_BF, again.categorical_BF)
