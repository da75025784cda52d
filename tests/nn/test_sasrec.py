"""The SASRec layer against PyTorch's own multi-head attention, and the law of a causal encoder."""

from itertools import pairwise

import pytest
import torch

from plait.nn.hstu import EventClock
from plait.nn.sasrec import AlikeSequences, SasrecEncoder, SasrecLayer, SasrecSizes

LENGTHS = [3, 0, 9, 1]


def clock(lengths):
    return EventClock(torch.tensor([0, *lengths]).cumsum(0), torch.zeros(sum(lengths), dtype=torch.long))


@pytest.mark.parametrize("heads", [1, 2])
def test_layer_against_torch(heads):
    torch.manual_seed(0)
    layer = SasrecLayer(SasrecSizes(8, heads, 12, blocks=1, max_events=9)).double().eval()
    theirs = torch.nn.MultiheadAttention(8, heads, batch_first=True).double()
    with torch.no_grad():
        for linear in (layer.query, layer.key_value, layer.mix):
            linear.bias.normal_()
        theirs.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key_value.bias]))
        theirs.out_proj.load_state_dict(layer.mix.state_dict())
    state_ND = torch.randn(sum(LENGTHS), 8, dtype=torch.float64)
    found_ND = layer(state_ND, AlikeSequences.of(clock(LENGTHS)))
    for a, b in pairwise(clock(LENGTHS).offsets_U1.tolist()):
        if a == b:
            continue
        x = state_ND[a:b]
        q = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, correction=0) + 1e-8)
        later = torch.ones(b - a, b - a, dtype=torch.bool).triu(1)
        z = q + theirs(q[None], x[None], x[None], attn_mask=later)[0][0]
        hidden = (z @ layer.expand.weight.T + layer.expand.bias).clamp(min=0)
        y = z + hidden @ layer.contract.weight.T + layer.contract.bias
        torch.testing.assert_close(found_ND[a:b], y)


def test_later_events_and_other_sequences_change_nothing():
    torch.manual_seed(0)
    encoder = SasrecEncoder(SasrecSizes(8, 2, 8, blocks=2, max_events=9)).eval()
    token_ND = torch.randn(sum(LENGTHS), 8)
    together = encoder(token_ND, clock(LENGTHS))
    for a, b in pairwise(clock(LENGTHS).offsets_U1.tolist()):
        if b - a > 1:
            torch.testing.assert_close(encoder(token_ND[a : b - 1], clock([b - a - 1])), together[a : b - 1])


def test_padding_within_groups_and_gradients_do_not_depend_on_who_is_in_the_batch():
    """Forty sequences make three groups; each alone gives the same states and the same gradients."""
    torch.manual_seed(0)
    lengths = torch.randint(0, 30, (40,)).tolist()
    encoder = SasrecEncoder(SasrecSizes(8, 2, 8, blocks=2, max_events=30)).double().eval()
    token_ND = torch.randn(sum(lengths), 8, dtype=torch.float64, requires_grad=True)
    weight_ND = torch.randn(sum(lengths), 8, dtype=torch.float64)
    together_ND = encoder(token_ND, clock(lengths))
    (gradient_ND,) = torch.autograd.grad((together_ND * weight_ND).sum(), token_ND)
    for a, b in pairwise(clock(lengths).offsets_U1.tolist()):
        alone_ND = encoder(token_ND[a:b], clock([b - a]))
        torch.testing.assert_close(alone_ND, together_ND[a:b])
        (own_ND,) = torch.autograd.grad((alone_ND * weight_ND[a:b]).sum(), token_ND)
        torch.testing.assert_close(own_ND[a:b], gradient_ND[a:b])


def test_an_empty_batch():
    encoder = SasrecEncoder(SasrecSizes(8, 2, 8, blocks=1, max_events=9))
    assert encoder(torch.zeros(0, 8), clock([0, 0])).shape == (0, 8)


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="width is 8, expected a multiple of heads = 3"):
        SasrecSizes(8, 3, 8, blocks=1, max_events=9)
