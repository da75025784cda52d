"""A way of the model for the rows of one request has the logits of its `forward`.

Both in double precision, so that what differs is no rounding.
"""

import dataclasses

import numpy as np
import pytest
import torch

from plait.features.batch import FeatureBatch
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.models.ranker import ServesRequests
from plait.testing.batches import random_batch, random_item_fields, small_spec

SPEC = small_spec()
ITEM_FIELDS = random_item_fields(SPEC)
SHARED_FIELDS = [*SPEC.columns("user"), *SPEC.columns("context")]
SHARED_NUMBERS = [
    index for index, number in enumerate(SPEC.numbers) if number.name in ("activity", "history.events.1h")
]
SHARED_LISTS = [*SPEC.multi_columns("user"), *SPEC.multi_columns("context")]


def request(rows: int, max_history: int) -> FeatureBatch:
    """Rows of one request: everything about user, context and history is equal."""
    features = random_batch(SPEC, ITEM_FIELDS, users=1, exposures_per_user=rows, seed=5, max_history=max_history)
    codes_BF, numbers_BG, bag_BP = (
        array.copy() for array in (features.categorical_BF, features.numeric_BG, features.bag_BP)
    )
    bag_BP[:, SHARED_LISTS] = bag_BP[0, SHARED_LISTS]
    codes_BF[:, SHARED_FIELDS] = codes_BF[0, SHARED_FIELDS]
    numbers_BG[:, SHARED_NUMBERS] = numbers_BG[0, SHARED_NUMBERS]
    return dataclasses.replace(
        features,
        categorical_BF=codes_BF,
        numeric_BG=numbers_BG,
        bag_BP=bag_BP,
        before_B=np.full(rows, len(features.history_time_N)),
        time_B=np.full(rows, features.time_B.max() + 60_000),
    )


def part(features: FeatureBatch, rows_B: slice) -> FeatureBatch:
    per_row = [name for name in FeatureBatch.__dataclass_fields__ if "_B" in name]
    return dataclasses.replace(features, **{name: getattr(features, name)[rows_B] for name in per_row})


@pytest.mark.parametrize("family", ["dnn", "hstu"])
@pytest.mark.parametrize("max_history", [0, 3, 40])
@pytest.mark.parametrize(
    "sizes",
    [
        {"cross_rank": 4},
        {"cross_rank": None},
        {"cross_layers": 0},
        {"cross_layers": 3, "entire_space": True},
        {"experts": {"shared": 3, "hidden": [8, 4]}},
        {"experts": {"own": 1, "hidden": [8, 4], "levels": 2, "routing": "softmax", "scenario": "pepnet"}},
        {"experts": {"hidden": [8], "routing": "topk", "scenario_gates": True, "scenario": "star", "towers": [4]}},
    ],
)
@pytest.mark.parametrize("most_rows", [0, 20, 100_000])  # of the own fields' products: none, the two smallest, all
def test_requests_score_as_forward_does(family, max_history, sizes, most_rows, monkeypatch):
    monkeypatch.setattr("plait.models.request._MOST_ROWS", most_rows)
    torch.manual_seed(1)
    config = {"family": family, "attention": {"events": 5, "hidden": 8}, "hidden": [16, 8], **sizes}
    if family == "hstu":
        config["sequence"] = {"width": 8, "heads": 2, "blocks": 1, "max_events": 8}
        config["memory"] = {"events": 20, "channels": 3}
    model = build_model(parse_model(config, "test"), SPEC, ITEM_FIELDS).eval().double()
    model.requires_grad_(requires_grad=False)
    for name, weight in model.named_parameters():
        weight.data.normal_(std=0.3 if "bias" not in name else 0.1)
    assert isinstance(model, ServesRequests)
    features = request(12, max_history)
    expected_BT = model(Batch.from_features(features))
    assert expected_BT.std() > 0.1
    logits = model.for_requests()(Batch.from_features(part(features, slice(0, 4))))
    for rows_B in (slice(0, 4), slice(2, 12), slice(5, 6)):
        actual_BT = logits(Batch.from_features(part(features, rows_B)))
        torch.testing.assert_close(actual_BT, expected_BT[rows_B], atol=1e-9, rtol=1e-9)
