"""TOML files into typed settings: unknown keys are refused with the file, the key and the nearest right one."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from plait.errors import ConfigError


class Settings(BaseModel):
    """Base of every settings class: frozen, unknown keys refused, a docstring under each field is its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def parse_settings(kind: type[SettingsT], values: dict[str, Any], source: Path | str) -> SettingsT:
    """`values` as an instance of `kind`; `source` is named in errors.

    Raises:
        ConfigError: a key is unknown or a value is of the wrong kind; every problem is listed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [_describe(kind, dict(problem)) for problem in error.errors()]
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems)) from None


def load_settings(kind: type[SettingsT], path: Path) -> SettingsT:
    """The TOML file at `path` as an instance of `kind`.

    Raises:
        ConfigError: the file is missing, is not TOML, or does not fit `kind`.
    """
    return parse_settings(kind, read_toml(path), path)


def load_recipe(path: Path) -> dict[str, Any]:
    """A recipe's values with those of its `base =` file (relative to it, any depth) underneath.

    Raises:
        ConfigError: a file is missing, is not TOML, or the bases go round in a circle.
    """
    return _load_recipe(path.resolve(), ())


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` laid on top, table by table."""
    merged = dict(base)
    for key, value in over.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_tables else value
    return merged


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for the known word closest to `word`, or a list of what is known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(sorted(known))}"


def _load_recipe(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise ConfigError(f"{path}: its 'base' leads back to itself")
    values = read_toml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    return merge(_load_recipe((path.parent / base).resolve(), (*seen, path)), values)


def _describe(kind: type[BaseModel], problem: dict[str, Any]) -> str:
    location = problem["loc"]
    key = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        fields = _fields_at(kind, location[:-1])
        return f"unknown key '{key}'{nearest(str(location[-1]), fields)}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    return f"key '{key}': {problem['msg'].removeprefix('Value error, ')} (found {problem['input']!r:.80})"


def _fields_at(kind: Any, location: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the settings class that `location` leads to from `kind`."""
    for part in location:
        if _is_settings(kind):
            field = kind.model_fields.get(part)
            kind = field.annotation if field is not None else None
        kind = _innermost(kind)
    return list(kind.model_fields) if _is_settings(kind) else []


def _innermost(annotation: Any) -> Any:
    """The settings class inside a list, dict, union or annotated type; `annotation` itself where there is none."""
    if _is_settings(annotation):
        return annotation
    for argument in get_args(annotation):
        found = _innermost(argument)
        if _is_settings(found):
            return found
    return annotation


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
