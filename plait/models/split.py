"""A split ranker on disk: tower and head as artefacts of their own, each with its weights and its manifest."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

import plait
from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError
from plait.features.spec import FeatureSpec
from plait.models.calibrated import CalibratedHead, CalibratedSplitRanker, uncalibrated
from plait.models.config import HstuConfig, parse_model
from plait.models.hstu import HstuRanker
from plait.models.light_head import HstuHead
from plait.models.tower import UserTower
from plait.nn.calibration import CurveLayer
from plait.nn.hstu import HstuSizes

TOWER_FOLDER = "tower"
HEAD_FOLDER = "head"
_WEIGHTS_FILE = "weights.safetensors"
_MANIFEST_FILE = "manifest.json"
_Part = TypeVar("_Part", bound=nn.Module)


def save_split(
    model: HstuRanker | CalibratedSplitRanker, config: HstuConfig, spec: FeatureSpec, folder: Path, reference: str
) -> None:
    """Write the model's two parts as `folder`/tower and `folder`/head.

    Args:
        model: trained; where it is calibrated, the head is.
        config: its sizes.
        spec: what it was trained for.
        folder: must not exist; it appears in one rename.
        reference: name and version of the model, for the manifests.

    Raises:
        ArtifactError: the folder exists.
    """
    if folder.exists():
        raise ArtifactError(f"{folder} exists; choose a folder that does not, or remove it")
    tower, head = model.split()
    ranker = uncalibrated(model)
    if not isinstance(ranker, HstuRanker) or not isinstance(head, nn.Module):
        raise TypeError(f"found {type(ranker).__name__}, expected an HSTU ranker")
    sizes = {
        "encoder": asdict(tower.sizes),
        "items": tower.item.num_embeddings,
        "actions": tower.action.num_embeddings,
        "scenarios": tower.scenario.num_embeddings,
    }
    described = {
        "model": config.model_dump(mode="json"),
        "spec": json.loads(spec.to_json()),
        "item_fields_shape": list(ranker.trunk.item_fields_VI.shape),
        "curves": list(head.curves.shape) if isinstance(head, CalibratedHead) else None,
    }
    aside = folder.with_name(folder.name + ".partial")
    _save_part(tower, aside / TOWER_FOLDER, {"part": TOWER_FOLDER, "of": reference, **sizes})
    _save_part(head, aside / HEAD_FOLDER, {"part": HEAD_FOLDER, "of": reference, **described})
    aside.rename(folder)


def load_tower(folder: Path) -> UserTower:
    """The tower that `save_split` wrote as this folder, in evaluation mode.

    Raises:
        ArtifactError: a file is missing, damaged, or that of another part.
    """

    def build(manifest: Mapping[str, Any]) -> UserTower:
        codes = (manifest["items"], manifest["actions"], manifest["scenarios"])
        return UserTower(HstuSizes(**manifest["encoder"]), *codes)

    return _load_part(folder, TOWER_FOLDER, build)


def load_head(folder: Path) -> HstuHead | CalibratedHead:
    """The head that `save_split` wrote as this folder, in evaluation mode.

    Raises:
        ArtifactError: a file is missing, damaged, or that of another part.
    """

    def build(manifest: Mapping[str, Any]) -> HstuHead | CalibratedHead:
        config = parse_model(manifest["model"], str(folder / _MANIFEST_FILE))
        if not isinstance(config, HstuConfig):
            raise ValueError(f"found family {config.family}, expected hstu")
        items_VI = torch.zeros(*manifest["item_fields_shape"], dtype=torch.int32)
        head = HstuHead.untrained(config, FeatureSpec.from_json(json.dumps(manifest["spec"])), items_VI)
        curves = manifest.get("curves")  # exports made before there were any have no such key
        return head if curves is None else CalibratedHead(head, CurveLayer(*curves))

    return _load_part(folder, HEAD_FOLDER, build)


def _save_part(part: nn.Module, folder: Path, manifest: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.contiguous() for name, weight in part.state_dict().items()}
    (folder / _WEIGHTS_FILE).write_bytes(save(weights))
    written = {"plait_version": plait.__version__, "weights_sha256": _sha256(folder / _WEIGHTS_FILE), **manifest}
    write_atomically(folder / _MANIFEST_FILE, json.dumps(written, indent=1, ensure_ascii=False) + "\n")


def _load_part(folder: Path, name: str, build: Callable[[Mapping[str, Any]], _Part]) -> _Part:
    try:
        manifest = json.loads((folder / _MANIFEST_FILE).read_text(encoding="utf-8"))
        if manifest["part"] != name:
            raise ArtifactError(f"{folder} holds a {manifest['part']}, expected a {name}")
        if _sha256(folder / _WEIGHTS_FILE) != manifest["weights_sha256"]:
            raise ArtifactError(f"{folder / _WEIGHTS_FILE} is not the file that was exported; export the model again")
        part = build(manifest)
        part.load_state_dict(load_file(folder / _WEIGHTS_FILE))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ArtifactError(f"{folder} is no exported {name} ({error}); export the model again") from error
    return part.eval().requires_grad_(requires_grad=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
