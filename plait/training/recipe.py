"""Recipes: a model's sizes, how it is trained and which derived features it reads, as a small TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from plait.config import load_recipe, merge, nearest, parse_settings
from plait.errors import ConfigError
from plait.models.config import ModelConfig, NextItemConfig, parse_model
from plait.training.config import FeatureUse, TrainingConfig

_SECTIONS = ("model", "training", "features")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `plait train` needs to know beside the data."""

    model: ModelConfig
    training: TrainingConfig
    features: FeatureUse = field(default_factory=FeatureUse)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON can hold it, sections that only say the default left out; see `parse_recipe`."""
        plain = {"model": self.model.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}
        return plain | ({"features": self.features.model_dump(mode="json")} if self.features.use else {})


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
        if section not in _SECTIONS:
            raise ConfigError(f"{source}: unknown section '{section}'{nearest(section, list(_SECTIONS))}")
    model = parse_model(dict(values.get("model", {})), f"{source} [model]")
    training = parse_settings(TrainingConfig, dict(values.get("training", {})), f"{source} [training]")
    features = parse_settings(FeatureUse, dict(values.get("features", {})), f"{source} [features]")
    if features.use and isinstance(model, NextItemConfig):
        raise ConfigError(f"{source} [features]: next-item models read events only; leave 'use' out")
    return Recipe(model, training, features)


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
