"""Vocabularies: codes by hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from plait.errors import ArtifactError
from plait.features.vocabulary import Vocabulary


def fit(values: list[object], counts: list[int], min_count: int = 1) -> Vocabulary:
    return Vocabulary.fit(pl.Series(values), np.array(counts), min_count)


def test_most_frequent_first_then_by_value() -> None:
    vocabulary = fit(["b", "游戏", "a", "b", None], [2, 7, 4, 2, 100])
    assert vocabulary.values.to_list() == ["游戏", "a", "b"]
    assert vocabulary.size == 4
    np.testing.assert_array_equal(vocabulary.encode(pl.Series(["b", None, "游戏", "new", "a"])), [3, 0, 1, 0, 2])


def test_rare_values_share_the_unknown_code() -> None:
    vocabulary = fit([10, 20, 30, 20], [3, 1, 2, 1], min_count=2)
    # 10 was seen three times, 20 twice (1 + 1), 30 twice.
    assert vocabulary.values.to_list() == [10, 20, 30]
    assert fit([10, 20, 30, 20], [3, 1, 2, 1], min_count=3).values.to_list() == [10]


def test_unseen_values_have_no_code_even_without_a_minimum() -> None:
    assert fit(["seen", "unseen"], [1, 0]).values.to_list() == ["seen"]


@pytest.mark.parametrize(
    ("known", "value", "code"),
    [
        ([10, 20], 20, 2),
        ([10, 20], "20", 2),
        ([10, 20], 20.0, 2),
        ([10, 20], 20.5, 0),
        ([10, 20], "x", 0),
        ([10, 20], float("nan"), 0),
        ([10, 20], float("inf"), 0),
        ([10, 20], [20], 0),
        ([10, 20], None, 0),
        (["10", "20"], 20, 2),
        (["10", "20"], "20", 2),
        (["10", "20"], "", 0),
        (["false", "true"], True, 2),
    ],
)
def test_one_value_of_either_kind(known: list[object], value: object, code: int) -> None:
    assert fit(known, [1, 1]).code(value) == code


@pytest.mark.parametrize("known", [[10, 20], ["10", "20"]])
@pytest.mark.parametrize("values", [[20, None, 7], ["20", None, "7"]])
def test_a_column_of_either_kind(known: list[object], values: list[object]) -> None:
    np.testing.assert_array_equal(fit(known, [1, 1]).encode(pl.Series(values)), [2, 0, 0])


def test_saved_and_loaded(tmp_path: Path) -> None:
    vocabulary = fit(["金融", "x"], [2, 1])
    vocabulary.save(tmp_path / "deep" / "field.parquet")
    loaded = Vocabulary.load(tmp_path / "deep" / "field.parquet")
    assert loaded.values.to_list() == ["金融", "x"]
    assert loaded.code("金融") == 1
    assert loaded.value(2) == "x"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "field.parquet").write_text("no Parquet")
    with pytest.raises(ArtifactError, match="not a vocabulary"):
        Vocabulary.load(tmp_path / "field.parquet")


def test_rows_keep_their_order() -> None:
    rows = Vocabulary.of_rows(pl.Series(["u9", "u1"]))
    assert (rows.code("u9"), rows.code("u1"), rows.code("u5"), rows.value(1)) == (1, 2, 0, "u9")
