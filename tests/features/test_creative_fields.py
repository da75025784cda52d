"""Creatives' profiles as fields, numbers and key words of the group `creative_fields`."""

import numpy as np
import polars as pl

from plait.features.creative_fields import attribute_names, creative_attributes, creative_fields
from plait.features.vocabulary import Vocabulary

PROFILES = pl.DataFrame(
    {
        "creative_id": [30, 10, 99, 20],
        "color": ["red", "blue", "red", "red"],
        "person": [True, None, True, False],
        "text_color": ["", "white", "red", None],
        "duration": [0.0, 3.0, 1.0, None],
        "text_length": [0, 7, 1, 4],
        "text_key_words": [[], ["下棋", "free"], ["x"], None],
        "confidence": [0.1, 0.2, 0.3, 0.4],
    }
)
ROWS = Vocabulary.of_rows(pl.Series([10, 20, 30, 40]))
SEEN = np.array([5, 3, 1, 1, 2])


def test_attributes_stand_by_row_of_the_creatives():
    """Creative 99 is not in the table, 40 has no profile. 3 s: round(2 log2 4) = 4; 7 characters: 2 log2 8 = 6."""
    found = creative_attributes(PROFILES, ROWS)
    assert found["color"].to_list() == [None, "blue", "red", "red", None]
    assert found["person"].to_list() == [None, None, "false", "true", None]
    assert found["text_color"].to_list() == [None, "white", None, None, None]
    assert found["duration_size"].to_list() == [None, "4", None, "0", None]
    assert found["text_size"].to_list() == [None, "6", "5", "0", None]
    assert attribute_names(found) == ["color", "person", "text_color", "duration_size", "text_size"]


def test_key_words_may_be_one_text():
    """As in the truth of a simulated world."""
    single = PROFILES.with_columns(text_key_words=pl.Series(["", "下棋", "x", None]))
    assert creative_attributes(single, ROWS)["text_key_words"].to_list() == [None, ["下棋"], [], [], None]


def test_codes_follow_how_often_training_shows_a_value():
    """Red is on creatives 20 and 30, seen 2 times together, blue on creative 10, seen 3 times."""
    group = creative_fields(creative_attributes(PROFILES, ROWS), SEEN, min_count=1)
    names = [field.name for field in group.fields]
    assert names == [f"creative.{name}" for name in ("color", "person", "text_color", "duration_size", "text_size")]
    assert {field.source for field in group.fields} == {"creative"}
    codes_RF = group.columns["creative"].codes_RF
    assert codes_RF[:, 0].tolist() == [0, 1, 2, 2, 0]
    assert [field.size for field in group.fields] == [3, 3, 2, 3, 4]
    assert [number.name for number in group.numbers] == ["creative.duration", "creative.text_length"]
    assert group.columns["creative"].numbers_RG[[0, 4]].tolist() == [[0.0, 0.0]] * 2
    (words,) = group.columns["creative"].bags_P
    assert words.lengths().tolist() == [0, 2, 0, 0, 0]
    assert group.multi_fields[0].size == 3


def test_rare_values_share_the_unknown_code():
    group = creative_fields(creative_attributes(PROFILES, ROWS), SEEN, min_count=3)
    assert group.columns["creative"].codes_RF[:, 0].tolist() == [0, 1, 0, 0, 0]


def test_a_table_of_ones_own_may_have_few_columns():
    own = PROFILES.select("creative_id", "color")
    group = creative_fields(creative_attributes(own, ROWS), SEEN, min_count=1)
    assert [field.name for field in group.fields] == ["creative.color"]
    assert (group.numbers, group.multi_fields) == ((), ())
