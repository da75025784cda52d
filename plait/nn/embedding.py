"""Embedding tables whose gradients touch only the rows that a batch uses."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Table(nn.Module):
    """`size` rows of width `dim`, drawn from N(0, std^2).

    Gradients are sparse, so that a step costs the rows it uses and not the table. The training loop finds tables by
    this class and gives them an optimiser of their own.
    """

    def __init__(self, size: int, dim: int, *, std: float = 0.01) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size, dim) * std)

    def forward(self, codes: Tensor) -> Tensor:
        """Rows `codes` (any integer shape `[...]`) as `[..., D]`."""
        return functional.embedding(codes, self.weight, sparse=True)


class FieldTable(nn.Module):
    """One table for all categorical fields: the codes of field f start at `offsets_F[f]`."""

    offsets_F: Tensor

    def __init__(self, sizes: Sequence[int], dim: int, *, std: float = 0.01) -> None:
        super().__init__()
        ends_F = torch.tensor(list(sizes), dtype=torch.int64).cumsum(0)
        self.register_buffer("offsets_F", torch.cat([ends_F.new_zeros(1), ends_F[:-1]]), persistent=False)
        self.table = Table(sum(sizes), dim, std=std)

    def forward(self, codes_BF: Tensor) -> Tensor:
        """Embeddings `[B, F, D]` of the codes of all fields, in order."""
        rows_BF: Tensor = self.table(codes_BF + self.offsets_F)
        return rows_BF

    def lookup(self, codes_MI: Tensor, columns: Sequence[int]) -> Tensor:
        """Embeddings `[M, I, D]` of codes of the I fields called `columns` only."""
        rows_MI: Tensor = self.table(codes_MI + self.offsets_F[list(columns)])
        return rows_MI


class TokenTable(nn.Module):
    """One table for the codes of all multi-valued fields; a bag's vector is the mean of its codes'.

    Codes are those of all fields in one count (`FeatureSpec.first_tokens`); code 0 is none of them. An empty bag has
    the vector 0.

    Args:
        sizes: number of codes of each field.
        dim: width.
        std: deviation of the first weights.
    """

    unknown_V: Tensor

    def __init__(self, sizes: Sequence[int], dim: int, *, std: float = 0.01) -> None:
        super().__init__()
        sizes_P = torch.tensor([1, *sizes], dtype=torch.int64)
        self.register_buffer("unknown_V", (sizes_P.cumsum(0) - sizes_P).repeat_interleave(sizes_P), persistent=False)
        self.table = Table(len(self.unknown_V), dim, std=std)

    def forward(self, codes_N: Tensor, offsets_J1: Tensor) -> Tensor:
        """Vectors `[J, D]` of the bags `codes_N[offsets_J1[j] : offsets_J1[j + 1]]`."""
        weight = self.table.weight
        mean_JD: Tensor = functional.embedding_bag(
            codes_N.long(), weight, offsets_J1, mode="mean", sparse=True, include_last_offset=True
        )
        return mean_JD

    def padded(self, codes_JC: Tensor) -> Tensor:
        """Vectors `[J, D]` of bags that are filled up with code 0."""
        mean_JD: Tensor = functional.embedding_bag(
            codes_JC.long(), self.table.weight, mode="mean", sparse=True, padding_idx=0
        )
        return mean_JD

    def hide(self, codes_N: Tensor, rate: float, *, training: bool) -> Tensor:
        """As `hide_codes`: each code becomes its field's unknown one with probability `rate`."""
        if not training or rate == 0.0:
            return codes_N
        hidden_N = torch.rand(codes_N.shape, device=codes_N.device) < rate
        return torch.where(hidden_N, self.unknown_V[codes_N], codes_N)


def compact(codes_N: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The distinct codes among `codes_N` in ascending order, and each code's place among them.

    Costs O(N + size) without a sort: a batch looks every item of its histories up once.

    Args:
        codes_N: codes from 0 to `size` - 1.
        size: number of codes.

    Returns:
        `distinct_M` and `slot_N` with `distinct_M[slot_N] == codes_N`.
    """
    seen_V = torch.zeros(size, dtype=torch.bool, device=codes_N.device)
    seen_V[codes_N] = True
    distinct_M = seen_V.nonzero().squeeze(1)
    slot_V = torch.empty(size, dtype=torch.int64, device=codes_N.device)
    slot_V[distinct_M] = torch.arange(len(distinct_M), device=codes_N.device)
    return distinct_M, slot_V[codes_N]


def hide_codes(codes_BF: Tensor, rate: float, *, training: bool) -> Tensor:
    """In training, each code becomes 0 (unknown) with probability `rate`, so that the unknown rows learn too."""
    if not training or rate == 0.0:
        return codes_BF
    return codes_BF * (torch.rand(codes_BF.shape, device=codes_BF.device) >= rate)
