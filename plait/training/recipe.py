"""Recipes: a model's sizes and how it is trained, as a small TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from plait.config import load_recipe, merge, nearest, parse_settings
from plait.errors import ConfigError
from plait.models.config import ModelConfig, parse_model
from plait.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `plait train` needs to know beside the data."""

    model: ModelConfig
    training: TrainingConfig

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON can hold it; `parse_recipe` gives an equal one back."""
        return {"model": self.model.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}


def recipe_folder() -> Path:
    """Where the shipped recipes lie."""
    return Path(str(files("plait") / "recipes"))


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in recipe_folder().glob("*.toml"))


def load_recipe_by_name(name: str, root: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A shipped recipe by its name, or one of the user's by its path relative to `root`.

    Args:
        name: such as "dnn", or "models/mine.toml".
        root: the workspace's folder.
        overrides: values laid over the recipe's, by section: `{"training": {"epochs": 2}}`.

    Raises:
        ConfigError: there is no such recipe, or a value is wrong.
    """
    path = root / name if name.endswith(".toml") else recipe_folder() / f"{name}.toml"
    if not path.exists():
        known = nearest(name, recipe_names())
        raise ConfigError(f"no recipe '{name}' (looked for {path}){known}; or give the path of a .toml file")
    return parse_recipe(merge(load_recipe(path), dict(overrides or {})), str(path))


def parse_recipe(values: Mapping[str, Any], source: str) -> Recipe:
    """The recipe in `values`; `source` is named in errors.

    Raises:
        ConfigError: a section or key is unknown, or a value is wrong.
    """
    for section in values:
        if section not in ("model", "training"):
            raise ConfigError(f"{source}: unknown section '{section}'{nearest(section, ['model', 'training'])}")
    model = parse_model(dict(values.get("model", {})), f"{source} [model]")
    training = parse_settings(TrainingConfig, dict(values.get("training", {})), f"{source} [training]")
    return Recipe(model, training)


def parse_overrides(settings: list[str]) -> dict[str, Any]:
    """`["training.epochs=2", "model.hidden=[64]"]` as nested tables; values are read as TOML, else as text.

    Raises:
        ConfigError: one is not of the form `section.key=value`.
    """
    merged: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or len(keys) < 2 or not all(keys):
            raise ConfigError(f"--set {setting}: expected section.key=value, such as training.epochs=2")
        nested: Any = _toml_value(text.strip())
        for key in reversed(keys):
            nested = {key: nested}
        merged = merge(merged, nested)
    return merged


def _toml_value(text: str) -> Any:

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
