"""Trained rankers from the registry; what serving and evaluation share."""

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from plait.errors import ArtifactError
from plait.features.spec import FeatureSpec
from plait.models.builder import build_model
from plait.models.config import ModelConfig, parse_model
from plait.registry import RegisteredModel

WEIGHTS_FILE = "model.safetensors"
MODEL_FILE = "model.json"
"""Family and sizes, and the shape of `item_fields_VI`."""
SPEC_FILE = "spec.json"


def load_model(registered: RegisteredModel) -> nn.Module:
    """The ranker, in evaluation mode; see `plait.models.ranker.Ranker`.

    Weights, sizes and specification come from the registered files alone: no code, path or class is named in them.

    Raises:
        ArtifactError: a file is missing or does not fit the others.
    """
    spec = load_spec(registered)
    try:
        config = load_config(registered)
        items_VI = torch.zeros(*_described(registered)["item_fields_shape"], dtype=torch.int32).numpy()
        model = build_model(config, spec, items_VI)
        model.load_state_dict(load_file(registered.file(WEIGHTS_FILE)))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ArtifactError(
            f"{registered.reference}: its files do not fit each other ({error}); train again"
        ) from error
    return model.eval().requires_grad_(requires_grad=False)


def load_config(registered: RegisteredModel) -> ModelConfig:
    """Family and sizes of the ranker.

    Raises:
        ArtifactError: the file is missing.
        ConfigError: a value does not fit the family.
    """
    return parse_model(_described(registered)["model"], f"{registered.reference} {MODEL_FILE}")


def _described(registered: RegisteredModel) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(registered.file(MODEL_FILE).read_text(encoding="utf-8"))
    return described


def load_spec(registered: RegisteredModel) -> FeatureSpec:
    """What a batch for this ranker consists of.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    return FeatureSpec.from_json(registered.file(SPEC_FILE).read_text(encoding="utf-8"))
