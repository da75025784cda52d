"""Low-rank learning on frozen layers."""

import pytest
import torch
from torch import nn

from plait.nn.low_rank import LowRankLinear, lay_low_rank


def block() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Sequential(nn.GELU(), nn.Linear(7, 3, bias=False)))


def test_it_begins_as_the_layers_it_is_laid_over():
    plain, laid, x_BI = block(), block(), torch.randn(4, 5)
    lay_low_rank(laid, 2)
    torch.testing.assert_close(laid(x_BI), plain(x_BI), atol=0, rtol=0)


def test_only_the_thin_matrices_learn_and_are_kept():
    laid = block()
    lay_low_rank(laid, 2)
    learning = [name for name, weight in laid.named_parameters() if weight.requires_grad]
    assert learning == ["0.down.weight", "0.up.weight", "2.1.down.weight", "2.1.up.weight"]
    assert set(laid.state_dict()) == {*learning, "1.weight", "1.bias"}
    frozen_OI = laid[0].weight_OI.clone()
    optimiser = torch.optim.SGD(laid.parameters(), lr=0.1)
    for _ in range(2):  # A has no gradient while B is zero
        laid(torch.randn(4, 5)).square().sum().backward()
        optimiser.step()
    assert torch.equal(laid[0].weight_OI, frozen_OI)
    assert float(laid[0].up.weight.detach().abs().max()) > 0


def test_it_adds_the_product_of_the_two():
    layer = nn.Linear(5, 3)
    laid, x_BI = LowRankLinear(layer, 2), torch.randn(4, 5)
    nn.init.normal_(laid.up.weight)
    expected = x_BI @ (layer.weight + laid.up.weight @ laid.down.weight).T + layer.bias
    torch.testing.assert_close(laid(x_BI), expected, atol=1e-5, rtol=1e-5)


def test_numbers_of_half_the_bytes():
    laid = LowRankLinear(nn.Linear(5, 3).bfloat16(), 2)
    assert laid(torch.randn(4, 5).bfloat16()).dtype is torch.bfloat16
    assert laid.up.weight.dtype is torch.float32
    with pytest.raises(RuntimeError):
        laid(torch.randn(4, 6).bfloat16())
