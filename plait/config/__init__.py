"""Typed settings from TOML."""

from plait.config.content import ContentSettings
from plait.config.durations import Duration, format_duration, parse_duration
from plait.config.embedding import EmbeddingSettings, EncoderSettings
from plait.config.loading import Settings, load_recipe, load_settings, merge, nearest, parse_settings, read_toml
from plait.config.workspace import (
    WORKSPACE_FILE,
    ActionSettings,
    AdsSettings,
    CheckSettings,
    CreativeSettings,
    FeatureSettings,
    ModelSettings,
    ObjectiveSettings,
    Pricing,
    ScenarioSettings,
    ServingSettings,
    SplitSettings,
    TableSettings,
    Workspace,
    load_workspace,
)

__all__ = [
    "WORKSPACE_FILE",
    "ActionSettings",
    "AdsSettings",
    "CheckSettings",
    "ContentSettings",
    "CreativeSettings",
    "Duration",
    "EmbeddingSettings",
    "EncoderSettings",
    "FeatureSettings",
    "ModelSettings",
    "ObjectiveSettings",
    "Pricing",
    "ScenarioSettings",
    "ServingSettings",
    "Settings",
    "SplitSettings",
    "TableSettings",
    "Workspace",
    "format_duration",
    "load_recipe",
    "load_settings",
    "load_workspace",
    "merge",
    "nearest",
    "parse_duration",
    "parse_settings",
    "read_toml",
]
