"""HSTU-large as its authors formulate it, in plain PyTorch: dense sequences padded to 211, biases materialised.

What the published code does at every step is done here too: the batch is padded to 200 + 11 places whatever its
lengths; every layer computes the time bucket of all pairs anew and materialises the bias `[B, N, N]`; scores, weights
and mask are `[B, H, N, N]`; every place draws 128 uniform negatives, whose embeddings are gathered and normalised. Loss
and optimiser are part of the step.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from training_step import Batch, main

PLACES = 211
TIME_BUCKETS = 128
NEGATIVES = 128
TEMPERATURE = 0.05


class RelativeBias(nn.Module):
    """Weights by position and by time bucket, spread over all pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.by_time = nn.Parameter(torch.empty(TIME_BUCKETS + 1).normal_(std=0.02))
        self.by_position = nn.Parameter(torch.empty(2 * PLACES - 1).normal_(std=0.02))

    def forward(self, seconds_BN: Tensor) -> Tensor:
        """`[B, N, N]`: row i looks from the next event's time."""
        batch, places = seconds_BN.shape
        step_N = torch.arange(places)
        position_NN = self.by_position[step_N[None, :] - step_N[:, None] + places - 1]
        extended = torch.cat([seconds_BN, seconds_BN[:, -1:]], dim=1)
        difference_BNN = extended[:, 1:, None] - extended[:, None, :-1]
        bucket_BNN = (torch.log(difference_BNN.abs().clamp(min=1)) / 0.301).long().clamp(0, TIME_BUCKETS).detach()
        time_BNN = self.by_time.index_select(0, bucket_BNN.view(-1)).view(batch, places, places)
        return position_NN[None] + time_BNN


class Layer(nn.Module):
    """One layer over padded sequences."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.uvqk = nn.Parameter(torch.empty(width, 4 * heads * head_width).normal_(std=0.02))
        self.bias = RelativeBias()
        self.output = nn.Linear(heads * head_width, width)
        nn.init.xavier_uniform_(self.output.weight)

    def forward(self, x_BND: Tensor, seconds_BN: Tensor, mask_NN: Tensor, valid_BN: Tensor) -> Tensor:
        batch, places, width = x_BND.shape
        x_MD = x_BND[valid_BN]
        projected = functional.silu(functional.layer_norm(x_MD, (width,)) @ self.uvqk)
        u_MC, v_MC, q_MC, k_MC = projected.chunk(4, dim=1)
        q, k, v = (self._pad(part, valid_BN).view(batch, places, self.heads, -1) for part in (q_MC, k_MC, v_MC))
        score_BHNN = torch.einsum("bnhd,bmhd->bhnm", q, k) + self.bias(seconds_BN)[:, None]
        weight_BHNN = functional.silu(score_BHNN) / places * mask_NN
        mixed_BNC = torch.einsum("bhnm,bmhd->bnhd", weight_BHNN, v).flatten(2)
        mixed_MC = mixed_BNC[valid_BN]
        gated_MC = u_MC * functional.layer_norm(mixed_MC, (mixed_MC.shape[1],))
        y_MD = self.output(functional.dropout(gated_MC, 0.2, self.training)) + x_MD
        return self._pad(y_MD, valid_BN)

    @staticmethod
    def _pad(values_MC: Tensor, valid_BN: Tensor) -> Tensor:
        padded = values_MC.new_zeros(*valid_BN.shape, values_MC.shape[1])
        padded[valid_BN] = values_MC
        return padded


class PublishedHstu(nn.Module):
    """Embeddings, layers, sampled softmax."""

    def __init__(self, items: int, width: int = 50, heads: int = 2, head_width: int = 25, blocks: int = 8) -> None:
        super().__init__()
        self.items = items
        self.item = nn.Embedding(items + 1, width, padding_idx=0)
        self.position = nn.Embedding(PLACES, width)
        for table in (self.item, self.position):
            nn.init.trunc_normal_(table.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(width, heads, head_width) for _ in range(blocks))
        self.register_buffer("mask_NN", torch.ones(PLACES, PLACES).tril())

    def forward(self, item_BN: Tensor, seconds_BN: Tensor) -> Tensor:
        """States `[B, N, D]`, of length 1."""
        valid_BN = item_BN > 0
        x_BND = self.item(item_BN) * math.sqrt(self.item.embedding_dim) + self.position.weight
        x_BND = functional.dropout(x_BND, 0.2, self.training) * valid_BN[..., None]
        for layer in self.layers:
            x_BND = layer(x_BND, seconds_BN, self.mask_NN, valid_BN)
        return functional.normalize(x_BND, dim=2, eps=1e-6)

    def loss(self, item_BN: Tensor, seconds_BN: Tensor) -> Tensor:
        """Sampled softmax over the next item, 128 negatives of its own for each place."""
        state_BND = self(item_BN, seconds_BN)[:, :-1]
        target_BN = item_BN[:, 1:]
        has_target = target_BN > 0
        state_MD, target_M = state_BND[has_target], target_BN[has_target]
        negative_MR = torch.randint(1, self.items + 1, (len(target_M), NEGATIVES))
        target_MD = functional.normalize(self.item(target_M), dim=1, eps=1e-6)
        negative_MRD = functional.normalize(self.item(negative_MR), dim=2, eps=1e-6)
        positive_M1 = (state_MD * target_MD).sum(1, keepdim=True) / TEMPERATURE
        negative = torch.bmm(negative_MRD, state_MD[:, :, None]).squeeze(2) / TEMPERATURE
        negative = negative.masked_fill(negative_MR == target_M[:, None], -5e4)
        return -functional.log_softmax(torch.cat([positive_M1, negative], dim=1), dim=1)[:, 0].mean()


class Training:
    """The model and its optimiser."""

    def __init__(self, items: int) -> None:
        self.model = PublishedHstu(items).train()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)

    def step(self, batch: Batch) -> float:
        """One step on sequences of items and times (seconds), padded here as the published loader pads them."""
        item_BN = torch.zeros(batch.users, PLACES, dtype=torch.long)
        seconds_BN = torch.zeros(batch.users, PLACES, dtype=torch.long)
        for user, (items, seconds) in enumerate(batch.sequences()):
            item_BN[user, : len(items)] = items
            seconds_BN[user, : len(items)] = seconds
        self.optimiser.zero_grad()
        loss = self.model.loss(item_BN, seconds_BN)
        loss.backward()
        self.optimiser.step()
        return float(loss)


if __name__ == "__main__":
    main(Training)
