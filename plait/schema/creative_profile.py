"""What is known about one creative: its fifteen fields and its label, how sure each is, and which step said so."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from plait.schema.columns import Columns as C
from plait.schema.creative_words import (
    Brightness,
    Clarity,
    Color,
    ObjectType,
    Orientation,
    TextType,
    Tone,
    Word,
)

LABEL_COLUMNS: Final = ("label_1", "label_2", "label_3")
"""The levels of the label in the table, the broadest first."""
INFERRED: Final = (
    "color",
    "clarity",
    "brightness",
    "tone",
    "person",
    "text",
    "text_key_words",
    "text_color",
    "text_type",
    "object_type",
    "label",
)
"""The fields that are an estimate and so carry a confidence; the others are read off the file."""


class Provenance(BaseModel):
    """Which step answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    """Name of the step of the workflow."""
    version: int
    """Of the step."""
    model: str = ""
    """The pretrained model that the step asks; empty where it computes."""


class Failure(BaseModel):
    """Why a step has no answer for a creative."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    reason: str
    """In words, for the creative's owner."""


class CreativeProfile(BaseModel):
    """One creative. A field is None where its step failed or does not apply; then `failures` says which."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False)

    creative_id: int | str
    """As in the creatives table."""
    screen_orientation: Orientation | None = None
    """Wider than high, higher than wide, or neither."""
    duration: float | None = Field(None, ge=0)
    """Seconds that the creative runs; 0 for a still image or text."""
    ratio: str | None = None
    """Width to height as "across:up": the nearest common one within 2 %, else in lowest terms."""
    color: Color | None = None
    """Name of the colour that covers the most area, judged relative to the picture's own white."""
    clarity: Clarity | None = None
    """How sharp the picture's own edges are; text laid over it does not count."""
    brightness: Brightness | None = None
    """How light the picture's highlights are."""
    tone: Tone | None = None
    """Warm, neutral or cool: of the dominant colour, or of the light where that is black, white or grey."""
    person: bool | None = None
    """Whether somebody can be seen."""
    text: str | None = None
    """What is written in the creative, in reading order; for a creative without media, its copy."""
    text_length: int | None = Field(None, ge=0)
    """Characters (Unicode code points) of `text`."""
    text_key_words: tuple[str, ...] | None = None
    """The words that tell this text from the others, the most telling first."""
    text_color: Color | None = None
    """Colour name of the letters; None where there is no text."""
    text_type: TextType | None = None
    """What the copy does."""
    object_type: ObjectType | None = None
    """The main thing shown."""
    label: tuple[str, ...] | None = Field(None, max_length=3)
    """Path in the taxonomy, the broadest level first; shorter where the deeper levels are unknown."""
    confidence: dict[str, float] = {}
    """Probability, as the step sees it, that an inferred field is right."""
    provenance: dict[str, Provenance] = {}
    """Which step answered each field."""
    failures: tuple[Failure, ...] = ()
    """The steps that have no answer, and why."""

    def row(self) -> dict[str, Any]:
        """The profile as a row of the table `creative_profiles`."""
        plain = self.model_dump(mode="json", exclude={"label", "confidence", "provenance"})
        path = self.label or ()
        plain |= {column: path[level] if level < len(path) else None for level, column in enumerate(LABEL_COLUMNS)}
        plain["confidence"] = {name: self.confidence.get(name) for name in INFERRED}
        sources = {name: self.provenance.get(name) for name in FIELDS}
        plain["provenance"] = {name: None if one is None else one.model_dump() for name, one in sources.items()}
        return plain

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "CreativeProfile":
        """The profile that `row` of the table holds.

        Raises:
            ValidationError: the row is not one of this table.
        """
        plain = {name: value for name, value in row.items() if name not in LABEL_COLUMNS}
        path = tuple(row[column] for column in LABEL_COLUMNS if row[column] is not None)
        plain["label"] = path or None
        for name in ("confidence", "provenance"):
            plain[name] = {field: value for field, value in (row[name] or {}).items() if value is not None}
        return cls.model_validate(plain)


FIELDS: Final = tuple(
    name for name in CreativeProfile.model_fields if name not in ("creative_id", "confidence", "provenance", "failures")
)
"""Everything that a step answers: fourteen of the fifteen fields (the id is given), and the label."""

_KINDS: Final[Mapping[str, type[Word]]] = {
    "screen_orientation": Orientation,
    "color": Color,
    "clarity": Clarity,
    "brightness": Brightness,
    "tone": Tone,
    "text_color": Color,
    "text_type": TextType,
    "object_type": ObjectType,
}
CATEGORIES: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(member.value for member in kind) for name, kind in _KINDS.items()
}
"""The values of each field that has a fixed set of them."""


def profile_table_schema(creative_id: pl.DataType | type[pl.DataType] = pl.Int64) -> pl.Schema:
    """Columns of the table `creative_profiles`, a row per creative; the id keeps the type of the creatives table."""
    text = pl.String()
    source = pl.Struct({"step": pl.String(), "version": pl.Int32(), "model": pl.String()})
    columns: dict[str, pl.DataType | type[pl.DataType]] = {C.CREATIVE_ID: creative_id}
    columns |= {name: pl.Enum(CATEGORIES[name]) if name in CATEGORIES else text for name in FIELDS}
    columns |= {"duration": pl.Float64(), "person": pl.Boolean(), "text_length": pl.Int32()}
    columns |= {"text_key_words": pl.List(pl.String())}
    del columns["label"]
    columns |= dict.fromkeys(LABEL_COLUMNS, text)
    columns["confidence"] = pl.Struct({name: pl.Float64() for name in INFERRED})
    columns["provenance"] = pl.Struct(dict.fromkeys(FIELDS, source))
    columns["failures"] = pl.List(pl.Struct({"step": pl.String(), "reason": pl.String()}))
    return pl.Schema(columns)
