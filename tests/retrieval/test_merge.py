import numpy as np

from plait.retrieval.merge import merge
from plait.retrieval.protocol import Retrieved

NONE = np.empty(0, np.int64)


def found(*items):
    return Retrieved(np.array(items, np.int64), np.zeros(len(items), np.float32))


def test_sources_take_turns_and_an_item_comes_once():
    merged = merge({"a": found(1, 2, 3), "b": found(2, 9, 8)}, {}, NONE, 10)
    assert merged.items_K.tolist() == [1, 2, 9, 3, 8]  # a:1 b:2 a:(2) b:9 a:3 b:8
    assert merged.counts == {"a": 2, "b": 3}
    assert merged.sources_of(np.array([9, 3])) == ["b", "a"]


def test_twice_the_share_is_asked_twice_as_often():
    merged = merge({"a": found(1, 2, 3), "b": found(11, 12, 13, 14)}, {"b": 2.0}, NONE, 6)
    assert merged.items_K.tolist() == [11, 1, 12, 13, 2, 14]  # turns at .5, 1 (a first), 1, 1.5, 2, 2

    assert merged.counts == {"a": 2, "b": 4}


def test_a_source_that_runs_dry_leaves_its_turns():
    assert merge({"a": found(1), "b": found(5, 6, 7)}, {}, NONE, 4).items_K.tolist() == [1, 5, 6, 7]


def test_excluded_items_take_no_turn():
    merged = merge({"a": found(1, 2), "b": found(5, 6)}, {}, np.array([1, 5, 99]), 2)
    assert merged.items_K.tolist() == [2, 6]


def test_nothing_found():
    assert len(merge({"a": found()}, {}, NONE, 5)) == 0
    assert len(merge({}, {}, NONE, 5)) == 0


def test_the_head_keeps_the_order():
    merged = merge({"a": found(1, 2, 3)}, {}, NONE, 3).head(2)
    assert merged.items_K.tolist() == [1, 2]
