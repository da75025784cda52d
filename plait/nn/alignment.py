"""Contrastive alignment of two views of the same rows: similarities by sub-vectors, and the loss over them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_PAIRS = 1 << 24
"""Products of sub-vectors in memory at a time, about."""


@dataclass(frozen=True, slots=True)
class Similarities:
    """How alike every row of one view is to every row of the other, asked from either side."""

    of_text_BB: Tensor
    """Row b: text b against every tabular vector."""
    of_tabular_BB: Tensor
    """Row b: tabular vector b against every text."""


def subspace_vectors(vector_BD: Tensor, subspaces: int) -> Tensor:
    """`[B, M, D / M]`: M sub-vectors of length 1."""
    return functional.normalize(vector_BD.view(len(vector_BD), subspaces, -1), dim=2)


def similarities(text_BMK: Tensor, tabular_BMK: Tensor) -> Similarities:
    """Fine-grained similarity: each sub-vector of the asking row meets its best partner.

        s(a, b) = 1/M sum_m max_n <a_m, b_n>

    Li et al. 2023, "CTRL", section 3.3, with the mean over M in place of the sum: s lies between -1 and 1, and M = 1 is
    the plain cosine.

    Args:
        text_BMK: M sub-vectors of length 1 of every text.
        tabular_BMK: of every row of the table.
    """
    subspaces = text_BMK.shape[1]
    if subspaces == 1:
        cosine_BB = text_BMK[:, 0] @ tabular_BMK[:, 0].T
        return Similarities(cosine_BB, cosine_BB.T)
    chunk = max(1, _PAIRS // (len(tabular_BMK) * subspaces * subspaces))
    sides = [_best_partners(part_AMK, tabular_BMK) for part_AMK in torch.split(text_BMK, chunk)]
    of_text_BB, to_text_BB = (torch.cat(parts) for parts in zip(*sides, strict=True))
    return Similarities(of_text_BB, to_text_BB.T)


def _best_partners(text_AMK: Tensor, tabular_BMK: Tensor) -> tuple[Tensor, Tensor]:
    """`[A, B]` twice: asked by the text, and asked by the table."""
    shape = (*text_AMK.shape[:2], *tabular_BMK.shape[:2])
    product_AMBN = (text_AMK.flatten(0, 1) @ tabular_BMK.flatten(0, 1).T).view(shape)
    return product_AMBN.amax(3).mean(1), product_AMBN.amax(1).mean(2)


def alignment_loss(
    both: Similarities, keys_B: Tensor, *, temperature: float, to_tabular: float, to_text: float
) -> Tensor:
    """The symmetric InfoNCE loss: every row should find its own partner among all of the batch.

        L = (w_1 mean_b -log softmax_c(s(text_b, tab_c) / T)[b] + w_2 mean_b -log softmax_c(s(tab_b, text_c) / T)[b])
            / (w_1 + w_2)

    Rows with equal texts are no negatives of each other: such pairs leave both sums.

    Args:
        both: similarities.
        keys_B: equal where texts are.
        temperature: T.
        to_tabular: w_1, of text asking for its row.
        to_text: w_2, of a row asking for its text.
    """
    twins_BB = keys_B[:, None] == keys_B[None, :]
    twins_BB.fill_diagonal_(fill_value=False)
    own_B = torch.arange(len(keys_B), device=keys_B.device)
    total = both.of_text_BB.new_zeros(())
    for weight, similarity_BB in ((to_tabular, both.of_text_BB), (to_text, both.of_tabular_BB)):
        if weight > 0:
            logit_BB = (similarity_BB / temperature).masked_fill(twins_BB, float("-inf"))
            total = total + weight * functional.cross_entropy(logit_BB, own_B)
    return total / (to_tabular + to_text)
