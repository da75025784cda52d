"""Feature groups: further columns behind those of the samples, the same for training and for requests."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from plait.errors import ArtifactError, DataError
from plait.features.bags import Bags
from plait.features.dataset import EncodedDataset
from plait.features.groups import EntityColumns, FeatureGroup
from plait.features.online import OnlineFeatures
from plait.features.spec import Field, MultiField, Number
from plait.features.vectors import DatedVectors
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import DnnConfig, LinearConfig

HOUR = 3_600_000


def vectors(entity, available, values, train_end=10**15) -> DatedVectors:
    return DatedVectors.fit(
        np.array(entity), np.array(available, np.int64), np.array(values, np.float64), train_end=train_end
    )


def test_the_latest_vector_before_the_time_is_read_never_a_later_one():
    """The mean of 5, 3 and 1 is 3, their variance 8 / 3."""
    made = vectors([2, 1, 1], [100, 200, 100], [[5.0], [3.0], [1.0]])
    std = np.sqrt(8 / 3)
    expected = {(1, 100): 0.0, (1, 101): -2 / std, (1, 200): -2 / std, (1, 201): 0.0, (2, 101): 2 / std}
    for (entity, time), value in expected.items():
        assert made.at(np.array([entity]), np.array([time]))[0, 0] == pytest.approx(value), (entity, time)
    for entity in (0, 3):
        assert made.at(np.array([entity]), np.array([10**9]))[0, 0] == 0.0, "nobody's vector for a stranger"


def test_one_user_or_one_time_may_be_shared():
    made = vectors([1, 1, 2], [10, 20, 10], [[1.0, 0.0], [2.0, 4.0], [3.0, 8.0]])
    entity, time = np.array([1, 2, 1]), np.array([15, 15, 25])
    whole = made.at(entity, time)
    np.testing.assert_array_equal(made.at(entity[:2], time[:1]), whole[:2])
    np.testing.assert_array_equal(made.at(entity[:1], time[[0, 2]]), whole[[0, 2]])


def test_scale_is_that_of_training():
    """Snapshots from time 100 on count for nothing in mean and deviation: those before are 0 and 2."""
    made = vectors([1, 2, 3], [10, 20, 100], [[0.0], [2.0], [5.0]], train_end=100)
    np.testing.assert_allclose(made.standard_RG[:, 0], [-1.0, 1.0, 4.0])


def test_vectors_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="finite"):
        vectors([1], [1], [[np.nan]])


def made_group(dataset: EncodedDataset) -> FeatureGroup:
    """Something of every kind for users, items and creatives, drawn at random."""
    rng = np.random.default_rng(3)
    columns, group_fields, numbers, lists = {}, [], [], []
    for source in ("user", "item", "creative"):
        rows = len(dataset.tables.table(source))
        lengths = rng.integers(0, 4, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        columns[source] = EntityColumns(
            rng.integers(0, 5, (rows, 2)).astype(np.int32),
            rng.normal(size=(rows, 1)).astype(np.float32),
            (Bags(offsets, rng.integers(0, 6, offsets[-1]).astype(np.int32)),),
        )
        group_fields += [Field(f"made.{source}.{place}", source, 5, group="made") for place in range(2)]
        numbers.append(Number(f"made.{source}.x", source, group="made"))
        lists.append(MultiField(f"made.{source}.words", source, "list", 6, 4, group="made"))
    return FeatureGroup("made", tuple(group_fields), tuple(numbers), tuple(lists), columns)


def dated_group(dataset: EncodedDataset) -> FeatureGroup:
    """Three snapshots of every user, spread over the time of the samples."""
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(1, len(dataset.tables.users)), 3)
    times = rng.integers(dataset.arrays.time_E.min(), dataset.arrays.time_E.max(), len(users))
    values = rng.normal(2.0, 3.0, (len(users), 4))
    return FeatureGroup.of_vectors("mood", "user", DatedVectors.fit(users, times, values, train_end=times.max()))


@pytest.fixture(scope="module")
def folders(dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("groups")
    made_group(dataset).save(root / "made")
    dated_group(dataset).save(root / "mood")
    return [root / "made", root / "mood"]


@pytest.fixture(scope="module")
def extended(encoded_folder, folders):
    return EncodedDataset.open(encoded_folder, folders)


def bags_of(batch, column):
    """The codes of one multi-valued field, row by row."""
    bags = Bags(batch.token_offsets_J1, batch.token_codes_N).take(batch.bag_BP[:, column])
    return [
        bags.codes_N[start:stop].tolist() for start, stop in zip(bags.offsets_J1, bags.offsets_J1[1:], strict=False)
    ]


def test_what_the_samples_hold_stays_as_it_was(dataset, extended):
    rows = np.arange(0, len(dataset), 7)
    plain, more = dataset.impression_batch(rows, 20), extended.impression_batch(rows, 20)
    spec = extended.spec
    assert spec.groups == ("made", "mood")
    assert spec.fields[: len(dataset.spec.fields)] == dataset.spec.fields
    assert spec.first_tokens[: len(dataset.spec.multi_fields)] == dataset.spec.first_tokens
    np.testing.assert_array_equal(more.categorical_BF[:, : plain.categorical_BF.shape[1]], plain.categorical_BF)
    np.testing.assert_array_equal(more.numeric_BG[:, : plain.numeric_BG.shape[1]], plain.numeric_BG)
    for column in range(plain.bag_BP.shape[1]):
        assert bags_of(more, column) == bags_of(plain, column)


def test_columns_of_a_group_are_those_of_the_exposures_rows(dataset, extended):
    group, rows = made_group(dataset), np.arange(0, len(dataset), 5)
    batch, spec, arrays = extended.impression_batch(rows, 5), extended.spec, dataset.arrays
    for source, row_E in (("user", arrays.user_E), ("item", arrays.item_E), ("creative", arrays.creative_E)):
        own, at = group.columns[source], row_E[rows]
        for place in range(2):
            column = batch.categorical_BF[:, spec.field_index(f"made.{source}.{place}")]
            np.testing.assert_array_equal(column, own.codes_RF[at, place])
        number = next(index for index, each in enumerate(spec.numbers) if each.name == f"made.{source}.x")
        np.testing.assert_array_equal(batch.numeric_BG[:, number], own.numbers_RG[at, 0])
        names = [each.name for each in spec.multi_fields]
        words = names.index(f"made.{source}.words")
        found = [[code - spec.first_tokens[words] for code in codes] for codes in bags_of(batch, words)]
        bags = own.bags_P[0]
        assert found == [bags.codes_N[bags.offsets_J1[row] : bags.offsets_J1[row + 1]].tolist() for row in at]


def test_vectors_of_exposures_are_the_latest_before_them(dataset, extended):
    """Against a plain search of all snapshots, one exposure after the other."""
    made, rows = dated_group(dataset).vectors["user"], np.arange(0, len(dataset), 11)
    numeric = extended.impression_batch(rows, 5).numeric_BG[:, extended.spec.number_columns("user_vector")]
    some, none = 0, 0
    for row, found in zip(rows, numeric, strict=True):
        user, time = dataset.arrays.user_E[row], dataset.arrays.time_E[row]
        places = [p for p in range(len(made.entity_R)) if made.entity_R[p] == user and made.available_R[p] < time]
        latest = max(places, key=lambda place: made.available_R[place], default=None)
        expected = np.zeros(4) if latest is None else made.standard_RG[latest]
        np.testing.assert_array_equal(found, expected.astype(np.float32))
        some, none = some + (latest is not None), none + (latest is None)
    assert some > 20
    assert none > 5


def request(online, dataset, row, *, length=None):
    user, time = int(dataset.arrays.user_E[row]), int(dataset.arrays.time_E[row])
    history = dataset.history(user, int(dataset.arrays.before_E[row]))
    scenario = dataset.spec.scenarios[int(dataset.scenarios(np.array([row]))[0])]
    items, creatives = (np.array([array[row]]) for array in (dataset.arrays.item_E, dataset.arrays.creative_E))
    return online.batch(user, items, creatives, history, online.encode_context(scenario, time), length=length)


def test_a_request_has_the_columns_of_training(encoded_folder, extended, folders):
    online = OnlineFeatures.open(encoded_folder, extended.spec, groups=folders)
    spec = extended.spec
    own_fields = [index for index, field in enumerate(spec.fields) if field.group]
    own_numbers = [index for index, number in enumerate(spec.numbers) if number.group]
    own_lists = [index for index, field in enumerate(spec.multi_fields) if field.group]
    for row in range(0, len(extended), 37):
        trained, asked = extended.impression_batch(np.array([row]), 20), request(online, extended, row)
        np.testing.assert_array_equal(asked.categorical_BF[:, own_fields], trained.categorical_BF[:, own_fields])
        np.testing.assert_array_equal(asked.numeric_BG[:, own_numbers], trained.numeric_BG[:, own_numbers])
        assert [bags_of(asked, column) for column in own_lists] == [bags_of(trained, column) for column in own_lists]


def test_other_creatives_of_a_request_are_as_if_asked_for(encoded_folder, extended, folders):
    online = OnlineFeatures.open(encoded_folder, groups=folders)
    context = online.encode_context(extended.spec.scenarios[0], int(extended.arrays.time_E[9]))
    user, items = int(extended.arrays.user_E[9]), np.array([3, 5, 8])
    history = extended.history(user, 4)
    first = online.batch(user, items, np.array([1, 2, 3]), history, context)
    again = online.with_creatives(first, np.array([2, 0]), np.array([7, 4]))
    asked = online.batch(user, items[[2, 0]], np.array([7, 4]), history, context)
    for field in ("categorical_BF", "numeric_BG"):
        np.testing.assert_array_equal(getattr(again, field), getattr(asked, field))
    for column in range(len(extended.spec.multi_fields)):
        assert bags_of(again, column) == bags_of(asked, column)


@pytest.mark.parametrize("config", [DnnConfig(embedding_dim=4, hidden=[8]), LinearConfig()], ids=["dnn", "lr"])
def test_models_are_built_on_exactly_these_columns(config, encoded_folder, extended, folders):
    """Every new column changes the logits, and a request's shortcut gives the logits of the whole forward."""
    torch.manual_seed(0)
    model = build_model(config, extended.spec, extended.item_fields_VI).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    rows = np.arange(0, len(extended), 3)
    batch = Batch.from_features(extended.impression_batch(rows, 20))
    with torch.no_grad():
        logits = model(batch)
        for place, number in enumerate(extended.spec.numbers):
            if number.group:
                moved = batch.numeric_BG.clone()
                moved[:, place] += 1.0
                assert not torch.allclose(model(replace(batch, numeric_BG=moved)), logits), number.name
        online = OnlineFeatures.open(encoded_folder, groups=folders)
        asked = Batch.from_features(request(online, extended, 9, length=20))
        if isinstance(config, DnnConfig):
            torch.testing.assert_close(model.for_requests()(asked)(asked), model(asked), atol=1e-5, rtol=1e-5)


def test_a_group_is_what_was_saved(folders, dataset):
    loaded, made = FeatureGroup.load(folders[0]), made_group(dataset)
    assert (loaded.name, loaded.fields, loaded.numbers, loaded.multi_fields) == (
        made.name,
        made.fields,
        made.numbers,
        made.multi_fields,
    )
    for source, columns in made.columns.items():
        for field in fields(columns):
            if field.name != "bags_P":
                np.testing.assert_array_equal(getattr(loaded.columns[source], field.name), getattr(columns, field.name))


def test_a_group_of_other_tables_or_half_a_group_is_refused(dataset, encoded_folder, folders, tmp_path):
    short = {"user": EntityColumns(np.zeros((2, 0), np.int32), np.zeros((2, 0), np.float32))}
    FeatureGroup("short", columns=short).save(tmp_path / "short")
    with pytest.raises(ArtifactError, match="'short' has 2 rows of users, the encoded samples"):
        EncodedDataset.open(encoded_folder, [tmp_path / "short"])
    with pytest.raises(ArtifactError, match="no whole feature group"):
        EncodedDataset.open(encoded_folder, [tmp_path / "nothing"])
