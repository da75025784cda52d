"""Dropout from few random words: its share, its mean, its seed, its gradient."""

import pytest
import torch

from plait.nn.dropout import dropout


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_share_and_mean(share):
    torch.manual_seed(0)
    found = dropout(torch.ones(1000, 1003), share, training=True)
    assert (found == 0).double().mean() == pytest.approx(share, abs=2e-3)
    assert found.double().mean() == pytest.approx(1, abs=0.02)
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - share)], rel=1e-4)


def test_elements_that_share_a_word_are_independent():
    torch.manual_seed(0)
    kept_N4 = (dropout(torch.ones(200_000, 4), 0.3, training=True) > 0).double()
    correlation_44 = torch.corrcoef(kept_N4.T)
    assert (correlation_44 - torch.eye(4)).abs().max() < 0.01


def test_a_seed_repeats_and_the_gradient_is_that_of_the_mask():
    values = torch.ones(7, 3, requires_grad=True)
    torch.manual_seed(3)
    first = dropout(values, 0.4, training=True)
    torch.manual_seed(3)
    torch.testing.assert_close(dropout(values, 0.4, training=True), first)
    (gradient,) = torch.autograd.grad(first.sum(), values)
    torch.testing.assert_close(gradient, first.detach())


def test_nothing_is_dropped_outside_training_or_at_no_share():
    values = torch.randn(5)
    assert dropout(values, 0.4, training=False) is values
    assert dropout(values, 0.0, training=True) is values
