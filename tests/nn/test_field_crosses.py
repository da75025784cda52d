"""Blocks that cross fields, against their formulas written out pair by pair."""

from itertools import combinations

import numpy as np
import torch

from plait.nn.factorisation import pairwise_products
from plait.nn.field_attention import FieldAttention


def test_pairwise_products():
    """Three fields of width 2: 1*3 + 1*5 + 3*5 = 23 and 2*4 + 2*6 + 4*6 = 44."""
    field_BFD = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    assert pairwise_products(field_BFD).tolist() == [[23.0, 44.0]]
    torch.manual_seed(0)
    field_BFD = torch.randn(4, 5, 3)
    written_out = sum(field_BFD[:, i] * field_BFD[:, j] for i, j in combinations(range(5), 2))
    torch.testing.assert_close(pairwise_products(field_BFD), written_out)


def test_field_attention_is_the_published_formula():
    torch.manual_seed(1)
    batch, fields, inputs, heads, width = 2, 3, 4, 2, 6
    layer = FieldAttention(inputs, heads, width)
    e = np.random.default_rng(0).normal(size=(batch, fields, inputs)).astype(np.float32)
    query, key, value, residual = np.split(layer.projections.weight.detach().numpy(), 4)
    share = width // heads
    expected = np.zeros((batch, fields, width))
    for b in range(batch):
        for m in range(fields):
            parts = []
            for h in range(heads):
                rows = slice(h * share, (h + 1) * share)
                score = np.array([(query[rows] @ e[b, m]) @ (key[rows] @ e[b, k]) for k in range(fields)])
                weight = np.exp(score) / np.exp(score).sum()
                parts.append(sum(weight[k] * (value[rows] @ e[b, k]) for k in range(fields)))
            expected[b, m] = np.maximum(np.concatenate(parts) + residual @ e[b, m], 0)
    np.testing.assert_allclose(layer(torch.from_numpy(e)).detach().numpy(), expected, atol=1e-5)
