"""Trained models under version numbers: files with hashes, a manifest each, aliases that can be rolled back."""

from plait.registry.aliases import AliasEvent
from plait.registry.manifest import MANIFEST_FILE, Manifest, RegisteredModel
from plait.registry.naming import LATEST, PRODUCTION
from plait.registry.registry import Registry

__all__ = ["LATEST", "MANIFEST_FILE", "PRODUCTION", "AliasEvent", "Manifest", "RegisteredModel", "Registry"]
