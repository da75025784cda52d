"""`plait data` and `plait init` on the command line."""

import pytest
import typer
from typer.testing import CliRunner

from plait.cli import data, init
from plait.config import load_workspace
from plait.errors import ConfigError
from plait.pipelines.importing import parse_options


@pytest.fixture
def app():
    program = typer.Typer()
    data.register(program)
    init.register(program)
    return program


def test_import_list_and_help(app, ml1m_zip, tmp_path):
    run = CliRunner().invoke
    result = run(app, ["data", "import", "movielens-1m", str(ml1m_zip), "-o", str(tmp_path / "ws")])

    assert result.exit_code == 0, result.output
    assert "exposures" in result.output
    assert load_workspace(tmp_path / "ws").name == "movielens-1m"
    assert "kuairand" in run(app, ["data", "list"]).output
    for command in (["data", "import"], ["data", "list"], ["init"]):
        assert "Example: plait" in run(app, [*command, "--help"]).output


def test_options_reach_the_importer(app, frappe, tmp_path):
    out = tmp_path / "ws"
    arguments = [
        "data",
        "import",
        "frappe",
        str(frappe),
        "-o",
        str(out),
        "--option",
        "negatives=0",
        "--option",
        "seed=3",
    ]
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    assert '"negatives": 0,\n  "seed": 3' in (out / "import.json").read_text()


def test_without_out_the_folder_is_called_like_the_source(app, ml1m_zip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert CliRunner().invoke(app, ["data", "import", "movielens-1m", str(ml1m_zip)]).exit_code == 0
    assert load_workspace(tmp_path / "movielens-1m").name == "movielens-1m"


def test_option_without_value():
    assert parse_options(["a=1", "b = x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(ConfigError, match="key=value"):
        parse_options(["negatives"])


def test_init_prints_what_is_missing(app, tmp_path):
    (tmp_path / "events.csv").write_text("uid,iid,ts,event\n1,2,1700000000,click\n")
    result = CliRunner().invoke(app, ["init", str(tmp_path)])

    assert result.exit_code == 0, result.output
    assert "missing: table exposures" in result.output
    assert isinstance(CliRunner().invoke(app, ["init", str(tmp_path)]).exception, ConfigError)
    assert CliRunner().invoke(app, ["init", str(tmp_path), "--force", "--name", "shop"]).exit_code == 0
    assert load_workspace(tmp_path).name == "shop"
