"""Registered models of a workspace: listing them, looking at one, moving aliases."""

from dataclasses import dataclass
from pathlib import Path

from plait.pipelines.project import Project, open_project
from plait.registry import AliasEvent, Manifest, RegisteredModel, Registry


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One registered version in a list."""

    manifest: Manifest
    aliases: tuple[str, ...]
    """What stands for it now."""


@dataclass(frozen=True, slots=True)
class ShownModel:
    """One registered version, checked, with the story of its model's aliases."""

    model: RegisteredModel
    aliases: tuple[str, ...]
    history: tuple[AliasEvent, ...]


def model_registry(project: Project) -> Registry:
    """The workspace's registry: `.plait/registry/`."""
    return Registry(project.hidden / "registry")


def list_models(root: Path) -> list[ListedModel]:
    """Every version of every model, newest first within a model."""
    registry = model_registry(open_project(root))
    return [
        ListedModel(registry.manifest(name, version), _standing(registry, name, version))
        for name in registry.names()
        for version in reversed(registry.versions(name))
    ]


def show_model(root: Path, reference: str) -> ShownModel:
    """One version with its files checked.

    Raises:
        ArtifactError: there is no such model, or a file of it is damaged.
    """
    registry = model_registry(open_project(root))
    model = registry.resolve(reference)
    return ShownModel(model, _standing(registry, model.name, model.version), tuple(registry.history(model.name)))


def set_alias(root: Path, reference: str, alias: str) -> RegisteredModel:
    """Let `alias` stand for the version that `reference` resolves to, after checking its files.

    Raises:
        ArtifactError: there is no such model, a file of it is damaged, or the alias is not allowed.
    """
    registry = model_registry(open_project(root))
    model = registry.resolve(reference)
    registry.set_alias(model.name, alias, model.version)
    return model


def roll_back(root: Path, name: str, alias: str) -> int:
    """Let `alias` stand for the version it stood for before, and say which that is.

    Raises:
        ArtifactError: there is no such model or alias, or nothing to go back to.
    """
    return model_registry(open_project(root)).roll_back(name, alias)


def _standing(registry: Registry, name: str, version: int) -> tuple[str, ...]:
    return tuple(alias for alias, held in registry.aliases(name).items() if held == version)
