"""A calibrated ranker is its curves behind the ranker: whole, for requests, split, from disk, and as a graph."""

import pytest
import torch
from test_split import CONFIG, SPEC, ranker, request, whole_user

from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.calibrated import CalibratedHead, calibrated, uncalibrated
from plait.models.config import parse_model
from plait.models.head_graph import HeadGraph, HeadInputs, exported
from plait.models.ranker import Ranker, ServesRequests, SplitRanker
from plait.models.split import load_head, load_tower, save_split
from plait.nn.calibration import CurveLayer
from plait.testing.batches import random_batch, random_item_fields


def curves(knots=3, seed=0):
    """Any rising curves, different in every cell."""
    rng = torch.Generator().manual_seed(seed)
    layer = CurveLayer(len(SPEC.scenarios) + 1, len(SPEC.objectives), knots)
    for name, table in layer.named_buffers():
        table.copy_(torch.rand(table.shape, generator=rng) + 0.3)
        if name == "knot_STK":
            table.copy_(table.cumsum(-1) - 2.0)
    return layer


def by_hand(layer, logit, scenario, objective):
    """The formula of the layer in plain numbers."""
    row = scenario + 1
    knots = layer.knot_STK[row, objective].tolist()
    slopes = layer.slope_STK[row, objective].tolist()
    found = layer.value_ST[row, objective].item() + layer.below_ST[row, objective].item() * min(logit - knots[0], 0.0)
    for place, (knot, slope) in enumerate(zip(knots, slopes, strict=True)):
        width = knots[place + 1] - knot if place + 1 < len(knots) else float("inf")
        found += slope * min(max(logit - knot, 0.0), width)
    return found


def test_the_curves_of_a_batch_are_those_of_its_scenarios():
    layer, logits_BT = curves(), torch.randn(40, 3, generator=torch.Generator().manual_seed(1)) * 3
    scenario_B = torch.arange(40) % 3 - 1
    found_BT = layer(logits_BT, scenario_B)
    for row in range(40):
        for objective in range(3):
            expected = by_hand(layer, logits_BT[row, objective].item(), int(scenario_B[row]), objective)
            assert found_BT[row, objective].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", ["lr", "dnn", "hstu"])
def test_whole_and_for_requests(family):
    items_VI = random_item_fields(SPEC)
    torch.manual_seed(0)
    plain = build_model(CONFIG if family == "hstu" else parse_model({"family": family}, "test"), SPEC, items_VI).eval()
    for weight in plain.parameters():
        weight.data.normal_(std=0.2)
    model, layer = calibrated(plain, curves()), curves()
    assert isinstance(model, Ranker)
    assert isinstance(model, ServesRequests)
    assert isinstance(model, SplitRanker) == (family == "hstu")
    assert uncalibrated(model) is plain
    batch = Batch.from_features(random_batch(SPEC, items_VI, seed=4))
    torch.testing.assert_close(model(batch), layer(plain(batch), batch.scenario_B))
    rows, _ = request(whole_user(30), 20)
    expected_BT = model(rows)
    torch.testing.assert_close(model.for_requests()(rows)(rows), expected_BT, rtol=1e-5, atol=1e-5)


def test_tower_and_head_from_disk_are_calibrated(tmp_path):
    model = calibrated(ranker(), curves())
    save_split(model, CONFIG, SPEC, tmp_path / "parts", "ranker@2")
    tower, head = load_tower(tmp_path / "parts" / "tower"), load_head(tmp_path / "parts" / "head")
    assert isinstance(head, CalibratedHead)
    batch, events = request(whole_user(30), 29)
    steps = tower.steps()
    user = steps.summary(steps.follow(None, events))
    torch.testing.assert_close(head.for_requests()(user, batch)(batch), model(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_exported_graph_is_calibrated():
    model = calibrated(ranker(), curves())
    tower, head = model.split()
    steps = tower.steps()
    batch, events = request(whole_user(30), 29)
    inputs = HeadInputs.of(steps.summary(steps.follow(None, events)), batch, head.events)
    expected_KT = model(batch)
    torch.testing.assert_close(HeadGraph(head)(*inputs), expected_KT, rtol=1e-5, atol=1e-5)
    program = exported(HeadGraph(head), HeadInputs(*(part.clone() for part in inputs))).module()
    torch.testing.assert_close(program(*inputs), expected_KT, rtol=1e-5, atol=1e-5)
