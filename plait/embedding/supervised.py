"""A projection that outcomes shape: trained with a small ranker on the training exposures; the encoder stays as it is.

The ranker sees a user's vector x, an item v and an objective t:
`logit = b_t + b_v + (x P) . (E_v + H_t)`, with P [D, d] the projection, E and H embeddings of d numbers. It is there to
find P and is thrown away. Gradients end at x: the encoder is frozen.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.seeding import derive_seed, generator

_STEPS = 1_500
_BATCH = 1_024
_LEARNING_RATE = 0.01
_WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class Outcomes:
    """B training exposures with vectors of their users."""

    vectors_BD: NDArray[np.float32]
    """Standardised."""
    item_B: NDArray[np.int64]
    labels_BT: NDArray[np.float32]
    mask_BT: NDArray[np.bool_]


class _Ranker(nn.Module):
    def __init__(self, full: int, width: int, items: int, objectives: int) -> None:
        super().__init__()
        self.project = nn.Linear(full, width, bias=False)
        self.items = nn.Embedding(items, width)
        self.item_bias = nn.Embedding(items, 1)
        self.objective_TX = nn.Parameter(torch.zeros(objectives, width))
        self.bias_T = nn.Parameter(torch.zeros(objectives))
        nn.init.normal_(self.items.weight, std=width**-0.5)
        nn.init.zeros_(self.item_bias.weight)

    def forward(self, vector_BD: Tensor, item_B: Tensor) -> Tensor:
        """Logits `[B, T]`."""
        z_BX = self.project(vector_BD)
        of_item_B1 = (z_BX * self.items(item_B)).sum(dim=1, keepdim=True) + self.item_bias(item_B)
        logits_BT: Tensor = self.bias_T + of_item_B1 + z_BX @ self.objective_TX.T
        return logits_BT


def fit_supervised(outcomes: Outcomes, width: int, *, seed: int = 0) -> NDArray[np.float32]:
    """P `[D, d]` of the formula above.

    Args:
        outcomes: of the training window only.
        width: d.
        seed: of weights and of the exposures drawn for each step.
    """
    torch.manual_seed(derive_seed(seed, "supervised projection"))
    items, objectives = int(outcomes.item_B.max(initial=0)) + 1, outcomes.labels_BT.shape[1]
    ranker = _Ranker(outcomes.vectors_BD.shape[1], width, items, objectives)
    optimiser = torch.optim.AdamW(ranker.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    draws = generator(seed, "supervised draws")
    arrays = (outcomes.vectors_BD, outcomes.item_B, outcomes.labels_BT, outcomes.mask_BT)
    vectors_BD, item_B, labels_BT, mask_BT = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    for _ in range(_STEPS):
        rows = torch.from_numpy(draws.integers(0, len(item_B), _BATCH))
        losses_BT = nn.functional.binary_cross_entropy_with_logits(
            ranker(vectors_BD[rows], item_B[rows]), labels_BT[rows], reduction="none"
        )
        loss = (losses_BT * mask_BT[rows]).sum() / mask_BT[rows].sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    weight_DX: NDArray[np.float32] = ranker.project.weight.detach().numpy().T.copy()
    return weight_DX
