"""Alignment: similarities and loss against values worked by hand and against the formula in loops."""

import math

import numpy as np
import pytest
import torch

from plait.nn import alignment
from plait.nn.alignment import Similarities, alignment_loss, similarities, subspace_vectors


def test_one_subspace_is_the_cosine():
    """(3, 4) and (4, 3): 24 / 25; (3, 4) and (-4, 3): 0."""
    text = subspace_vectors(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), 1)
    tabular = subspace_vectors(torch.tensor([[4.0, 3.0], [-4.0, 3.0]]), 1)
    both = similarities(text, tabular)
    torch.testing.assert_close(both.of_text_BB, torch.tensor([[0.96, 0.0], [0.96, 0.0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(both.of_tabular_BB, both.of_text_BB.T)


@pytest.mark.parametrize("pairs", [1, 1 << 24])
def test_every_subvector_meets_its_best_partner(monkeypatch, pairs):
    monkeypatch.setattr(alignment, "_PAIRS", pairs)
    torch.manual_seed(3)
    text, tabular = (subspace_vectors(torch.randn(5, 12), 3) for _ in range(2))
    a, b = text.numpy().astype(float), tabular.numpy().astype(float)
    of_text, of_tabular = np.zeros((5, 5)), np.zeros((5, 5))
    for i in range(5):
        for j in range(5):
            of_text[i, j] = np.mean([max(a[i, m] @ b[j, n] for n in range(3)) for m in range(3)])
            of_tabular[i, j] = np.mean([max(b[i, m] @ a[j, n] for n in range(3)) for m in range(3)])
    both = similarities(text, tabular)
    np.testing.assert_allclose(both.of_text_BB.numpy(), of_text, atol=1e-6)
    np.testing.assert_allclose(both.of_tabular_BB.numpy(), of_tabular, atol=1e-6)


def test_the_loss_by_hand():
    """Text 0 sees its row at ln 3 and the other at 0: -log(3/4); text 1 has no preference: log 2."""
    of_text = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    of_tabular = torch.tensor([[0.0, 0.0], [0.0, math.log(7.0)]])
    both, keys = Similarities(of_text, of_tabular), torch.tensor([1, 2])
    to_tabular, to_text = (math.log(4 / 3) + math.log(2)) / 2, (math.log(2) + math.log(8 / 7)) / 2

    def loss(w_1: float, w_2: float) -> float:
        return float(alignment_loss(both, keys, temperature=1.0, to_tabular=w_1, to_text=w_2))

    assert loss(1.0, 0.0) == pytest.approx(to_tabular)
    assert loss(0.0, 2.0) == pytest.approx(to_text)
    assert loss(3.0, 1.0) == pytest.approx((3 * to_tabular + to_text) / 4)
    halved = alignment_loss(both, keys, temperature=0.5, to_tabular=1.0, to_text=0.0)
    assert float(halved) == pytest.approx((math.log(10 / 9) + math.log(2)) / 2)


def test_rows_with_equal_texts_are_no_negatives():
    """Rows 0 and 2 say the same: each sees itself and row 1 only, and the pair's own similarity changes nothing."""
    of_text = torch.zeros(3, 3)
    of_text[0, 2] = of_text[2, 0] = 50.0
    both = Similarities(of_text, of_text.T)
    told = float(alignment_loss(both, torch.tensor([7, 8, 7]), temperature=1.0, to_tabular=1.0, to_text=1.0))
    assert told == pytest.approx((math.log(2) + math.log(3) + math.log(2)) / 3)
    untold = float(alignment_loss(both, torch.tensor([7, 8, 9]), temperature=1.0, to_tabular=1.0, to_text=1.0))
    assert untold > 30
