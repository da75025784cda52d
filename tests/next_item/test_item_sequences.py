"""Item sequences and the two protocols on a log of five users, by hand."""

import numpy as np
import polars as pl
import pytest
from next_item_worlds import BY_HAND, DAY, sequences, write_tables

from plait.data.item_sequences import ItemSequences, write_sequences
from plait.errors import ArtifactError, DataError
from plait.schema import Split


def spelled(found: ItemSequences, places) -> list[str]:
    return ["abcd"[found.item_N[place]] for place in places]


@pytest.mark.parametrize("numbered", [True, False])
def test_order_is_by_time_and_ties_stay_as_logged(tmp_path, numbered):
    """Also where the clean table holds its rows in another order: then the line that an event names decides."""
    found = sequences(tmp_path, BY_HAND, numbered=numbered)
    assert found.users["user_id"].to_list() == ["ann", "bob", "carol", "dave", "erin"]
    assert found.items["item_id"].to_list() == ["a", "b", "c", "d"]
    assert found.items["name"].to_list() == ["The a show", "The b show", "The c show", "The d show"]
    by_user = [spelled(found, range(*found.offsets_U1[user : user + 2])) for user in range(5)]
    assert by_user == [["a", "b", "c", "d"], ["c", "a", "b", "d"], ["c", "a", "d"], ["a"], ["a", "b", "a"]]
    assert (found.time_N[:4] // DAY).tolist() == [1, 2, 3, 4]
    assert found.log_id_N[4:8].tolist() == ([3, 4, 5, 15] if numbered else [-1] * 4)
    assert found.actions == 3
    assert found.action_N[:8].tolist() == [2, 1, 0, 2, 0, 2, 0, 2]  # up to 2, 3, from 4 stars on


def test_with_a_validation_item(tmp_path):
    """The last item is the test's, the one before it the validation's; what remains is learnt from."""
    found = sequences(tmp_path, BY_HAND)
    assert found.training_lengths("validation").tolist() == [2, 2, 1, 1, 1]
    test, valid = (found.cases("validation", split) for split in (Split.TEST, Split.VALID))
    assert test.user_U.tolist() == [0, 1, 2, 4]  # dave has one event: nothing comes before it
    assert spelled(found, test.target_U) == ["d", "d", "d", "a"]
    assert (test.target_U - test.start_U).tolist() == [3, 3, 2, 2]
    assert valid.user_U.tolist() == [0, 1, 2, 4]
    assert spelled(found, valid.target_U) == ["c", "b", "a", "b"]
    assert (valid.target_U - valid.start_U).tolist() == [2, 2, 1, 1]


def test_as_published(tmp_path):
    found = sequences(tmp_path, BY_HAND)
    assert found.training_lengths("published").tolist() == [3, 3, 2, 1, 2]
    test = found.cases("published", Split.TEST)
    assert spelled(found, test.target_U) == ["d", "d", "d", "a"]
    assert len(found.cases("published", Split.VALID)) == 0


def test_events_that_arrive_late_stand_where_they_arrived(tmp_path):
    tables = write_tables(tmp_path, [("ann", "a", 1, 5), ("ann", "b", 2, 5), ("ann", "c", 3, 5)])
    part = tables / "behaviours" / "part-00000.parquet"
    behaviours = pl.read_parquet(part)
    late = pl.when(pl.col("item_id") == "a").then(pl.lit(9 * DAY))
    behaviours.with_columns(received_time=late.otherwise(pl.col("time"))).write_parquet(part)
    (tmp_path / "out").mkdir()
    write_sequences(tables, {}, tmp_path / "out")
    found = ItemSequences.open(tmp_path / "out")
    assert spelled(found, range(3)) == ["b", "c", "a"]
    assert (found.time_N // DAY).tolist() == [2, 3, 1]
    assert found.actions == 1


def test_what_is_missing_or_damaged_says_so(tmp_path):
    tables = write_tables(tmp_path, BY_HAND)
    part = tables / "behaviours" / "part-00000.parquet"
    pl.read_parquet(part).clear().write_parquet(part)
    with pytest.raises(DataError, match="no rows, expected at least one behaviour"):
        write_sequences(tables, {}, tmp_path)
    np.save(tmp_path / "offsets_U1.npy", np.zeros(1), allow_pickle=False)
    with pytest.raises(ArtifactError, match="not item sequences"):
        ItemSequences.open(tmp_path)
