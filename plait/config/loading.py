"""TOML files into typed settings: unknown keys are refused with the file, the key and the nearest right one."""

import difflib
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

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
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a byte order mark in front
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
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
    """`; did you mean 'x'?` for the known word closest to `word`, or a list of what is known, if anything is."""
    if not known:
        return ""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(sorted(known))}"


def _load_recipe(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise ConfigError(f"{path}: its 'base' leads back to itself")
    values = read_toml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: 'base' is {base!r}, expected the path of another recipe as text")
    return merge(_load_recipe((path.parent / base).resolve(), (*seen, path)), values)


def _describe(kind: type[BaseModel], problem: dict[str, Any]) -> str:
    location = problem["loc"]
    if location[-1:] == ("[key]",):
        table, word = location[:-2], str(location[-2])
        return f"unknown key '{_spell(location[:-1])}'{nearest(word, _keys_at(kind, table))}"
    key = _spell(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(str(location[-1]), _keys_at(kind, location[:-1]))}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"key '{key}': {message} (found {problem['input']!r:.80})" if key else message


def _spell(location: tuple[Any, ...]) -> str:
    """Where a value stands, as people read TOML: `scenarios.2.name` is the name of the second scenario."""
    return ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in location)


def _keys_at(kind: Any, location: tuple[Any, ...]) -> list[str]:
    """The keys that the table at `location` under `kind` may have; none where any key may stand."""
    for part in location:
        kind = _inside(kind, part)
    kind = _container(kind)
    if _is_settings(kind):
        return list(kind.model_fields)
    if get_origin(kind) is dict and issubclass(get_args(kind)[0], Enum):
        return [str(member.value) for member in get_args(kind)[0]]
    return []


def _inside(annotation: Any, part: Any) -> Any:
    """The annotation of what stands under `part` in a value of `annotation`."""
    annotation = _container(annotation)
    if _is_settings(annotation):
        field = annotation.model_fields.get(part)
        return field.annotation if field is not None else None
    return get_args(annotation)[-1] if get_args(annotation) else None


def _container(annotation: Any) -> Any:
    """The settings class, list or dict that an optional or annotated type wraps; `annotation` where there is none."""
    if _is_settings(annotation) or get_origin(annotation) in (list, dict, tuple):
        return annotation
    found = (_container(argument) for argument in get_args(annotation))
    return next((each for each in found if _is_settings(each) or get_args(each)), annotation)


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
