"""The pages keep pace with the code: settings, commands, recipes and results are documented, links lead somewhere."""

import json
import re
import runpy
from pathlib import Path

import pytest
import typer

from plait.cli.app import register_commands
from plait.config import workspace
from plait.pipelines.results import results_page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
COMMAND_LINE = typer.main.get_command(register_commands())
SETTINGS = [
    getattr(workspace, name) for name in sorted(vars(workspace)) if name.endswith("Settings") and name != "Settings"
]


def test_pages_exist():
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} <= {page.name for page in PAGES}
    assert len(list(DOCS.glob("*.md"))) >= 8


@pytest.mark.parametrize("settings", [*SETTINGS, workspace.Workspace], ids=lambda kind: kind.__name__)
def test_every_setting_is_documented(settings):
    page = (DOCS / "workspace.md").read_text(encoding="utf-8")
    missing = [name for name in settings.model_fields if f"`{name}`" not in page]
    assert not missing, f"docs/workspace.md says nothing of {', '.join(missing)} ({settings.__name__})"


def test_cli_reference_is_up_to_date():
    made = runpy.run_path(str(DOCS / "cli_reference.py"))["reference"]()
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == made, "run `make docs`"


def test_every_recipe_is_documented():
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    recipes = sorted(path.stem for path in (ROOT / "plait" / "recipes").glob("*.toml"))
    assert recipes
    assert not [name for name in recipes if f"`{name}`" not in page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken, f"{page}: broken links: {', '.join(broken)}"


def test_every_page_is_reachable_from_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lost = [page.name for page in DOCS.glob("*.md") if f"docs/{page.name}" not in readme]
    assert not lost, f"README.md links to no {', '.join(lost)}"


def test_every_folder_has_a_line_in_the_architecture():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    # A folder of modules; `__pycache__` holds none, and folders git left empty neither.
    folders = [path.name for path in (ROOT / "plait").iterdir() if path.is_dir() and any(path.rglob("*.py"))]
    assert "serving" in folders
    assert not [name for name in folders if f"`{name}/`" not in page]


def options(path: tuple[str, ...]) -> set[str] | None:
    """Every option of `plait PATH...`; None where there is no such command."""
    command = COMMAND_LINE
    for name in path:
        command = getattr(command, "commands", {}).get(name)
        if command is None:
            return None
    return {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_pages_exist(page: Path):
    """Every line of a code block that begins with `plait`, up to a comment or a pipe: its command and its options."""
    wrong = []
    for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M):
        for line in re.findall(r"^plait .*", block.replace("\\\n", " "), flags=re.M):
            words = re.split(r" {2,}#| # |\s[|>;&]|  ", line)[0].split()[1:]
            place = 2 if len(words) > 1 and options(tuple(words[:2])) else 1
            known = options(tuple(words[:place])) if not words[0].startswith("-") else options(())
            used = {word.split("=")[0] for word in words if word.startswith("-")}
            if known is None or used - known:
                wrong.append(line)
    assert not wrong


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_result_has_the_agreed_form(path: Path):
    result = json.loads(path.read_text(encoding="utf-8"))
    assert list(result) == ["name", "command", "commit", "date", "hardware", "data", "seeds", "metrics", "notes"]
    assert result["name"] == path.stem
    assert "+changes" not in result["commit"], "measure on a committed tree"
    for name, metric in result["metrics"].items():
        assert set(metric) == {"value", "low", "high", "unit"}, name
        if metric["low"] is not None:
            assert metric["low"] <= metric["value"] <= metric["high"], name


def test_results_page_is_up_to_date():
    benchmarks = ROOT / "benchmarks"
    page = (benchmarks / "RESULTS.md").read_text(encoding="utf-8")
    assert page == results_page(benchmarks / "results"), "run `make docs`"


def test_readme_quotes_only_results():
    """Every figure in the README's tables stands in a file under benchmarks/results/."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    known = {
        f"{abs(metric[bound]):.{digits}f}"
        for path in RESULTS
        for metric in json.loads(path.read_text(encoding="utf-8"))["metrics"].values()
        for bound in ("value", "low", "high")
        if metric[bound] is not None
        for digits in range(5)
    }
    for section in re.findall(r"<!-- results -->(.*?)<!-- /results -->", readme, flags=re.S):
        figures = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", section)
        unknown = [figure for figure in figures if figure not in known]
        assert not unknown, f"README.md: {', '.join(unknown)} stand in no result file"
