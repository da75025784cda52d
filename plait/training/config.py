"""Settings of the training loop."""

from typing import Literal

from pydantic import Field, field_validator

from plait.config import Settings
from plait.data.item_sequences import Protocol
from plait.training.delayed import DelayedFeedback


class NextItemTraining(Settings):
    """A recipe's `[training.next_item]` table: what next-item models learn from, and how."""

    protocol: Protocol = "validation"
    """What is held out: the last two events of each user (validation, then test), or the last one only, as published;
    then nothing is left to choose an epoch by, and the last weights count."""
    loss: Literal["sampled", "full"] = "sampled"
    """Softmax against drawn negatives, or against the whole catalogue."""
    negatives: int = Field(128, ge=1)
    """Uniform negatives of each event under the sampled loss; one that is the target is left out."""
    window: Literal["last", "any"] = "last"
    """Which events of a user with more than `max_events` an epoch takes: the last, or a stretch drawn anew."""


class FeatureUse(Settings):
    """A recipe's `[features]` table."""

    use: tuple[str, ...] = ()
    """Derived feature groups that the model reads beside the columns of the samples; none unless they are named."""

    @field_validator("use")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """In one order, whatever order they are named in: the columns of a batch follow it."""
        return tuple(sorted(set(names)))


class TrainingConfig(Settings):
    """A recipe's `[training]` table."""

    seed: int = 7
    """Seed of weights, shuffling and dropout."""
    start_from: str | None = None
    """A recipe that is trained first with the same seed; weights that both models have are taken from it."""
    freeze_start: bool = True
    """Weights taken from there stay as they are; False to go on training them."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of the training window's exposures whose labels are used, drawn by seed: how many does a model need? A
    recipe that this one starts from has the same share, but all of the window where it looks at no label."""
    share_of: Literal["exposures", "users"] = "exposures"
    """What is drawn: exposures, or whole users with about that share of them. Next-item models: always users."""
    epochs: int = Field(3, ge=1)
    """Passes over these, at most."""
    batch_size: int = Field(1024, ge=1)
    """Exposures a step; in the user layout, at most. Next-item models: users a step."""
    batch_events: int = Field(16_384, ge=1)
    """In the user layout: the most events a step takes, padding included."""
    layout: Literal["impression", "user"] | None = None
    """How rankers see the exposures: each with its own events, or users with theirs once; None: as the model likes."""
    learning_rate: float = Field(1e-3, gt=0)
    embedding_learning_rate: float = Field(1e-3, gt=0)
    """Of embedding tables."""
    weight_decay: float = Field(0.0, ge=0)
    """Of everything but embedding tables; decoupled (AdamW)."""
    embedding_l2: float = Field(0.0, ge=0)
    """Added to the gradient of the rows that a step uses, times the row: keeps rare codes near zero."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay of gradient mean and square."""
    warmup_steps: int = Field(0, ge=0)
    """Over this many steps the learning rates grow from zero."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rates fall over all epochs after the warm-up, to zero if they fall."""
    weight_average: float = Field(0.0, ge=0, lt=1)
    """Decay of a running mean of the weights, which is then what is judged and kept; 0: the weights as they are."""
    teacher: str | None = None
    """A recipe that is trained first with the same seed and whose probabilities this one learns from too."""
    teacher_weight: float = Field(0.5, ge=0, le=1)
    """w: rankers with a teacher learn `(1 - w) label + w probability`."""
    clip_norm: float = Field(10.0, gt=0)
    """The largest gradient norm of everything but embedding tables."""
    delayed_feedback: DelayedFeedback = "waiting"
    """Rankers, labels that are not mature at the end of training: `waiting` leaves them out, `naive` takes them as they
    stand, `dfm` takes them with the share of positives that is known after as long as each has had, `es-dfm` with the
    weights that follow from that share."""
    objective_weights: dict[str, float] = {}
    """Weights of the objectives in the loss; 1 where none is given."""
    objectives: list[str] = []
    """The objectives that are learned and judged by; all where none is named."""
    positive_weights: dict[str, float] = {}
    """Weights of an objective's positives in the loss; logits stay those of the true chances."""
    balancing: Literal["none", "uncertainty", "pcgrad"] = "none"
    """How the objectives' losses become one: their mean; that of their logarithms (uncertainty weighting); or the mean
    with gradients that do not go against each other (PCGrad: a backward pass per objective)."""
    metric: Literal["logloss", "auc", "hr@10", "ndcg@10", "alignment"] = "logloss"
    """What the validation window judges by: the mean over objectives of one of the first two; next-item models: the
    first (over the whole catalogue) or one of the next two; alignment: how often rows and texts find each other."""
    evaluations_per_epoch: int = Field(1, ge=1)
    evaluation_epochs: int = Field(1, ge=1)
    """Only every so many epochs (and the last) are evaluated."""
    patience: int = Field(2, ge=1)
    """Training stops after this many evaluations without a better one; the best weights are kept."""
    conflict_batches: int = Field(0, ge=0)
    """At every evaluation: how many training batches are asked whether the objectives' gradients go against each other
    (a backward pass per objective and batch)."""
    validation_exposures: int = Field(200_000, ge=1)
    """About how many exposures of the validation window (those of whole users, drawn by seed) are used."""
    next_item: NextItemTraining = NextItemTraining()
    checkpoint_minutes: float = Field(5.0, gt=0)
    """A checkpoint is written this often, and at every evaluation."""
    checkpoint_steps: int | None = Field(None, ge=1)
    """And every so many steps, if set."""
    log_steps: int = Field(20, ge=1)
    """A line of `log.jsonl` every so many steps."""
    tensorboard: bool = True
    """Write curves for TensorBoard under the run's `tensorboard/`."""
    bf16: bool = False
    """Compute in bfloat16 where PyTorch thinks it safe; worth it on hardware with bfloat16 arithmetic only."""
    threads: int | None = Field(None, ge=1)
    """Threads of PyTorch; None leaves its default. Results are equal to the bit for equal numbers of threads."""
