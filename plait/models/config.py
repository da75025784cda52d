"""Typed sizes of every model family: only numbers."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from plait.config import Settings, nearest, parse_settings
from plait.errors import ConfigError
from plait.features.spec import NUMBER_SOURCES, NumberSource


class PopularityConfig(Settings):
    """Smoothed log-odds per item and objective."""

    family: Literal["popularity"] = "popularity"
    prior_exposures: float = Field(50.0, gt=0)
    """How many exposures the rate of an item's category (and of all items, for a category) is worth."""


class LinearConfig(Settings):
    """Logistic regression: one weight per code, number and objective."""

    family: Literal["lr"] = "lr"
    unknown_rate: float = Field(0.0, ge=0, lt=1)
    """Share of codes that are hidden (set to 0, unknown) in training."""


class AttentionConfig(Settings):
    """Target attention over recent events."""

    events: int = Field(50, ge=1)
    """How many of the last events before an exposure it looks at."""
    hidden: int = Field(16, ge=1)
    """Width of the attention unit's first layer."""


class SequenceConfig(Settings):
    """The HSTU over the behaviour sequence."""

    width: int = Field(64, ge=1)
    """Width of tokens and of the user state."""
    heads: int = Field(2, ge=1)
    blocks: int = Field(2, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the gated attention output that is dropped in training."""
    max_events: int = Field(256, ge=2)
    """The longest history in one pass; longer ones are cut to their last `max_events / 2` to `max_events` events."""
    stochastic_length: float | None = Field(None, gt=1, lt=2)
    """Alpha: in training, most passes of more than `max_events ** (alpha / 2)` events are thinned to so many."""
    hidden: list[int] = Field([128, 64], min_length=1)
    """Widths of the MLP over user state, candidate, context and long memory."""

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of heads = {self.heads}")
        return self


class MemoryConfig(Settings):
    """Sums over the long history, by time and by what events have in common with the candidate."""

    events: int = Field(1024, ge=1)
    """How many of the last events before an exposure it looks at."""
    channels: int = Field(12, ge=1)
    """How many ways of weighing events by their time it learns."""


class ExpertsConfig(Settings):
    """A mixture of experts with a tower per objective, in place of the MLP: `docs/experts.md` says which to choose."""

    shared: int = Field(4, ge=0)
    """Experts that every objective reads."""
    own: int = Field(0, ge=0)
    """Experts that one objective reads alone, for each objective (CGC, PLE)."""
    levels: int = Field(1, ge=1)
    """Levels of experts, each over the mixtures of the one before (PLE)."""
    hidden: list[int] = Field([256, 128], min_length=1)
    """Widths of an expert's layers."""
    towers: list[int] = []
    """Widths of the layers of a tower; without any, a tower is one linear layer."""
    routing: Literal["none", "softmax", "topk"] = "none"
    """How mixtures weigh the experts: all alike, by a softmax gate, or the `top_k` best only."""
    gates: Literal["global", "objective"] = "objective"
    """One mixture for all objectives, or a gate for each."""
    scenario_gates: bool = False
    """The gates' logits also have a bias per scenario."""
    top_k: int = Field(2, ge=1)
    """How many experts a row keeps under `topk`."""
    capacity: float = Field(1.5, gt=0)
    """Under `topk`, in training: the most rows an expert takes, times the rows it had if all were alike."""
    balance: float = Field(0.01, ge=0)
    """Under `topk`: weight of the balance loss."""
    scenario: Literal["none", "star", "pepnet"] = "none"
    """How towers adapt to the scenario: factors and biases of its own (STAR), or gates on their inputs (PEPNet)."""
    normalise: bool = False
    """Experts with layer norm and SiLU instead of ReLU (HoME)."""
    match_flops: bool = False
    """Narrow the experts until the head costs no more than with the MLP `hidden`, over all features, in their place."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.shared + self.own == 0:
            raise ValueError("shared and own are both 0, expected some experts")
        if self.own and self.gates == "global":
            raise ValueError(
                "own experts have gates = 'global', expected 'objective': one mixture cannot tell them apart"
            )
        if self.routing == "topk" and self.top_k > self.shared + self.own:
            raise ValueError(f"top_k is {self.top_k}, expected at most the {self.shared + self.own} experts of a gate")
        return self


class TrunkConfig(Settings):
    """What the DNN and HSTU + DNN share: inputs and head."""

    embedding_dim: int = Field(16, ge=1)
    """Width of every field's embedding."""
    attention: AttentionConfig = AttentionConfig()
    cross_layers: int = Field(2, ge=0)
    cross_rank: int | None = Field(32, ge=1)
    """Rank of the cross layers; a value of half the input width or more means full rank."""
    hidden: list[int] = Field([256, 128], min_length=1)
    """Widths of the MLP."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the MLP's activations that is dropped in training."""
    unknown_rate: float = Field(0.02, ge=0, lt=1)
    """Share of codes that are hidden (set to 0, unknown) in training, so that new ids meet trained rows."""
    entire_space: bool = False
    """Outputs are chances given the objective before in the funnel; logits are those of the products (ESMM)."""
    experts: ExpertsConfig | None = None
    """A mixture of experts in place of the MLP."""
    deep_inputs: list[str] = []
    """The features that the MLP or the experts read; all where none is named. The cross network reads all."""
    deep_gates: float = Field(0.0, ge=0)
    """Weight of the price of open gates before these features; above 0 there are such gates, for screening."""


class DnnConfig(TrunkConfig):
    """DCNv2 with target attention over the recent sequence."""

    family: Literal["dnn", "ctrl-dnn"] = "dnn"  # narrowed by what extends it


class HstuConfig(TrunkConfig):
    """The DNN with the state of an HSTU over the whole sequence as further input."""

    family: Literal["hstu"] = "hstu"
    sequence: SequenceConfig = SequenceConfig()
    memory: MemoryConfig = MemoryConfig()


class KnowledgeConfig(Settings):
    """Feature groups of vectors as fields: each group is one field, whatever its width."""

    groups: list[str] = Field(min_length=1)
    """Which groups; the recipe's `[features] use` names them too."""
    experts: int = Field(0, ge=0)
    """Experts of each group. Without any expert a group is projected linearly."""
    shared_experts: int = Field(0, ge=0)
    """Experts that all groups share; these need one width."""
    hidden: int = Field(64, ge=1)
    """Width of the experts' hidden layer."""


class TabularConfig(Settings):
    """Fields without a history: an MLP, and beside it whichever crosses are switched on."""

    family: Literal["tabular", "ctrl"] = "tabular"  # narrowed by what extends it
    inputs: list[NumberSource] = list(NUMBER_SOURCES)
    """Which sources' fields and numbers the model sees: user, item, creative, context, history (counts and gaps), match
    (query and item)."""
    knowledge: KnowledgeConfig | None = None
    """Numbers of these groups become fields through a projection that is trained with the ranker, or experts; else each
    number is a field of its own."""
    embedding_dim: int = Field(16, ge=1)
    """Width of every field's embedding."""
    wide: bool = False
    """Add one weight per code, number and objective: Wide & Deep and DeepFM."""
    fm: bool = False
    """Add the products of all pairs of fields: DeepFM."""
    cross_layers: int = Field(0, ge=0)
    """Cross layers beside the MLP: DCNv2."""
    cross_rank: int | None = Field(None, ge=1)
    """Rank of the cross layers; None, or a value of half the input width or more, means full rank."""
    attention_layers: int = Field(0, ge=0)
    """Layers of self-attention among the fields beside the MLP: AutoInt."""
    attention_heads: int = Field(2, ge=1)
    attention_width: int = Field(32, ge=1)
    """Width of the attention's result, all heads together."""
    hidden: list[int] = Field([256, 128, 64], min_length=1)
    """Widths of the MLP."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the MLP's activations that is dropped in training."""
    unknown_rate: float = Field(0.0, ge=0, lt=1)
    """Share of codes that are hidden (set to 0, unknown) in training."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.attention_width % self.attention_heads:
            raise ValueError(
                f"attention_width is {self.attention_width}, expected a multiple of attention_heads = "
                f"{self.attention_heads}"
            )
        return self


TextPartName = Literal["user", "item", "context"]
"""What a sample's text is composed of."""


class AlignmentConfig(Settings):
    """How a row's vector and its text's are brought together."""

    width: int = Field(128, ge=1)
    """Width of both projections."""
    subspaces: int = Field(4, ge=1)
    """M: sub-vectors that look for partners of their own; 1 is the plain cosine."""
    hidden: list[int] = []
    """Hidden widths of the text's projection; none: linear."""
    temperature: float = Field(0.1, gt=0)
    """T: similarities are divided by it."""
    to_tabular: float = Field(1.0, ge=0)
    """Weight of the loss of texts that look for their rows."""
    to_text: float = Field(1.0, ge=0)
    """Weight of the loss of rows that look for their texts."""
    chunk: int = Field(1024, ge=1)
    """Rows whose activations are held at a time; the loss is over the whole batch whatever this is."""
    tuned_layers: int = Field(0, ge=0)
    """The encoder's last so many layers learn as well; 0: all of it is frozen."""
    tuned_rank: int = Field(8, ge=1)
    """R of what they learn: a product of two matrices R thin on every linear layer."""
    tuned_parts: list[TextPartName] = Field(["user", "item", "context"], min_length=1)
    """The parts of the texts that they read; the others are vectors of the frozen encoder."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.subspaces:
            raise ValueError(f"width is {self.width}, expected a multiple of subspaces = {self.subspaces}")
        if self.to_tabular + self.to_text == 0:
            raise ValueError("to_tabular and to_text are both 0, expected at least one direction with a weight")
        return self


class CtrlConfig(TabularConfig):
    """Stage one of CTRL: a tabular ranker whose rows learn to find their texts."""

    family: Literal["ctrl"] = "ctrl"
    align: AlignmentConfig = AlignmentConfig()


class CtrlDnnConfig(DnnConfig):
    """Stage one of CTRL for the DNN."""

    family: Literal["ctrl-dnn"] = "ctrl-dnn"
    align: AlignmentConfig = AlignmentConfig()


class NextItemConfig(Settings):
    """A next-item model: one state per event, one vector per item of the catalogue."""

    family: Literal["next-item"] = "next-item"
    encoder: Literal["hstu", "sasrec"] = "hstu"
    """What makes states of tokens."""
    width: int = Field(50, ge=1)
    """Width of items, tokens and states."""
    heads: int = Field(1, ge=1)
    head_width: int = Field(50, ge=1)
    """HSTU: width of a head's queries, keys, values and gates. SASRec's heads share `width`."""
    hidden: int = Field(50, ge=1)
    """SASRec: width of the feed-forward layers."""
    blocks: int = Field(2, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of tokens' and layers' activations that is dropped in training."""
    max_events: int = Field(200, ge=1)
    """The longest sequence; of longer ones the last events are taken."""
    time_bias: bool = True
    """HSTU: weigh pairs of events by the time between them; False where the log's times mean nothing."""
    request_time: bool = False
    """HSTU: rows look back from the time at which the next item is asked for, instead of from their own event's."""
    actions: bool = False
    """Tokens say what was done (and in which bucket its value lies), not only with which item."""
    item_text: bool = False
    """Item vectors also know the words of the items' text and category columns."""
    temperature: float = Field(0.05, gt=0)
    """T: a score is the cosine of state and item, divided by T."""


RankerConfig = PopularityConfig | LinearConfig | TabularConfig | DnnConfig | HstuConfig
AlignedConfig = CtrlConfig | CtrlDnnConfig
ModelConfig = RankerConfig | AlignedConfig | NextItemConfig

FAMILIES: dict[str, type[ModelConfig]] = {
    "popularity": PopularityConfig,
    "lr": LinearConfig,
    "tabular": TabularConfig,
    "ctrl": CtrlConfig,
    "ctrl-dnn": CtrlDnnConfig,
    "dnn": DnnConfig,
    "hstu": HstuConfig,
    "next-item": NextItemConfig,
}
"""Every model family by the name that a recipe gives it."""


def parse_model(values: dict[str, Any], source: str) -> ModelConfig:
    """The sizes in a recipe's `[model]` table.

    Args:
        values: the table; `family` says which model it sizes.
        source: named in errors.

    Raises:
        ConfigError: the family is unknown, or a key or value does not fit it.
    """
    family = values.get("family")
    if family not in FAMILIES:
        raise ConfigError(f"{source}: unknown family {family!r}{nearest(str(family), list(FAMILIES))}")
    return parse_settings(FAMILIES[family], values, source)
