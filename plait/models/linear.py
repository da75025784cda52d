"""Logistic regression."""

import torch
from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import LinearConfig
from plait.models.ranker import Layout
from plait.nn.embedding import FieldTable, TokenTable, hide_codes

NUMBER_LIMIT = 5.0
"""Standardised numbers are cut to this many standard deviations, so that no outlier runs away with a logit."""


class LinearRanker(nn.Module):
    """`logit = sum_f w[f, code_f] + sum_p mean(w[p, codes_p]) + sum_g v_g x_g + b[scenario]` per objective.

    Args:
        config: its settings.
        spec: what a batch consists of.
    """

    layout: Layout = "impression"
    history: int = 0
    lookback: int = 0

    def __init__(self, config: LinearConfig, spec: FeatureSpec) -> None:
        super().__init__()
        objectives = len(spec.objectives)
        self.unknown_rate = config.unknown_rate
        self.codes = FieldTable([field.size for field in spec.fields], objectives, std=0.0)
        self.tokens = TokenTable([field.size for field in spec.multi_fields], objectives, std=0.0)
        self.numbers = nn.Parameter(torch.zeros(len(spec.numbers), objectives))
        self.scenario_bias = nn.Parameter(torch.zeros(len(spec.scenarios), objectives))

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[B, T]`."""
        codes_BF = hide_codes(batch.categorical_BF, self.unknown_rate, training=self.training)
        numeric_BG = batch.numeric_BG.clamp(-NUMBER_LIMIT, NUMBER_LIMIT)
        tokens_N = self.tokens.hide(batch.token_codes_N, self.unknown_rate, training=self.training)
        bag_JT = self.tokens(tokens_N, batch.token_offsets_J1)
        logits_BT: Tensor = self.codes(codes_BF).sum(1) + numeric_BG @ self.numbers
        logits_BT = logits_BT + nn.functional.embedding(batch.bag_BP, bag_JT).sum(1)
        return logits_BT + self.scenario_bias[batch.scenario_B.long()]

    def start_from(self, logit_T: Tensor) -> None:
        """Let the biases be `logit_T`."""
        self.scenario_bias.data.copy_(logit_T.expand_as(self.scenario_bias))
