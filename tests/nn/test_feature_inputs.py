"""What a network reads of its inputs, and the gates before it."""

import math

import pytest
import torch
from torch import nn

from plait.nn.feature_inputs import FeatureInputs


def test_columns_are_read_in_their_order():
    reads = FeatureInputs([[4, 1], [2]], 6)
    row = torch.arange(6.0)[None]
    assert reads(row).tolist() == [[1.0, 2.0, 4.0]]
    assert (reads.inputs, reads.width) == (6, 3)


def test_without_a_choice_nothing_is_copied():
    x = torch.randn(3, 4)
    assert FeatureInputs([range(4)], 4)(x) is x


def test_outside_training_a_gate_multiplies_by_how_open_it_is():
    reads = FeatureInputs([[0, 1], [2]], 3, gate_weight=1.0).eval()
    with torch.no_grad():
        reads.gate_F.copy_(torch.tensor([-0.025, 0.2]))  # mu = 0.5 + 10 g: 0.25 and 2.5, which is wide open
    assert reads(torch.tensor([[4.0, 8.0, 3.0]])).tolist() == [[1.0, 2.0, 3.0]]


def test_in_training_gates_are_drawn_for_every_row_and_feature():
    reads = FeatureInputs([[0, 1], [2, 3]], 4, gate_weight=1.0).train()
    torch.manual_seed(0)
    z = reads(torch.ones(20_000, 4)).detach()
    assert torch.equal(z[:, 0], z[:, 1])
    assert abs(torch.corrcoef(z[:, [0, 2]].T)[0, 1]) < 0.05
    # mu = sigma = 0.5: closed with Phi(-1) = 0.1587, and wide open as often.
    assert (z[:, 0] == 0).float().mean() == pytest.approx(0.1587, abs=0.01)
    assert (z[:, 0] == 1).float().mean() == pytest.approx(0.1587, abs=0.01)


def test_the_price_is_the_chance_of_an_open_gate():
    reads = FeatureInputs([[0], [1]], 2, gate_weight=1.0)
    with torch.no_grad():
        reads.gate_F.copy_(torch.tensor([0.0, -0.05]))  # mu = 0.5 and 0: Phi(1) and Phi(0)
    assert reads.price().item() == pytest.approx((0.5 * (1 + math.erf(1 / math.sqrt(2))) + 0.5) / 2)
    reads.price().backward()
    assert (reads.gate_F.grad > 0).all()
    assert float(FeatureInputs([[0]], 1).price()) == 0.0


@pytest.mark.parametrize("gate_weight", [0.0, 1.0])
def test_a_layer_over_what_is_read_is_one_over_everything(gate_weight):
    torch.manual_seed(0)
    reads = FeatureInputs([[5, 0], [2]], 7, gate_weight=gate_weight).eval()
    layer, x = nn.Linear(3, 4), torch.randn(9, 7)
    torch.testing.assert_close(reads.over_all(layer)(x), layer(reads(x)))
