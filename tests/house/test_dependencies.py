"""pyproject.toml declares what the package imports, no more and no less; the wheel holds every data file."""

import ast
import fnmatch
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import plait

PACKAGE = Path(plait.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
COMES_WITH = {"starlette": "fastapi", "pydantic-core": "pydantic", "markupsafe": "jinja2", "llvmlite": "numba"}
"""Imported directly, though the other one decides on the version."""
EXTRAS = tuple(name for name in PROJECT["project"]["optional-dependencies"] if name != "dev")
FOUND_BY = {"uvloop": "uvicorn", "httptools": "uvicorn"}
"""Never imported: the other one is faster where they are installed."""


def plain(name: str) -> str:
    return re.split(r"[<>=\[]", name)[0].lower().replace("_", "-")


def declared(*, extra: str | None = None) -> set[str]:
    project = PROJECT["project"]
    return {plain(line) for line in (project["optional-dependencies"][extra] if extra else project["dependencies"])}


def imported() -> set[str]:
    """Top names of all imports of the package that are neither its own nor the standard library's."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    return names - {"plait"} - sys.stdlib_module_names


def test_what_is_imported_is_declared():
    known = packages_distributions()
    available = declared().union(*(declared(extra=extra) for extra in EXTRAS))
    missing = {}
    for name in imported():
        owners = {plain(owner) for owner in known.get(name, [name])}
        owners |= {COMES_WITH.get(owner, owner) for owner in owners}
        if not owners & available:
            missing[name] = owners
    assert not missing


def test_what_is_declared_is_used():
    """Named in the code: an import, or a file that the package carries."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    modules: dict[str, set[str]] = {}
    for name, owners in packages_distributions().items():
        for owner in owners:
            modules.setdefault(plain(owner), set()).add(name)
    wanted = (declared() | declared(extra="simulation") | declared(extra="gpu")) - set(FOUND_BY)
    unused = [
        name for name in wanted if not any(re.search(rf"\b{module}\b", text) for module in modules.get(name, {name}))
    ]
    assert not unused
    assert set(FOUND_BY.values()) <= declared()


def test_every_data_file_is_packaged():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["plait"]
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    data = [str(path.relative_to(PACKAGE)) for path in files if path.suffix != ".py"]
    assert {"recipes/dnn.toml", "console/templates/report.html", "py.typed"} <= set(data)
    assert not [name for name in data if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
