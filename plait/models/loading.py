"""Trained models from the registry; what serving and evaluation share."""

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from plait.errors import ArtifactError
from plait.features.spec import FeatureSpec
from plait.models.builder import build_model
from plait.models.calibrated import calibrated
from plait.models.config import AlignedConfig, ModelConfig, NextItemConfig, RankerConfig, parse_model
from plait.models.next_item import ItemWords, NextItemModel
from plait.nn.calibration import CurveLayer
from plait.registry import RegisteredModel

WEIGHTS_FILE = "model.safetensors"
MODEL_FILE = "model.json"
"""Family and sizes, and the shape of `item_fields_VI`."""
SPEC_FILE = "spec.json"
CURVES_FILE = "calibration.safetensors"
"""Calibration curves; only `plait calibrate` writes them."""


def describe_model(registered: RegisteredModel) -> dict[str, Any]:
    """What `model.json` says: the recipe it was trained by (`model`, `training`) and sizes that follow from the data.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        described: dict[str, Any] = json.loads(registered.file(MODEL_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _unfit(registered, error) from error
    return described


def load_model(registered: RegisteredModel) -> nn.Module:
    """The ranker, in evaluation mode, calibrated where its version holds curves; see `plait.models.ranker.Ranker`.

    Weights, sizes and specification come from the registered files alone: no code, path or class is named in them.

    Raises:
        ArtifactError: a file is missing or does not fit the others, or it is no ranker.
    """
    try:
        config = load_config(registered)
        items_VI = torch.zeros(*describe_model(registered)["item_fields_shape"], dtype=torch.int32).numpy()
        model = build_model(config, load_spec(registered), items_VI)
        model.load_state_dict(load_file(registered.file(WEIGHTS_FILE)))
        if CURVES_FILE in registered.manifest.files:
            model = calibrated(model, _curves(registered))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise _unfit(registered, error) from error
    return model.eval().requires_grad_(requires_grad=False)


def _curves(registered: RegisteredModel) -> CurveLayer:
    tables = load_file(registered.file(CURVES_FILE))
    layer = CurveLayer(*tables["knot_STK"].shape)
    layer.load_state_dict(tables)
    return layer


def load_config(registered: RegisteredModel) -> RankerConfig:
    """Family and sizes of the ranker.

    Raises:
        ArtifactError: the file is missing, or it is no ranker.
        ConfigError: a value does not fit the family.
    """
    config: ModelConfig = parse_model(describe_model(registered)["model"], f"{registered.reference} {MODEL_FILE}")
    if isinstance(config, NextItemConfig | AlignedConfig):
        raise ArtifactError(
            f"{registered.reference} is of family '{config.family}', expected a ranker; name another model"
        )
    return config


def load_next_item_model(registered: RegisteredModel) -> NextItemModel:
    """The next-item model, in evaluation mode.

    Raises:
        ArtifactError: a file is missing or does not fit the others, or it is no next-item model.
    """
    described = describe_model(registered)
    try:
        config = parse_model(described["model"], f"{registered.reference} {MODEL_FILE}")
        if not isinstance(config, NextItemConfig):
            raise ArtifactError(f"{registered.reference} is a ranker, expected a next-item model; name another model")
        weights = load_file(registered.file(WEIGHTS_FILE))
        words = _words(weights) if config.item_text else None
        model = NextItemModel(config, described["items"], described["actions"], words)
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise _unfit(registered, error) from error
    return model.eval().requires_grad_(requires_grad=False)


def _words(weights: dict[str, torch.Tensor]) -> ItemWords:
    """The items' words, which lie beside the weights."""
    return ItemWords(weights["words.offsets_V"], weights["words.word_M"], len(weights["words.bag.weight"]))


def _unfit(registered: RegisteredModel, error: Exception) -> ArtifactError:
    return ArtifactError(f"{registered.reference}: its files do not fit each other ({error}); train again")


def load_spec(registered: RegisteredModel) -> FeatureSpec:
    """What a batch for this ranker consists of.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    return FeatureSpec.from_json(registered.file(SPEC_FILE).read_text(encoding="utf-8"))
