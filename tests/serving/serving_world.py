"""A small workspace as it stood on day 16 of 20, with untrained models to serve on it."""

import dataclasses
import json

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file

from plait.calibration import Curves
from plait.calibration.curves import Curve
from plait.features.dataset import EncodedDataset
from plait.features.encoding import encode_samples
from plait.models.builder import build_model
from plait.models.calibrated import curve_layer
from plait.models.config import parse_model
from plait.models.loading import CURVES_FILE, MODEL_FILE, SPEC_FILE, WEIGHTS_FILE
from plait.registry import Registry
from plait.retrieval.build import build_retrieval
from plait.serving.loading import ServedData
from plait.testing.datasets import SmallSamples, small_samples

DAY_MS = 86_400_000
CUT_MS = 1_700_000_000_000 + 16 * DAY_MS
SIZES = {
    "dnn": {"family": "dnn", "embedding_dim": 4, "hidden": [8], "cross_rank": 4, "attention": {"events": 10}},
    "hstu": {
        "family": "hstu", "embedding_dim": 4, "hidden": [8], "cross_rank": 4, "attention": {"events": 10},
        "sequence": {"width": 8, "heads": 1, "blocks": 1, "max_events": 40},
    },
    "lr": {"family": "lr"},
}  # fmt: skip
CALIBRATED = ("dnn-calibrated", "hstu-calibrated")


@dataclasses.dataclass
class World:
    """Samples, the same samples as they stood on day 16, and a registry of untrained models."""

    made: SmallSamples
    whole: EncodedDataset
    cut: EncodedDataset
    cut_data: ServedData
    registry: Registry


def cut_samples(samples, folder):
    """The samples as they stood at `CUT_MS`."""
    for name in ("users", "exposures"):
        (folder / name).mkdir(parents=True)
    for part in sorted((samples / "exposures").glob("*.parquet")):
        pl.read_parquet(part).filter(pl.col("time") < CUT_MS).write_parquet(folder / "exposures" / part.name)
    lists = ["item_id", "action", "value", "scenario", "time", "available_time"]
    for part in sorted((samples / "users").glob("*.parquet")):
        users = pl.read_parquet(part)
        rows = [
            {
                "user_id": row["user_id"],
                **{
                    name: [value for value, at in zip(row[name], row["available_time"], strict=True) if at < CUT_MS]
                    for name in lists
                },
            }
            for row in users.iter_rows(named=True)
        ]
        pl.DataFrame(rows, schema=users.schema).write_parquet(folder / "users" / part.name)


def add_model(registry, family, dataset, folder):
    """An untrained model with weights large enough that features matter."""
    torch.manual_seed(3)
    model = build_model(parse_model(SIZES[family], "test"), dataset.spec, dataset.item_fields_VI)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    folder.mkdir()
    save_file(model.state_dict(), folder / WEIGHTS_FILE)
    described = {"model": SIZES[family], "item_fields_shape": list(dataset.item_fields_VI.shape)}
    (folder / MODEL_FILE).write_text(json.dumps(described))
    (folder / SPEC_FILE).write_text(dataset.spec.to_json())
    registry.register(family, {name: folder / name for name in (WEIGHTS_FILE, MODEL_FILE, SPEC_FILE)}, {})


def add_calibrated(registry, family, dataset, folder):
    """The model of that family with curves, different in every scenario, as a model of its own."""
    bent = Curve.through(np.array([-2.0, 0.0, 1.0]), np.array([-3.0, -1.0, 2.0]))
    shift_ST = 0.3 * np.arange(2 * (len(dataset.spec.scenarios) + 1)).reshape(-1, 2) - 1
    path = folder / CURVES_FILE
    save_file(curve_layer(Curves.of([bent, Curve.affine(0.5, -1.0)], shift_ST)).state_dict(), path)
    plain = registry.resolve(family)
    files = {name: plain.file(name) for name in plain.manifest.files}
    registry.register(f"{family}-calibrated", {**files, CURVES_FILE: path}, {})


def make_world(root):
    made = small_samples(root, users=16, exposures=20, behaviours=180)
    encode_samples(made.samples, made.tables, made.workspace, root / "whole")
    cut_samples(made.samples, root / "cut_samples")
    encode_samples(root / "cut_samples", made.tables, made.workspace, root / "cut")
    whole, cut = EncodedDataset.open(root / "whole"), EncodedDataset.open(root / "cut")
    assert whole.spec == cut.spec
    build_retrieval(cut, root / "cut_samples", made.tables, workspace=made.workspace, out=root / "retrieval")
    registry = Registry(root / "registry")
    for family in SIZES:
        add_model(registry, family, whole, root / family)
    for name in CALIBRATED:
        family = name.removesuffix("-calibrated")
        add_calibrated(registry, family, whole, root / family)
    return World(made, whole, cut, ServedData(root / "cut", root / "retrieval"), registry)
