import json
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.errors import ArtifactError
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.models.loading import MODEL_FILE, SPEC_FILE, WEIGHTS_FILE
from plait.models.split import load_head, load_tower
from plait.registry import Registry
from plait.testing.batches import random_item_fields, small_spec

WORKSPACE = """
name = "small"
scenarios = [{ name = "feed" }]
objectives = [{ name = "click", action = "click" }]
[tables.users]
path = "users.parquet"
[tables.items]
path = "items.parquet"
[tables.exposures]
path = "exposures.parquet"
[tables.behaviours]
path = "behaviours.parquet"
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "plait.toml").write_text(WORKSPACE)
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    registry = Registry(tmp_path / ".plait" / "registry")
    for auc in (0.7, 0.71234):
        registry.register(
            "ranker", {"model.safetensors": weights}, {"metrics": {"auc": {"value": auc}}, "commit": "c1"}
        )
    return tmp_path


def run(workspace: Path, *arguments: str) -> str:
    result = CliRunner().invoke(register_commands(), ["models", *arguments, "-w", str(workspace)])
    if result.exception:
        raise result.exception
    return result.output


def test_from_list_to_roll_back(workspace: Path):
    assert "0.7123" in run(workspace, "list")
    assert run(workspace, "alias", "ranker@1", "production") == "ranker@production is now version 1.\n"
    assert run(workspace, "alias", "ranker", "production") == "ranker@production is now version 2.\n"
    newest = next(line for line in run(workspace, "list").splitlines() if line.strip().startswith("ranker@2"))
    assert "production, latest" in newest
    assert run(workspace, "roll-back", "ranker") == "ranker@production is version 1 again.\n"
    shown = run(workspace, "show", "ranker@production")
    for part in ("ranker@1", "production", "auc 0.7000", "file model.safetensors", "roll_back production"):
        assert part in shown, part


def test_list_of_nothing_says_what_to_do(tmp_path: Path):
    (tmp_path / "plait.toml").write_text(WORKSPACE)
    assert "`plait train" in run(tmp_path, "list")


def test_unknown_model_is_a_message(workspace: Path):
    with pytest.raises(ArtifactError, match="did you mean 'ranker'"):
        run(workspace, "show", "rnker")


def test_export_writes_tower_and_head(workspace: Path, tmp_path: Path):
    spec, sizes = small_spec(), {"hstu": {"sequence": {"width": 8, "max_events": 16}}, "dnn": {}}
    registry = Registry(workspace / ".plait" / "registry")
    for family, changed in sizes.items():
        config = {"family": family, "embedding_dim": 4, "hidden": [8], **changed}
        model = build_model(parse_model(config, "test"), spec, random_item_fields(spec))
        save_file(model.state_dict(), tmp_path / WEIGHTS_FILE)
        described = {"model": config, "item_fields_shape": list(random_item_fields(spec).shape)}
        (tmp_path / MODEL_FILE).write_text(json.dumps(described))
        (tmp_path / SPEC_FILE).write_text(spec.to_json())
        registry.register(family, {name: tmp_path / name for name in (WEIGHTS_FILE, MODEL_FILE, SPEC_FILE)}, {})
    out = tmp_path / "parts"
    assert run(workspace, "export", "hstu", "-o", str(out)).startswith("hstu@1: ")
    assert load_tower(out / "tower").sizes.max_events == 16
    assert len(load_head(out / "head").head.objectives.bias) == len(spec.objectives)
    with pytest.raises(ArtifactError, match="dnn@1 is of family dnn, expected hstu"):
        run(workspace, "export", "dnn", "-o", str(tmp_path / "none"))
