"""Rankers over the fields of one exposure: Wide & Deep, DeepFM, DCNv2 and AutoInt as settings of one model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plait.errors import ConfigError
from plait.features.spec import FeatureSpec, NumberSource
from plait.models.batch import Batch
from plait.models.config import KnowledgeConfig, TabularConfig
from plait.models.linear import NUMBER_LIMIT
from plait.models.ranker import Layout
from plait.nn.cross import CrossNetwork
from plait.nn.embedding import FieldTable, TokenTable, hide_codes
from plait.nn.factorisation import pairwise_products
from plait.nn.field_attention import FieldAttention
from plait.nn.hybrid_experts import HybridExperts
from plait.nn.mlp import MLP


class TabularRanker(nn.Module):
    """`logits = W r + wide`, where r, the row's vector, puts an MLP beside the crosses that the settings name.

    Args:
        config: sizes, and which crosses there are.
        spec: what a batch consists of.
    """

    layout: Layout = "impression"
    history: int = 0
    lookback: int = 0

    def __init__(self, config: TabularConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.embedded = FieldVectors(config.inputs, spec, config.embedding_dim, config.unknown_rate, config.knowledge)
        fields, inputs = self.embedded.fields, self.embedded.fields * config.embedding_dim
        objectives = len(spec.objectives)
        self.fm = config.fm
        self.cross = CrossNetwork(inputs, config.cross_layers, config.cross_rank) if config.cross_layers else None
        self.attention = _interacting_layers(config)
        self.deep = MLP(inputs, config.hidden, dropout=config.dropout)
        widths = (
            config.embedding_dim if config.fm else 0,
            inputs if self.cross is not None else 0,
            fields * config.attention_width if self.attention is not None else 0,
            self.deep.width,
        )
        self.width = sum(widths)
        """X, width of the row's vector."""
        self.objectives = nn.Linear(self.width, objectives)
        if config.fm:  # the factorisation machine's own weights are 1
            self.objectives.weight.data[:, : config.embedding_dim] = 1.0
        self.wide = FieldVectors(config.inputs, spec, objectives, config.unknown_rate, std=0.0) if config.wide else None

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[B, T]`."""
        logits_BT: Tensor = self.objectives(self.represent(batch))
        return logits_BT if self.wide is None else logits_BT + self.wide(batch).sum(1)

    def represent(self, batch: Batch) -> Tensor:
        """The rows' vectors `[B, X]`: what the logits, the wide part apart, are linear in."""
        field_BFD = self.embedded(batch)
        flat_BI = field_BFD.flatten(1)
        parts = [pairwise_products(field_BFD)] if self.fm else []
        if self.cross is not None:
            parts.append(self.cross(flat_BI))
        if self.attention is not None:
            parts.append(self.attention(field_BFD).flatten(1))
        return torch.cat([*parts, self.deep(flat_BI)], dim=1)

    def start_from(self, logit_T: Tensor) -> None:
        """Let the output biases be `logit_T`."""
        self.objectives.bias.data.copy_(logit_T)


class FieldVectors(nn.Module):
    """Every input of the chosen sources as a vector: a field's code, the mean of a list's codes, a number's multiple.

    Args:
        sources: which inputs.
        spec: what a batch consists of.
        dim: D.
        unknown_rate: share of codes that are hidden in training.
        knowledge: which groups' numbers are one field per group, whatever the sources.
        std: deviation of the first weights.

    Raises:
        ConfigError: the batch does not have one of these groups.
    """

    def __init__(
        self,
        sources: Sequence[NumberSource],
        spec: FeatureSpec,
        dim: int,
        unknown_rate: float,
        knowledge: KnowledgeConfig | None = None,
        *,
        std: float = 0.01,
    ) -> None:
        super().__init__()
        self.unknown_rate = unknown_rate
        self.columns = [place for place, field in enumerate(spec.fields) if field.source in sources]
        self.lists = [place for place, field in enumerate(spec.multi_fields) if field.source in sources]
        self.known = [_numbers_of(spec, group) for group in (knowledge.groups if knowledge else ())]
        self.numbers = [
            place
            for place, number in enumerate(spec.numbers)
            if number.source in sources and not any(place in group for group in self.known)
        ]
        self.fields = len(self.columns) + len(self.lists) + len(self.numbers) + len(self.known)
        """F, the number of vectors."""
        self.codes = FieldTable([spec.fields[place].size for place in self.columns], dim, std=std)
        self.tokens = TokenTable([field.size for field in spec.multi_fields], dim, std=std)
        self.number_GD = nn.Parameter(torch.randn(len(self.numbers), dim) * std)
        self.knowledge = None if knowledge is None else self._experts(knowledge, dim)

    def _experts(self, knowledge: KnowledgeConfig, dim: int) -> HybridExperts:
        widths = [len(group) for group in self.known]
        experts, shared = knowledge.experts, knowledge.shared_experts
        return HybridExperts(widths, dim, own=experts, shared=shared, hidden=knowledge.hidden)

    def forward(self, batch: Batch) -> Tensor:
        """`[B, F, D]`: fields, then lists, then numbers, then groups of knowledge."""
        codes_BF = hide_codes(batch.categorical_BF[:, self.columns], self.unknown_rate, training=self.training)
        parts = [self.codes(codes_BF)]
        if self.lists:
            tokens_N = self.tokens.hide(batch.token_codes_N, self.unknown_rate, training=self.training)
            bag_JD = self.tokens(tokens_N, batch.token_offsets_J1)
            parts.append(nn.functional.embedding(batch.bag_BP[:, self.lists], bag_JD))
        if self.numbers:
            numeric_BG = batch.numeric_BG[:, self.numbers].clamp(-NUMBER_LIMIT, NUMBER_LIMIT)
            parts.append(numeric_BG[:, :, None] * self.number_GD)
        if self.knowledge is not None:
            parts.append(self.knowledge([batch.numeric_BG[:, group] for group in self.known]))
        return torch.cat(parts, dim=1)


def _numbers_of(spec: FeatureSpec, group: str) -> list[int]:
    places = [place for place, number in enumerate(spec.numbers) if number.group == group]
    if not places:
        raise ConfigError(f"model.knowledge.groups: '{group}' has no numbers here; name it in [features] use as well")
    return places


def _interacting_layers(config: TabularConfig) -> nn.Sequential | None:
    """AutoInt's layers, one over the other; None without any."""
    widths = [config.embedding_dim] + [config.attention_width] * config.attention_layers
    layers = [FieldAttention(inputs, config.attention_heads, config.attention_width) for inputs in widths[:-1]]
    return nn.Sequential(*layers) if layers else None
