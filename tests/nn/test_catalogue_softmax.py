"""Losses over the catalogue against the plain formula in float64, loss and gradients."""

import pytest
import torch

from plait.nn.catalogue_softmax import full_softmax_loss, sampled_softmax_loss

TEMPERATURE = 0.05


def inputs(tokens, items, width, negatives, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state_ND = torch.nn.functional.normalize(torch.randn(tokens, width, generator=generator), dim=1)
    item_VD = torch.nn.functional.normalize(torch.randn(items, width, generator=generator), dim=1)
    target_N = torch.randint(items, (tokens,), generator=generator)
    return state_ND, item_VD, target_N, torch.randint(items, (tokens, negatives), generator=generator)


def by_formula(state_ND, item_VD, target_N, negative_NM):
    """-log of the target's share, token by token; a negative that is the target is no negative."""
    losses = []
    for n, target in enumerate(target_N.tolist()):
        others = [item for item in negative_NM[n].tolist() if item != target]
        score_M = item_VD[[target, *others]] @ state_ND[n] / TEMPERATURE
        losses.append(-torch.log(torch.exp(score_M[0]) / torch.exp(score_M).sum()))
    return torch.stack(losses).mean()


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("tokens", "items", "width", "negatives"), [(37, 11, 50, 8), (1, 3, 1, 1), (5, 200, 16, 128)])
def test_sampled_softmax(threads, tokens, items, width, negatives):
    state_ND, item_VD, target_N, negative_NM = inputs(tokens, items, width, negatives)
    ours = [state_ND.clone().requires_grad_(), item_VD.clone().requires_grad_()]
    exact = [state_ND.double().requires_grad_(), item_VD.double().requires_grad_()]
    loss = sampled_softmax_loss(*ours, target_N, negative_NM, TEMPERATURE)
    expected = by_formula(*exact, target_N, negative_NM)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (3 * loss).backward()
    (3 * expected).backward()
    for found, wanted in zip(ours, exact, strict=True):
        torch.testing.assert_close(found.grad.double(), wanted.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tokens", "items", "width"), [(37, 11, 50), (1, 3, 1), (2050, 40, 8)])
def test_full_softmax(tokens, items, width):
    """Against every other item as a negative, across the borders of chunks."""
    state_ND, item_VD, target_N, _ = inputs(tokens, items, width, 1)
    everything_NV = torch.arange(items).expand(tokens, items)
    ours = [state_ND.clone().requires_grad_(), item_VD.clone().requires_grad_()]
    exact = [state_ND.double().requires_grad_(), item_VD.double().requires_grad_()]
    loss = full_softmax_loss(*ours, target_N, TEMPERATURE)
    expected = by_formula(*exact, target_N, everything_NV)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (3 * loss).backward()
    (3 * expected).backward()
    for found, wanted in zip(ours, exact, strict=True):
        torch.testing.assert_close(found.grad.double(), wanted.grad, rtol=1e-4, atol=1e-5)


def test_no_tokens_cost_nothing():
    empty_ND, item_VD = torch.zeros(0, 4, requires_grad=True), torch.ones(3, 4, requires_grad=True)
    none_N = torch.zeros(0, dtype=torch.long)
    for loss in (
        sampled_softmax_loss(empty_ND, item_VD, none_N, none_N[:, None].expand(0, 5), TEMPERATURE),
        full_softmax_loss(empty_ND, item_VD, none_N, TEMPERATURE),
    ):
        assert loss.item() == 0.0
        loss.backward()
    assert torch.equal(item_VD.grad, torch.zeros(3, 4))
