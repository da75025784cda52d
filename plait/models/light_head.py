"""The light head of the HSTU ranker: candidates against a user's state, without the tower's weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import HstuConfig
from plait.models.expert_head import ExpertHead
from plait.models.head import MlpHead, build_head, build_outcomes
from plait.models.memory import LongMemory
from plait.models.request import RequestDnn
from plait.models.tower import UserSummary
from plait.models.trunk import Trunk
from plait.nn.mlp import MLP
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket


class HstuHead(nn.Module):
    """Trunk, DNN head, long memory and sequence head: everything of an HSTU ranker but its tower.

    Args:
        trunk: of the ranker.
        head: the DNN's.
        memory: what all of the history says about a candidate.
        sequence_head: what a state adds to it.
        outcomes: makes logits of the sum.
        spec: what a batch consists of.
    """

    def __init__(
        self,
        trunk: Trunk,
        head: MlpHead | ExpertHead,
        memory: LongMemory,
        sequence_head: "SequenceHead",
        *,
        outcomes: nn.Module,
        spec: FeatureSpec,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.memory = memory
        self.sequence_head = sequence_head
        self.outcomes = outcomes
        self.events = max(trunk.interest.events, memory.events)
        self._spec = spec

    @classmethod
    def untrained(cls, config: HstuConfig, spec: FeatureSpec, item_fields_VI: Tensor) -> "HstuHead":
        """A head of these sizes, for trained weights to be loaded into."""
        trunk = Trunk(config, spec, item_fields_VI)
        head, outcomes = build_head(config, trunk.width, spec), build_outcomes(config, spec)
        memory = LongMemory(config.memory, spec, item_fields_VI)
        sequence_head = SequenceHead(config, spec, trunk.item_width, memory.width)
        return cls(trunk, head, memory, sequence_head, outcomes=outcomes, spec=spec)

    def for_requests(self) -> Callable[[UserSummary, Batch], Callable[[Batch], Tensor]]:
        """See `plait.models.ranker.CandidateHead`."""
        dnn = RequestDnn(self.trunk, self.head, self._spec)

        def begin(user: UserSummary, first: Batch) -> Callable[[Batch], Tensor]:
            shared = dnn.shared(first)
            sequence = self.sequence_head.for_state(first, user.state_1D)

            def logits(batch: Batch) -> Tensor:
                own = dnn.own(batch, shared)
                added_BT = sequence(own.candidate_BE, self.memory.of_request(batch))
                logits_BT: Tensor = self.outcomes(dnn.logits(batch, own, shared) + added_BT)
                return logits_BT

            return logits

        return begin


class SequenceHead(nn.Module):
    """What user state and long memory add to the DNN's logits: nothing before training.

    Args:
        config: sizes.
        spec: what a batch consists of.
        item_width: width of item vectors.
        memory_width: width of what the long memory says.
    """

    def __init__(self, config: HstuConfig, spec: FeatureSpec, item_width: int, memory_width: int) -> None:
        super().__init__()
        width, narrow = config.sequence.width, config.embedding_dim
        self.context_columns = spec.columns("context")
        self.candidate = nn.Linear(item_width, width)
        self.age = nn.Embedding(TIME_BUCKETS + 1, narrow)
        self.context = nn.ModuleList(nn.Embedding(spec.fields[column].size, narrow) for column in self.context_columns)
        self.mlp = MLP(3 * width + narrow + memory_width, config.sequence.hidden, dropout=config.sequence.dropout)
        self.out = nn.Linear(self.mlp.width, len(spec.objectives))
        for table in (self.age, *self.context):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, batch: Batch, state_BD: Tensor, candidate_BE: Tensor, memory_BM: Tensor) -> Tensor:
        """Logits `[B, T]` to add."""
        candidate_BD = self.candidate(candidate_BE)
        parts = [state_BD, state_BD * candidate_BD, candidate_BD, self._when(batch), memory_BM]
        inputs_BX = torch.cat(parts, dim=1)
        logits_BT: Tensor = self.out(self.mlp(inputs_BX))
        return logits_BT

    def for_state(self, first: Batch, state_1D: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """`forward` of the trained head for candidates of one request: item vectors and memory to logits `[B, T]`.

        With c = C e + c_0 the first layer `W [s, s * c, c, when, m] + b` is a constant plus `(W_2 diag(s) + W_3) C e`
        plus `W_5 m`: one matrix of the item vector per request.

        Args:
            first: rows of the request.
            state_1D: its user's state.
        """
        layer, *further = self.mlp.layers
        if not isinstance(layer, nn.Linear):
            raise TypeError(f"found {type(layer).__name__}, expected the MLP to begin with a linear layer")
        width = state_1D.shape[1]
        narrow = self.age.embedding_dim
        state_HD, product_HD, own_HD, when_HN, memory_HM = layer.weight.split_with_sizes(
            [width] * 3 + [narrow, layer.in_features - 3 * width - narrow], 1
        )
        of_candidate_HD = torch.addcmul(own_HD, product_HD, state_1D)
        constant_1H = functional.linear(state_1D, state_HD, layer.bias)
        constant_1H = constant_1H + functional.linear(self._when(first)[:1], when_HN)
        constant_1H = constant_1H + functional.linear(self.candidate.bias[None], of_candidate_HD)
        matrix_EH = (of_candidate_HD @ self.candidate.weight).T

        def logits(candidate_BE: Tensor, memory_BM: Tensor) -> Tensor:
            hidden_BH = torch.addmm(constant_1H, candidate_BE, matrix_EH)
            hidden_BH = torch.addmm(hidden_BH, memory_BM, memory_HM.T)
            for part in further:
                hidden_BH = part(hidden_BH)
            logits_BT: Tensor = self.out(hidden_BH)
            return logits_BT

        return logits

    def _when(self, batch: Batch) -> Tensor:
        """Age of the last event, and the context fields, `[B, narrow]`."""
        when_BN: Tensor = self.age(_age_of_last_event(batch))
        for column, table in zip(self.context_columns, self.context, strict=True):
            when_BN = when_BN + table(batch.categorical_BF[:, column])
        return when_BN


def _age_of_last_event(batch: Batch) -> Tensor:
    """Time bucket of the time since the last event before each exposure; the bucket after the last if none."""
    none_B = batch.before_B == 0
    if len(batch.history_time_N) == 0:
        return torch.full_like(batch.before_B, TIME_BUCKETS)
    last_B = (batch.history_offsets_U1[batch.user_B] + batch.before_B - 1).clamp(min=0)
    return torch.where(none_B, TIME_BUCKETS, time_bucket(batch.time_B - batch.history_time_N[last_B]))
