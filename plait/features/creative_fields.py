"""What a creative looks like and says, as fields: the profile of each creative beside the creative's own columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.features.bags import Bags
from plait.features.groups import EntityColumns, FeatureGroup
from plait.features.scaling import fit_number, standardise
from plait.features.spec import Field, MultiField
from plait.features.vocabulary import Vocabulary
from plait.schema import Columns as C
from plait.schema.creative_profile import LABEL_COLUMNS

ScalarT = TypeVar("ScalarT", np.int32, np.float32)

CREATIVE_FIELDS = "creative_fields"
"""Name of the group."""
_WORDS = "text_key_words"
_SIZES: Mapping[str, str] = {"duration": "duration_size", "text_length": "text_size"}
"""Numbers, and the fields that hold their buckets."""
_CATEGORIES = (
    "screen_orientation",
    "ratio",
    "color",
    "clarity",
    "brightness",
    "tone",
    "person",
    "text_type",
    "text_color",
    "object_type",
    *LABEL_COLUMNS,
)
_MOST_WORDS = 8
_STEPS = 2


def creative_attributes(profiles: pl.DataFrame, creatives: Vocabulary) -> pl.DataFrame:
    """A row per row of the creatives table (the unknown one included): every attribute as text, null where unknown.

    Duration (seconds) and text length (characters) are cut into buckets `round(2 log2(1 + x))`, half an octave each,
    so that 0 has one of its own. Columns that the profiles lack are left out; others than the known are not read.

    Args:
        profiles: the table `creative_profiles`, or any with `creative_id` and some of its columns.
        creatives: the rows of the creatives table.
    """
    rows = pl.DataFrame({"row": creatives.encode(profiles[C.CREATIVE_ID])}).with_columns(profiles)
    rows = rows.filter(pl.col("row") > 0).unique("row", keep="last", maintain_order=True)
    present = set(profiles.columns)
    steps = {name: (_STEPS * (1 + pl.col(name).cast(pl.Float64).clip(lower_bound=0)).log(2)).round() for name in _SIZES}
    chosen = [_text(name) for name in _CATEGORIES if name in present]
    chosen += [steps[name].cast(pl.Int64).cast(pl.String).alias(_SIZES[name]) for name in _SIZES if name in present]
    chosen += [pl.col(name).cast(pl.Float64) for name in _SIZES if name in present]
    if _WORDS in present:
        single = profiles.schema[_WORDS] == pl.String
        words = pl.concat_list(_text(_WORDS)).list.drop_nulls() if single else pl.col(_WORDS)
        chosen.append(words.list.head(_MOST_WORDS).alias(_WORDS))
    return pl.DataFrame({"row": np.arange(creatives.size, dtype=np.int32)}).join(
        rows.select("row", *chosen), on="row", how="left", maintain_order="left"
    )


def attribute_names(attributes: pl.DataFrame) -> list[str]:
    """The single-valued attributes among the columns of `creative_attributes`."""
    return [name for name in (*_CATEGORIES, *_SIZES.values()) if name in attributes.columns]


def creative_fields(attributes: pl.DataFrame, seen_R: NDArray[np.int64], min_count: int) -> FeatureGroup:
    """The group `creative_fields`: `creative.<attribute>` as fields, two numbers, and the key words.

    Args:
        attributes: of `creative_attributes`.
        seen_R: how many training exposures show each creative: vocabularies and scales are those of training.
        min_count: rarer values share code 0.
    """
    rows = len(attributes)
    fields, codes, numbers, standard = [], [], [], []
    for name in attribute_names(attributes):
        vocabulary = Vocabulary.fit(attributes[name], seen_R, min_count)
        fields.append(Field(_name(name), "creative", vocabulary.size, CREATIVE_FIELDS))
        codes.append(vocabulary.encode(attributes[name]))
    for name in (name for name in _SIZES if name in attributes.columns):
        values_R = attributes[name].fill_null(float("nan")).to_numpy()
        number = fit_number(_name(name), "creative", values_R, seen_R.astype(np.float64))
        numbers.append(replace(number, group=CREATIVE_FIELDS))
        standard.append(standardise(values_R, number))
    lists: tuple[MultiField, ...] = ()
    bags_P: tuple[Bags, ...] = ()
    if _WORDS in attributes.columns:
        lists, bags_P = _key_words(attributes[_WORDS], seen_R, min_count)
    columns = EntityColumns(_beside(codes, rows, np.int32), _beside(standard, rows, np.float32), bags_P)
    return FeatureGroup(CREATIVE_FIELDS, tuple(fields), tuple(numbers), lists, columns={"creative": columns})


def _key_words(words: pl.Series, seen_R: NDArray[np.int64], min_count: int) -> tuple[tuple[MultiField], tuple[Bags]]:
    flat = pl.DataFrame({"word": words, "count": seen_R}).explode("word", empty_as_null=False, keep_nulls=False)
    vocabulary = Vocabulary.fit(flat["word"], flat["count"].to_numpy(), min_count)
    field = MultiField(_name(_WORDS), "creative", "list", vocabulary.size, _MOST_WORDS, CREATIVE_FIELDS)
    return (field,), (Bags.encode(words, vocabulary, 0),)


def _text(name: str) -> pl.Expr:
    """A column as text; empty text is no value."""
    text = pl.col(name).cast(pl.String)
    return pl.when(text != "").then(text).alias(name)


def _name(attribute: str) -> str:
    return f"creative.{attribute}"


def _beside(columns: Sequence[NDArray[ScalarT]], rows: int, dtype: type[ScalarT]) -> NDArray[ScalarT]:
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype)
