"""plait.toml: what a workspace must say, what it may not, and that settings go to TOML's values and back."""

import datetime
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from plait.config import Settings, Workspace, load_workspace, workspace
from plait.errors import ConfigError

TOML = """
name = "应用市场"
time_unit = "s"
[tables.users]
path = "users.csv"
rename = {user_id = "uid"}
columns = {age = "number"}
[tables.items]
path = "items.parquet"
[tables.exposures]
path = "exposures/*.parquet"
[tables.behaviours]
path = "behaviours/*.parquet"
[[scenarios]]
name = "首页"
kind = "ads"
[[scenarios]]
name = "search"
[[objectives]]
name = "click"
action = "click"
[[objectives]]
name = "install"
action = "install"
parent = "click"
window = "7d"
value = 1.5
[actions.rate]
value_edges = [2.5, 3.5]
[check]
earliest = 2001-02-03
[split]
kind = "per_user_time"
[serving]
deadline_ms = 30
"""

EXAMPLES: dict[str, dict[str, Any]] = {
    "TableSettings": {"path": "a.csv", "rename": {"user_id": "uid"}, "columns": {"age": "number", "bio": "text"}},
    "ScenarioSettings": {"name": "首页", "app": "store", "kind": "games"},
    "ObjectiveSettings": {
        "name": "pay",
        "action": "pay",
        "parent": "install",
        "window": "36h",
        "attribution": "exposure_id",
        "min_value": 0.5,
        "value": 2.0,
    },
    "AdsSettings": {"objective": "pay", "pricing": "vcg", "reserve": 2.5, "attention": [1.0, 0.6]},
    "ActionSettings": {"value_edges": [1.0, 2.0]},
    "ContentSettings": {
        "max_file_mb": 50.0,
        "max_megapixels": 20.0,
        "max_video_seconds": 90.0,
        "max_text_kb": 10.0,
        "step_seconds": 30.0,
        "shots": 2,
        "workers": 1,
        "attempts": 2,
        "label": {
            "strategy": "rest",
            "taxonomy": "app-market",
            "language": "en",
            "encoder": {
                "kind": "minilm",
                "model": "",
                "max_tokens": 32,
                "pooling": "mean",
                "precision": "float32",
                "url": "http://10.0.0.1/v1",
                "token_env": "TOKEN",
            },
            "threshold": 0.7,
            "shown_examples": 4,
            "examples": "mine.csv",
        },
        "llm": {
            "gguf": "",
            "url": "http://10.0.0.1/v1",
            "model": "m",
            "token_env": "TOKEN",
            "context": 1024,
            "concurrency": 2,
            "price_prompt": 0.5,
            "price_answer": 2.0,
            "sees": True,
        },
        "asked_fields": ["text_type"],
        "speech": {"model": "whisper", "language": "zh", "max_seconds": 5.0},
    },
    "CreativeSettings": {"profiles": "mine/*.parquet", "answer": "detail", "half_life": "7d"},
    "EmbeddingSettings": {
        "encoder": {
            "kind": "endpoint",
            "model": "m",
            "max_tokens": 64,
            "pooling": "mean",
            "precision": "float32",
            "url": "http://10.0.0.1/v1",
            "token_env": "TOKEN",
        },
        "language": "en",
        "templates": "texts",
        "actions": {"click": "clicked"},
        "items": 4,
        "recency": "30d",
        "users": 500,
        "max_characters": 200,
        "every": "12h",
        "width": 8,
        "reduction": "random",
    },
    "FeatureSettings": {"min_count": 5, "max_values": 12},
    "CheckSettings": {"earliest": "2000-01-01", "latest": "2030-12-31", "max_quarantined": 0.5},
    "SplitSettings": {"kind": "per_user_time", "valid": 0.05, "test": 0.15},
    "ModelSettings": {"recipe": "hstu", "overrides": {"model": {"width": 64}}},
    "ServingSettings": {
        "host": "0.0.0.0",
        "port": 0,
        "model": "ranker@3",
        "deadline_ms": 25.0,
        "candidates": 100,
        "max_k": 10,
        "token_env": "TOKEN",
        "request_log": True,
    },
}
CLASSES = {
    name: kind
    for name, kind in inspect.getmembers(workspace, inspect.isclass)
    if issubclass(kind, Settings) and kind not in (Settings, Workspace)
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plait.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


def refusal(folder: Path, old: str, new: str) -> str:
    assert old in TOML
    (folder / "plait.toml").write_text(TOML.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_workspace(folder)
    message = str(caught.value)
    assert message.startswith(str(folder / "plait.toml"))
    return message


def test_every_settings_class_has_an_example():
    assert set(EXAMPLES) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_settings_go_there_and_back(name):
    kind, example = CLASSES[name], EXAMPLES[name]
    assert set(example) == set(kind.model_fields), "an example says every field, none at its default"
    settings = kind.model_validate(example)
    written = json.loads(json.dumps(settings.model_dump(mode="json")))
    assert written == example
    assert kind.model_validate(written) == settings
    defaults = {field: info.default for field, info in kind.model_fields.items() if not info.is_required()}
    assert not [field for field, value in defaults.items() if getattr(settings, field) == value]


def test_a_workspace_goes_there_and_back(folder: Path):
    loaded = load_workspace(folder)
    written = json.loads(json.dumps(loaded.model_dump(mode="json")))
    assert Workspace.model_validate(written) == loaded


def test_a_workspace_holds_what_the_file_says(folder: Path):
    loaded = load_workspace(folder)
    assert load_workspace(folder / "plait.toml") == loaded
    assert loaded.name == "应用市场"
    assert loaded.scenario_names() == ["首页", "search"]
    assert loaded.objective_names() == ["click", "install"]
    assert loaded.objectives[0].window == 24 * 3_600_000
    assert loaded.objectives[1].window == 7 * 24 * 3_600_000
    assert loaded.check.earliest == datetime.date(2001, 2, 3)
    assert loaded.tables["users"].rename == {"user_id": "uid"}
    assert loaded.seed == 7


def test_no_workspace_here(tmp_path: Path):
    with pytest.raises(ConfigError, match="no workspace here; `plait init` writes one"):
        load_workspace(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "search"', 'nmae = "search"', "unknown key 'scenarios.2.nmae'; did you mean 'name'?"),
        ('name = "search"', 'nmae = "search"', "key 'scenarios.2.name' is missing"),
        ("[split]", "[spilt]", "unknown key 'spilt'; did you mean 'split'?"),
        ("[tables.users]", "[tables.user]", "unknown key 'tables.user'; did you mean 'users'?"),
        ("[tables.items]\npath", "[tables.items]\npaht", "unknown key 'tables.items.paht'; did you mean 'path'?"),
        ("value_edges", "edges", "unknown key 'actions.rate.edges'; did you mean 'value_edges'?"),
        ("[2.5, 3.5]", "[3.5, 2.5]", "expected each edge to be above the one before it"),
        ("[2.5, 3.5]", "[2.5, 2.5]", "expected each edge to be above the one before it"),
        ("[2.5, 3.5]", "[2.5, nan]", "expected each edge to be above the one before it"),
        ('age = "number"', 'age = "numbr"', "key 'tables.users.columns.age'"),
        ('age = "number"', 'user_id = "number"', "tables.users.columns: user_id already has a meaning"),
        ('window = "7d"', 'window = "soon"', "key 'objectives.2.window': found 'soon', expected a duration"),
        ('parent = "click"', 'parent = "clik"', "objective 'install': parent 'clik' is not an objective"),
        ('parent = "click"', 'parent = "install"', "its parents go round in a circle (install)"),
        ('name = "search"', 'name = "首页"', "scenario '首页' is declared twice"),
        ('name = "install"', 'name = "click"', "objective 'click' is declared twice"),
        ('kind = "ads"', 'kind = "adverts"', "key 'scenarios.1.kind'"),
        ('time_unit = "s"', 'time_unit = "minutes"', "key 'time_unit'"),
        ('kind = "per_user_time"', "valid = 0.5\ntest = 0.5", "valid + test is 1, expected less than 1"),
        ('kind = "per_user_time"', "test = 1.5", "key 'split.test'"),
        ("earliest = 2001-02-03", "latest = 1990-01-01", "latest is 1990-01-01, expected a day after earliest"),
        ("earliest = 2001-02-03", "max_quarantined = 10", "key 'check.max_quarantined'"),
        ("deadline_ms = 30", "deadline_ms = 0", "key 'serving.deadline_ms'"),
        ('[tables.items]\npath = "items.parquet"\n', "", "tables items are missing"),
    ],
)
def test_what_a_workspace_may_not_say(folder: Path, old, new, message):
    assert message in refusal(folder, old, new)


def test_a_circle_of_two(folder: Path):
    circle = 'name = "click"\naction = "click"\nparent = "install"'
    assert "go round in a circle (click > install)" in refusal(folder, 'name = "click"\naction = "click"', circle)
