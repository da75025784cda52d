"""Experts as one product say what experts in loops say; their arithmetic is what PyTorch counts."""

import runpy
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from plait.errors import ConfigError
from plait.models.config import parse_model
from plait.models.expert_head import ExpertHead, deep_flops
from plait.models.head import Funnel, MlpHead
from plait.nn.experts import Gate

REFERENCE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "moe" / "module_list.py"))["ModuleListHead"]
WIDTH, OBJECTIVES, SCENARIOS = 20, 3, 4
VARIANTS = {
    "shared-bottom": {"shared": 1, "towers": [5]},
    "split-4": {"shared": 4},
    "mmoe": {"routing": "softmax", "towers": [5]},
    "global": {"routing": "softmax", "gates": "global", "scenario_gates": True},
    "cgc": {"shared": 2, "own": 2, "routing": "softmax"},
    "ple": {"shared": 2, "own": 1, "levels": 3, "routing": "softmax"},
    "levels without own": {"shared": 3, "levels": 2, "routing": "softmax"},
    "one mixture, levels": {"shared": 3, "levels": 2, "routing": "none"},
    "own, dense": {"shared": 1, "own": 1, "routing": "none"},
    "topk": {"shared": 5, "routing": "topk", "top_k": 2, "scenario_gates": True},
    "star": {"routing": "softmax", "scenario": "star", "towers": [5]},
    "pepnet": {"routing": "softmax", "scenario": "pepnet", "towers": [5, 4]},
    "home": {"shared": 2, "own": 1, "routing": "softmax", "normalise": True},
}


def config(**experts):
    experts = {"hidden": [8, 6], **experts}
    return parse_model({"family": "dnn", "hidden": [16, 8], "cross_rank": 4, "experts": experts}, "test")


def head(**experts) -> ExpertHead:
    torch.manual_seed(0)
    made = ExpertHead(config(**experts), WIDTH, OBJECTIVES, SCENARIOS)
    for weight in made.parameters():
        weight.data.add_(torch.randn_like(weight), alpha=0.2)
    return made.eval()


def inputs(rows: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, WIDTH, generator=generator), torch.randint(SCENARIOS, (rows,), generator=generator)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_logits_and_gradients_are_those_of_loops(name):
    made = head(**VARIANTS[name])
    loops = REFERENCE(made).eval()
    x_BX, scenario_B = inputs()
    ours_BX, theirs_BX = x_BX.clone().requires_grad_(), x_BX.clone().requires_grad_()
    ours_BT, theirs_BT = made(ours_BX, scenario_B), loops(theirs_BX, scenario_B)
    torch.testing.assert_close(ours_BT, theirs_BT, rtol=1e-4, atol=1e-5)
    (ours_BT**2).sum().backward()
    (theirs_BT**2).sum().backward()
    torch.testing.assert_close(ours_BX.grad, theirs_BX.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_flops_are_what_pytorch_counts(name):
    made, rows = head(**VARIANTS[name]), 10
    with FlopCounterMode(display=False) as counter:
        made(*inputs(rows))
    assert counter.get_total_flops() == rows * made.flops


def test_flops_by_hand():
    """20 inputs, 4 experts of 8 and 6, a gate and a tower of 5 for each of 3 objectives; 2 operations per product."""
    experts = 4 * (20 * 8 + 8 * 6)
    gates, mixtures = 3 * 4 * 20, 3 * 4 * 6
    towers = 3 * (6 * 5 + 5 * 1)
    made = config(routing="softmax", towers=[5]).experts
    assert deep_flops(made, WIDTH, OBJECTIVES) == 2 * (experts + gates + mixtures + towers)


@pytest.mark.parametrize("shared", [1, 4, 8])
def test_matched_variants_cost_no_more_than_the_mlp(shared):
    made = config(shared=shared, hidden=[16, 8], match_flops=True)
    plain = MlpHead(made, WIDTH, OBJECTIVES)
    narrowed = ExpertHead(made, WIDTH, OBJECTIVES, SCENARIOS)
    assert 0.6 * plain.flops < narrowed.flops <= plain.flops
    assert narrowed.config.hidden[0] >= 16 // (shared + 1)


def test_gates_that_cost_too_much_are_refused():
    with pytest.raises(ConfigError, match="gates = 'global'"):
        ExpertHead(config(shared=60, routing="softmax", match_flops=True), WIDTH, OBJECTIVES, SCENARIOS)


@pytest.mark.parametrize(
    ("experts", "message"),
    [
        ({"shared": 0}, "expected some experts"),
        ({"own": 1, "gates": "global"}, "cannot tell them apart"),
        ({"shared": 2, "routing": "topk", "top_k": 3}, "expected at most the 2 experts"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(experts, message):
    with pytest.raises(ConfigError, match=message):
        config(**experts)


def test_routing_by_hand():
    """Logits log 1, log 2, log 5 over experts of which the second group may not read the last."""
    logits_BGE = torch.log(torch.tensor([[[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]]))
    reads_GE = torch.tensor([[True, True, True], [True, True, False]])
    soft = Gate(reads_GE, "softmax")(logits_BGE).weight_BGE[0]
    torch.testing.assert_close(soft, torch.tensor([[1 / 8, 2 / 8, 5 / 8], [1 / 3, 2 / 3, 0]]))
    best = Gate(reads_GE, "topk", top_k=2).eval()(logits_BGE).weight_BGE[0]
    torch.testing.assert_close(best, torch.tensor([[0, 2 / 7, 5 / 7], [1 / 3, 2 / 3, 0]]))
    torch.testing.assert_close(Gate(reads_GE, "none").alike(), torch.tensor([[1 / 3] * 3, [1 / 2, 1 / 2, 0]]))


def test_a_full_expert_turns_the_least_eager_away():
    """4 rows, 2 experts, one each, capacity 1: an expert takes 2 rows; the third that wants it goes without."""
    logits_BGE = torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]], [[2.0, 0.0]], [[0.0, 1.0]]])
    gate = Gate(torch.ones(1, 2, dtype=torch.bool), "topk", top_k=1, capacity=1.0)
    torch.testing.assert_close(gate(logits_BGE).weight_BGE[:, 0], torch.tensor([[0.0, 0], [1, 0], [1, 0], [0, 1]]))
    assert gate.eval()(logits_BGE).weight_BGE[0, 0, 0] == 1


def test_chances_along_a_funnel_multiply():
    """Click .5 of all, pay .1 of clicks, dislike .2 of all: pay .05, and the factors come back from the products."""
    funnel = Funnel((-1, 0, -1))
    factors_T = torch.logit(torch.tensor([0.5, 0.1, 0.2]))
    products_BT = funnel(factors_T[None])
    torch.testing.assert_close(torch.sigmoid(products_BT[0]), torch.tensor([0.5, 0.05, 0.2]))
    torch.testing.assert_close(funnel.factors(products_BT[0]), factors_T)
    assert torch.isfinite(funnel(torch.tensor([[90.0, 90.0, -90.0]]))).all()
