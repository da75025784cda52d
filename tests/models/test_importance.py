"""Features asked one by one say what passing over the altered inputs says; what is not read is worth nothing."""

import pytest
import torch
from torch.nn import functional

from plait.errors import ArtifactError, ConfigError
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.models.expert_head import ExpertHead
from plait.models.head import RECENT_EVENTS, input_columns
from plait.models.importance import FeatureWorth, Recorded, recording, screened
from plait.testing.batches import random_batch, random_item_fields, small_spec

SPEC = small_spec(objectives=4)
ITEMS_VI = random_item_fields(SPEC)
SIZES = {"embedding_dim": 3, "hidden": [8, 6], "cross_rank": 2, "attention": {"events": 5}}
EXPERTS = {"shared": 2, "own": 1, "routing": "softmax", "hidden": [7, 5], "towers": [4]}
SEQUENCE = {"width": 8, "heads": 1, "blocks": 1, "max_events": 20}
MODELS = {
    "mlp": {"family": "dnn"},
    "experts": {"family": "dnn", "experts": EXPERTS},
    "hstu": {"family": "hstu", "sequence": SEQUENCE, "experts": EXPERTS},
    "funnel": {"family": "dnn", "entire_space": True},
    "gates": {"family": "dnn", "deep_gates": 0.1},
    "some": {"family": "dnn", "experts": EXPERTS, "deep_inputs": ["user.age", "item.item_id", RECENT_EVENTS]},
}


def made(name, **changes):
    torch.manual_seed(2)
    config = parse_model({**SIZES, **MODELS[name], **changes}, "test")
    model = build_model(config, SPEC, ITEMS_VI)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.4)
    return config, model.eval()


def recorded(model):
    batch = Batch.from_features(random_batch(SPEC, ITEMS_VI, users=30))
    with torch.no_grad(), recording(model) as seen:
        logits_BT = model(batch)
    return Recorded(**seen, labels_BT=batch.labels_BT, mask_BT=batch.mask_BT), logits_BT


def loss(logits_BT, record, base_T=None):
    each_BT = functional.binary_cross_entropy_with_logits(logits_BT, record.labels_BT, reduction="none")
    loss_T = torch.stack([each_BT[record.mask_BT[:, t], t].mean() for t in range(each_BT.shape[1])])
    return loss_T if base_T is None else (loss_T / base_T).mean().item() - 1


def with_deep(model, record, deep_BX):
    """The logits with other inputs of the deep part, by the head's own forward pass: cross network and all."""
    head = model.head
    whole, other = head(record.inputs_BX, record.scenario_B), head(deep_BX, record.scenario_B)
    moved = other - whole
    of_cross = functional.linear(head.cross(deep_BX) - head.cross(record.inputs_BX), head.crossed_TX())
    return model.outcomes(record.total_BT + moved - of_cross)


@pytest.mark.parametrize("name", list(MODELS))
def test_what_was_recorded_makes_the_logits(name):
    _, model = made(name)
    record, logits_BT = recorded(model)
    torch.testing.assert_close(model.outcomes(record.total_BT), logits_BT)


@pytest.mark.parametrize("name", list(MODELS))
def test_a_feature_of_others_costs_what_a_pass_over_them_costs(name):
    config, model = made(name)
    record, logits_BT = recorded(model)
    columns = input_columns(config, record.inputs_BX.shape[1], SPEC)
    base_T = loss(logits_BT, record)
    worth, donor_B = FeatureWorth(model, record), torch.randperm(len(logits_BT))
    for feature in ("user.age", "item.item_id", "history.item", "context.query", RECENT_EVENTS):
        own = list(columns[feature])
        altered_BX = record.inputs_BX.clone()
        altered_BX[:, own] = record.inputs_BX[donor_B][:, own]
        expected = loss(with_deep(model, record, altered_BX), record, base_T)
        assert float(worth.permutation(own, donor_B)[0]) == pytest.approx(expected, abs=2e-5)


def test_every_expert_is_asked_by_itself():
    config, model = made("experts")
    record, logits_BT = recorded(model)
    own = input_columns(config, record.inputs_BX.shape[1], SPEC)["item.item_id"]
    donor_B, head = torch.randperm(len(logits_BT)), model.head
    assert isinstance(head, ExpertHead)
    found_P = FeatureWorth(model, record).permutation(own, donor_B)
    assert len(found_P) == 1 + 2 + 4  # the deep part, two shared experts, one of each objective
    altered_BX = record.inputs_BX.clone()
    altered_BX[:, own] = record.inputs_BX[donor_B][:, own]
    first_BG = head.first(record.inputs_BX)
    first_BG[:, 7:14] = head.first(altered_BX)[:, 7:14]  # the second expert's seven
    logits_BT = head.objectives(head.cross(record.inputs_BX)) + head.after_first(first_BG, record.scenario_B)
    base_T = loss(record.total_BT, record)
    assert float(found_P[2]) == pytest.approx(loss(logits_BT, record, base_T), abs=2e-5)


@pytest.mark.parametrize("name", ["mlp", "experts", "gates"])
def test_gradients_tell_what_a_small_step_to_the_mean_costs(name):
    config, model = made(name)
    record, logits_BT = recorded(model)
    columns = input_columns(config, record.inputs_BX.shape[1], SPEC)
    base_T = loss(logits_BT, record)
    found = FeatureWorth(model, record).gradients(columns)
    for feature in ("user.age", "item.price", RECENT_EVENTS):
        own, total = list(columns[feature]), 0.0
        mean_C = record.inputs_BX[:, own].mean(0)
        for row in range(len(logits_BT)):
            steps = []
            for step in (1e-2, -1e-2):
                altered_BX = record.inputs_BX.clone()
                altered_BX[row, own] += step * (altered_BX[row, own] - mean_C)
                steps.append(loss(with_deep(model, record, altered_BX), record, base_T))
            total += abs(steps[0] - steps[1]) / 2e-2
        assert float(found[feature][0]) == pytest.approx(total, rel=0.05)


def test_what_is_not_read_is_worth_nothing():
    config, model = made("some")
    record, logits_BT = recorded(model)
    columns = input_columns(config, record.inputs_BX.shape[1], SPEC)
    worth, donor_B = FeatureWorth(model, record), torch.randperm(len(logits_BT))
    read = {name for name, own in columns.items() if float(worth.permutation(own, donor_B).abs().max()) > 0}
    assert read == set(config.deep_inputs)
    assert model.head.first.in_features == 3 + 3 + len(columns[RECENT_EVENTS])


def test_an_unknown_feature_is_refused_and_a_near_one_named():
    with pytest.raises(ConfigError, match=r"no feature 'item\.prise'; did you mean 'item\.price'"):
        made("mlp", deep_inputs=["item.prise"])


def test_other_families_cannot_be_asked():
    linear = build_model(parse_model({"family": "lr"}, "test"), SPEC, ITEMS_VI)
    with pytest.raises(ArtifactError, match="found LinearRanker"):
        screened(linear, "lr@1")


def test_fewer_inputs_leave_room_for_wider_experts():
    matched = {"shared": 4, "hidden": [8, 6], "match_flops": True}
    (_, all_of_it), (_, few) = (
        made("mlp", experts=matched, deep_inputs=names) for names in ([], ["user.age", "item.item_id"])
    )
    assert few.head.config.hidden[0] > all_of_it.head.config.hidden[0]
    assert few.head.flops <= made("mlp")[1].head.flops
