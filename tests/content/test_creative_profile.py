"""The result type: fifteen fields, localised values, a table that holds it, a JSON schema."""

import json

import polars as pl
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.schema import Color, CreativeProfile, Failure, ObjectType, Provenance, TextType, Word, profile_table_schema
from plait.schema.creative_profile import CATEGORIES

FIFTEEN = [
    "creative_id",
    "screen_orientation",
    "duration",
    "ratio",
    "color",
    "clarity",
    "brightness",
    "tone",
    "person",
    "text",
    "text_length",
    "text_key_words",
    "text_color",
    "text_type",
    "object_type",
]
FULL = CreativeProfile(
    creative_id=7,
    screen_orientation="landscape",
    duration=2.0,
    ratio="16:9",
    color="red",
    clarity="sharp",
    brightness="bright",
    tone="warm",
    person=True,
    text="推塔限时五折",
    text_length=6,
    text_key_words=("推塔",),
    text_color="white",
    text_type="discount",
    object_type="person",
    label=("动作射击", "对战竞技", "MOBA"),
    confidence={"color": 0.9, "label": 0.5},
    provenance={"color": Provenance(step="pixels", version=1)},
    failures=(Failure(step="tags", reason="no model"),),
)


def test_fifteen_fields_in_the_order_of_the_talk():
    assert list(CreativeProfile.model_fields)[:15] == FIFTEEN


def test_a_row_of_the_table_is_the_profile():
    for profile in (FULL, CreativeProfile(creative_id="a")):
        kind = pl.Int64 if isinstance(profile.creative_id, int) else pl.String
        table = pl.DataFrame([profile.row()], schema=profile_table_schema(kind))
        assert CreativeProfile.from_row(table.row(0, named=True)) == profile


def test_values_outside_the_enumerations_are_refused():
    with pytest.raises(ValidationError):
        CreativeProfile(creative_id=1, color="ignore the labels")
    with pytest.raises(ValidationError):
        CreativeProfile(creative_id=1, label=("a", "b", "c", "d"))


def test_every_value_has_its_names():
    for kind in Word.__subclasses__():
        members = list(kind)
        assert len({member.zh for member in members}) == len({member.en for member in members}) == len(members)
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in member.zh) for member in members)
    assert (Color.RED, Color.RED.zh, TextType.GIFT.en) == ("red", "红色", "gift")
    assert set(CATEGORIES["object_type"]) == set(ObjectType)


def test_schema_command_prints_the_json_schema():
    printed = CliRunner().invoke(register_commands(), ["understand", "schema"])
    schema = json.loads(printed.output)
    assert list(schema["properties"])[:15] == FIFTEEN
    assert schema["$defs"]["Tone"]["enum"] == ["warm", "neutral", "cool"]
