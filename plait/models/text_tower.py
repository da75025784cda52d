"""CTRL's text tower: vectors of a frozen encoder, or its last layers learning, and a projection."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from plait.data.length_batches import batches_of_tokens
from plait.models.config import AlignmentConfig
from plait.nn.low_rank import lay_low_rank
from plait.nn.mlp import MLP

_BATCH_TOKENS = 4096
"""Tokens that go through the last layers at a time, padding included."""


@dataclass(frozen=True, slots=True)
class TokenStates:
    """One part of the texts of B rows, as far as the frozen layers have read it."""

    state_ND: Tensor
    """Of the tokens of U distinct texts, one text after the other."""
    length_U: Tensor
    """Tokens of each, at least one."""
    place_B: Tensor
    """Each row's text; -1 for none."""


Texts = Sequence[Tensor | TokenStates]
"""The texts of B rows by part: vectors `[B, W_p]`, or states that have yet to become such."""


class TextTower(nn.Module):
    """Texts of rows, projected to the space where they meet their rows.

    Args:
        align: sizes of the projection, and how the last layers learn.
        text_width: W, width of the vectors of all parts together.
        top: the encoder's last layers and pooling, where they learn; None if all of it is frozen.
    """

    def __init__(self, align: AlignmentConfig, text_width: int, top: nn.Module | None = None) -> None:
        super().__init__()
        hidden = MLP(text_width, align.hidden)
        self.projection = nn.Sequential(hidden, nn.Linear(hidden.width, align.width))
        self.top = top
        if top is not None:
            lay_low_rank(top, align.tuned_rank)

    def forward(self, texts: Texts) -> Tensor:
        """`[B, width]`."""
        parts = [self._vectors(part) if isinstance(part, TokenStates) else part for part in texts]
        projected_BK: Tensor = self.projection(torch.cat(parts, dim=1))
        return projected_BK

    def _vectors(self, states: TokenStates) -> Tensor:
        """`[B, W_p]`: each distinct text is read once; zeros where a row has none."""
        if self.top is None:
            raise TypeError("states of tokens need the encoder's last layers")
        lengths = states.length_U.tolist()
        if not lengths:
            return states.state_ND.new_zeros(len(states.place_B), states.state_ND.shape[1])
        text_U = torch.split(states.state_ND, lengths)
        order: list[int] = []
        read: list[Tensor] = []
        for batch in batches_of_tokens(lengths, _BATCH_TOKENS):
            padded_NLD = pad_sequence([text_U[place] for place in batch], batch_first=True)
            read.append(self.top(padded_NLD, states.length_U[batch]))
            order += batch
        vector_XW = functional.pad(torch.cat(read), (0, 0, 1, 0))  # row 0: no text
        row_X = torch.zeros(len(order) + 1, dtype=torch.long)
        row_X[torch.tensor(order) + 1] = torch.arange(1, len(order) + 1)
        return vector_XW[row_X[states.place_B + 1]]
