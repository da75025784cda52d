"""Recipes: a model's sizes, how it is trained and which derived features it reads, as a small TOML file."""

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from plait.config import load_recipe, merge, nearest, parse_settings
from plait.errors import ConfigError
from plait.models.config import AlignedConfig, ModelConfig, NextItemConfig, parse_model
from plait.training.config import FeatureUse, TrainingConfig

_SECTIONS = ("model", "training", "features", "search")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `plait train` needs to know beside the data."""

    model: ModelConfig
    training: TrainingConfig
    features: FeatureUse = field(default_factory=FeatureUse)
    search: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Values to try, by `section.key`; the validation window chooses. None: the recipe is trained as it is."""

    def candidates(self) -> list[tuple[dict[str, Any], "Recipe"]]:
        """Every combination of the values to try, with the recipe that it makes.

        Raises:
            ConfigError: a key is unknown, or one of its values is wrong.
        """
        found = []
        for values in itertools.product(*self.search.values()):
            chosen = dict(zip(self.search, values, strict=True))
            found.append((chosen, parse_recipe(merge(self._fixed(), _nested(chosen, "[search]")), "[search]")))
        return found

    def _fixed(self) -> dict[str, Any]:
        """All but what is tried, as JSON can hold it."""
        plain = {"model": self.model.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}
        return plain | ({"features": self.features.model_dump(mode="json")} if self.features.use else {})

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON can hold it, sections that only say the default left out; see `parse_recipe`."""
        return self._fixed() | (
            {"search": {key: list(tried) for key, tried in self.search.items()}} if self.search else {}
        )


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
        overrides: values laid over the recipe's, by section: `{"training": {"epochs": 2}}`. What they say is not
            searched for any more.

    Raises:
        ConfigError: there is no such recipe, or a value is wrong.
    """
    path = root / name if name.endswith(".toml") else recipe_folder() / f"{name}.toml"
    if not path.exists():
        known = nearest(name, recipe_names())
        raise ConfigError(f"no recipe '{name}' (looked for {path}){known}; or give the path of a .toml file")
    recipe = parse_recipe(merge(load_recipe(path), dict(overrides or {})), str(path))
    open_keys = {key: tried for key, tried in recipe.search.items() if not _says(overrides or {}, key)}
    return replace(recipe, search=open_keys)


def _says(values: Mapping[str, Any], key: str) -> bool:
    """Whether nested tables hold a value at `section.key`."""
    *sections, last = key.split(".")
    for section in sections:
        values = values.get(section, {})
    return last in values


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
    if training.teacher is not None and isinstance(model, AlignedConfig | NextItemConfig):
        raise ConfigError(f"{source} [training]: {model.family} learns from no labels; leave 'teacher' out")
    recipe = Recipe(model, training, features, _search(values.get("search", {}), source))
    if recipe.search:
        recipe.candidates()
    return recipe


def _search(values: Any, source: str) -> dict[str, list[Any]]:
    """The `[search]` table: a list of values for each key."""
    if not isinstance(values, dict):
        raise ConfigError(f"{source} [search]: expected a table, found {values!r}")
    for key, tried in values.items():
        if not isinstance(tried, list) or not tried:
            raise ConfigError(
                f"{source} [search] {key}: expected a list of values to try under a quoted key, such as "
                f'"training.embedding_l2" = [1e-5, 1e-4]; found {tried!r}'
            )
        if key.split(".")[0] == "search":
            raise ConfigError(f"{source} [search] {key}: only keys of the other sections can be tried")
    return dict(values)


def _nested(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`{"training.epochs": 2}` as nested tables."""
    merged: dict[str, Any] = {}
    for path, value in settings.items():
        keys = [key.strip() for key in path.split(".")]
        if len(keys) < 2 or not all(keys):
            raise ConfigError(f"{source} {path}: expected section.key, such as training.epochs")
        nested: Any = value
        for key in reversed(keys):
            nested = {key: nested}
        merged = merge(merged, nested)
    return merged


def parse_overrides(settings: list[str]) -> dict[str, Any]:
    """`["training.epochs=2", "model.hidden=[64]"]` as nested tables; values are read as TOML, else as text.

    Raises:
        ConfigError: one is not of the form `section.key=value`.
    """
    values = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or "." not in path:
            raise ConfigError(f"--set {setting}: expected section.key=value, such as training.epochs=2")
        values[path] = _toml_value(text.strip())
    return _nested(values, "--set")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
