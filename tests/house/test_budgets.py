"""Size budgets: what keeps the house readable. See CONTRIBUTING.md."""

import ast
from pathlib import Path

import pytest

import plait

PACKAGE = Path(plait.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FUNCTION_LINES = 60
FILE_LINES = 500
FOLDER_DEPTH = 2


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_there_is_something_to_measure():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file(path: Path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= FILE_LINES, f"{path}: {lines} lines, at most {FILE_LINES}: split it by what its parts are"
    long = [
        f"{node.name} ({size} lines)"
        for node in functions(path)
        if (size := node.end_lineno - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long, f"{path}: {', '.join(long)}: at most {FUNCTION_LINES} lines a function"
    depth = len(path.relative_to(PACKAGE).parts) - 1
    assert depth <= FOLDER_DEPTH, f"{path}: {depth} folders deep, at most {FOLDER_DEPTH}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_say_what_a_module_is(path: Path):
    assert not {"utils", "util", "helpers", "common", "misc"} & {path.stem, *path.parts}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_public_names_have_docstrings(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path}: no module docstring"
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare, f"{path}: no docstring on {', '.join(bare)}"


def test_most_functions_are_short():
    sizes = sorted(node.end_lineno - node.lineno + 1 for path in FILES for node in functions(path))
    assert sizes[int(0.9 * len(sizes))] <= 35
