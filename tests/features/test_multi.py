"""Multi-valued fields and what the query says of a candidate: a hand-written samples folder, number by number."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_encoding import encoded, exposure

from plait.config import Workspace
from plait.features.bags import Bags
from plait.features.batch import FeatureBatch
from plait.features.dataset import EncodedDataset
from plait.features.history import History
from plait.features.online import OnlineFeatures
from plait.features.spec import MultiField
from plait.testing.datasets import SmallSamples, write_part


def made(root: Path, **features: int) -> SmallSamples:
    """One user, three items. 象 and item 3's tag occur after training only; one train exposure has no query."""
    workspace = Workspace.model_validate(
        {
            "name": "by hand",
            "tables": {
                "users": {"path": "u"},
                "items": {"path": "i", "columns": {"tags": "sequence"}},
                "exposures": {"path": "e", "columns": {"note": "text"}},
                "behaviours": {"path": "b"},
            },
            "scenarios": [{"name": "首页"}],
            "objectives": [{"name": "click", "action": "click"}],
            "features": {"min_count": 1, **features},
        }
    )
    users = pl.DataFrame({"user_id": ["甲"]})
    items = pl.DataFrame(
        {"item_id": [1, 2, 3], "category_1": ["游戏", "音乐", "游戏"], "tags": [["a", "b", "a"], None, ["c"]]}
    )
    for name, frame in (("users", users), ("items", items)):
        (root / "tables" / name).mkdir(parents=True)
        frame.write_parquet(root / "tables" / name / "part-00000.parquet")
    shown = [
        exposure("x1", "甲", 1, 1, 0, "train", query="下棋", note="ok"),
        exposure("x2", "甲", 1, 2, 0, "train", query="下", note=None),
        exposure("x3", "甲", 2, 3, 0, "train", query="Music 下", note=None),
        exposure("x4", "甲", 2, 4, 0, "train", query=None, note=None),
        exposure("x5", "甲", 3, 5, 0, "test", query="象棋", note=""),
        exposure("x6", "甲", 2, 6, 0, "test", query="下棋", note="ok"),
    ]
    write_part(root / "samples", 0, {"甲": []}, [shown])
    return SmallSamples(workspace, root / "tables", root / "samples")


def codes(batch: FeatureBatch, field: int) -> list[list[int]]:
    """Each row's codes of one multi-valued field."""
    ends = batch.token_offsets_J1
    return [batch.token_codes_N[ends[bag] : ends[bag + 1]].tolist() for bag in batch.bag_BP[:, field]]


@pytest.fixture
def dataset(tmp_path: Path) -> EncodedDataset:
    return encoded(made(tmp_path), tmp_path / "encoded")


def test_fields_by_hand(dataset: EncodedDataset) -> None:
    # Training sees item 1 twice and item 2 twice: `a` 4 times, `b` twice; of the queries 下 three times, and 下棋,
    # music and 棋 once each, in the order of their code points: m, 下 (U+4E0B), 棋 (U+68CB).
    assert dataset.spec.multi_fields == (
        MultiField("tags", "item", "list", size=3, most=3),
        MultiField("query", "context", "text", size=5, most=32),
        MultiField("note", "context", "text", size=2, most=32),
    )
    assert dataset.spec.first_tokens == (1, 4, 9)
    batch = dataset.impression_batch(np.arange(6), 0)
    assert codes(batch, 0) == [[2, 3, 2], [2, 3, 2], [], [], [1], []], "a, b, a; c is unknown"
    assert codes(batch, 1) == [[5, 7, 8], [5], [6, 5], [], [4, 4, 8], [5, 7, 8]]
    assert codes(batch, 2) == [[10], [], [], [], [], [10]]
    np.testing.assert_array_equal(dataset.item_fields_VI, [[0] * 5, [1, 1, 2, 3, 2], [2, 2, 0, 0, 0]])


