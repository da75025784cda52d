"""Commented workspace files."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from plait.config import ObjectiveSettings, ScenarioSettings, TableSettings, Workspace, parse_settings
from plait.config.template import render_workspace, toml_key, toml_value

TABLES = {name: TableSettings(path=f"{name}.parquet") for name in ("users", "items", "exposures", "behaviours")}


def load(text):
    return parse_settings(Workspace, tomllib.loads(text), "text")


def workspace(**changes):
    base = {
        "name": "w",
        "tables": TABLES,
        "scenarios": [ScenarioSettings(name="feed")],
        "objectives": [ObjectiveSettings(name="click", action="click")],
    }
    return Workspace.model_validate(base | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 11, "time_unit": "us", "simulated": True},
        {"tables": TABLES | {"users": TableSettings(path="u.csv", rename={"user_id": "号"}, columns={"a.b": "id"})}},
        {"scenarios": [ScenarioSettings(name='say "hi"\\', kind="ads", app="商店")]},
        {"objectives": [
            ObjectiveSettings(name="click", action="click", window=1),
            ObjectiveSettings(name="pay", action="pay", parent="click", min_value=0.5, value=-2, window=90_000),
        ]},
        {"actions": {"rate it": {"value_edges": [1.5, 2.0]}}},
        {"features": {"min_count": 5}},
        {"check": {"earliest": "2001-02-03", "latest": "2030-01-01", "max_quarantined": 0}},
        {"models": {"r": {"recipe": "x", "overrides": {"a": {"b": [1]}}}}},
        {"split": {"kind": "per_user_time", "valid": 0.2, "test": 0.3}, "serving": {"port": 0, "request_log": True}},
    ],
)  # fmt: skip
def test_what_is_written_loads_as_it_was(changes):
    settings = workspace(**changes)

    assert load(render_workspace(settings, "header")) == settings


def test_comments_stand_beside_their_keys():
    settings = workspace(tables=TABLES | {"users": TableSettings(path="u.csv", columns={"age": "number"})})
    text = render_workspace(
        settings,
        "Said first.\n\nSaid next.",
        {"tables.users.columns.age": "in years", "objectives.click": "A tap.", "split.kind": "Why so."},
    )
    lines = text.splitlines()

    assert lines[:2] == ["# Said first.", "# Said next."]
    assert 'age = "number"  # in years' in lines
    assert lines[lines.index('name = "click"') - 2 :][:2] == ["# A tap.", "[[objectives]]"]
    assert lines[lines.index('# kind = "global_time"') - 1] == "# Why so."


def test_every_section_and_every_single_setting_is_shown():
    settings = workspace()
    text = render_workspace(settings, "header")

    for section in Workspace.model_fields:
        part = getattr(settings, section)
        if isinstance(part, (list, dict, BaseModel)):
            assert f"# ---- {section} " in text
        if isinstance(part, BaseModel):
            body = text.split(f"\n[{section}]\n")[1].split("\n# ---- ")[0]
            assert all(f"\n# {field} = " in body for field in type(part).model_fields)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text):
    assert tomllib.loads(f"{toml_key(text)} = {toml_value(text)}") == {text: text}


@given(
    st.recursive(
        st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(), st.lists
    )
)
def test_any_number_survives(value):
    assert tomllib.loads(f"a = {toml_value(value)}") == {"a": value}