def test_equal_lists_of_a_part_are_stored_once(dataset: EncodedDataset) -> None:
    np.testing.assert_array_equal(dataset.arrays.context_bag_EP[:, 0], [1, 2, 3, 0, 4, 1])
    np.testing.assert_array_equal(dataset.arrays.token_offsets_J1, [0, 0, 3, 4, 6, 9, 10, 10])


def test_values_behind_the_cap_are_cut(tmp_path: Path) -> None:
    dataset = encoded(made(tmp_path, max_values=2), tmp_path / "encoded")
    batch = dataset.impression_batch(np.arange(6), 0)
    assert [field.most for field in dataset.spec.multi_fields] == [2, 2, 2]
    assert [len(each) for each in codes(batch, 0)] == [2, 2, 0, 0, 1, 0]
    assert [len(each) for each in codes(batch, 1)] == [2, 1, 2, 0, 2, 2]
    assert dataset.item_fields_VI.shape == (3, 4)


def test_rare_values_share_the_unknown_code(tmp_path: Path) -> None:
    dataset = encoded(made(tmp_path, min_count=3), tmp_path / "encoded")
    assert [field.size for field in dataset.spec.multi_fields] == [2, 2, 1]
    assert codes(dataset.impression_batch(np.arange(1), 0), 1) == [[4, 3, 3]]


def test_match_numbers_by_hand(dataset: EncodedDataset) -> None:
    """Of three train exposures with a query two showed a game (p = 2/3), one music (p = 1/3)."""
    place = [number.name for number in dataset.spec.numbers].index("match.query.category_1")
    numbers = dataset.impression_batch(np.arange(6), 0).numeric_BG[:, place]

    def lift(together: int, shown: int, share: float) -> float:
        return math.log((together + 50 * share) / ((shown + 50) * share))

    game, music = 2 / 3, 1 / 3
    expected = [
        (lift(2, 3, game) + 2 * lift(1, 1, game)) / 3,
        lift(2, 3, game),
        (lift(1, 1, music) + lift(1, 3, music)) / 2,
        0.0,
        (0.0 + 0.0 + lift(1, 1, game)) / 3,
        (lift(1, 3, music) + 2 * lift(0, 1, music)) / 3,
    ]
    np.testing.assert_allclose(numbers, expected, rtol=1e-5, atol=1e-7)


def test_candidates_share_the_query(dataset: EncodedDataset, tmp_path: Path) -> None:
    online = OnlineFeatures.open(tmp_path / "encoded")
    context = online.encode_context("首页", 0, {"query": "Music 下 ?", "note": "new"})
    batch = online.batch(1, np.array([1, 2, 0]), np.zeros(3, int), History.empty(), context)
    assert codes(batch, 1) == [[6, 5]] * 3
    assert len(set(batch.bag_BP[:, 1].tolist())) == 1
    assert codes(batch, 2) == [[9]] * 3
    assert codes(batch, 0) == [[2, 3, 2], [], []]
    match = batch.numeric_BG[:, [number.source for number in online.spec.numbers].index("match")]
    assert match[1] == dataset.impression_batch(np.array([2]), 0).numeric_BG[0, -2]
    assert match[0] < match[1]
    assert match[2] == 0.0, "an unknown item has no category"


def test_bags() -> None:
    bags = Bags(np.array([0, 2, 2, 5]), np.array([1, 2, 3, 4, 5], np.int32))
    taken = bags.take(np.array([2, 0, 1, 2]))
    assert taken.offsets_J1.tolist() == [0, 3, 5, 5, 8]
    assert taken.codes_N.tolist() == [3, 4, 5, 1, 2, 3, 4, 5]
    assert bags.rows().tolist() == [0, 0, 2, 2, 2]
    np.testing.assert_array_equal(bags.padded(2), [[1, 2], [0, 0], [3, 4]])
    pairs = Bags.interleave([bags, Bags.empty(3)], 3)
    assert pairs.offsets_J1.tolist() == [0, 2, 2, 2, 2, 5, 5]
    assert Bags.interleave([], 3).offsets_J1.tolist() == [0]
