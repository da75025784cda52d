"""Next-item models as a task: predict every event of a sequence from those before it, judged by a held-out event."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plait import seeding
from plait.data.item_sequences import Cases, ItemSequences
from plait.errors import TrainingError
from plait.evaluation import evaluate_ranking, ranks_from_scores
from plait.models.next_item import EventBatch, NextItemModel
from plait.nn.catalogue_softmax import full_softmax_loss, sampled_softmax_loss
from plait.schema import Split
from plait.telemetry import progress
from plait.training.config import TrainingConfig
from plait.training.warm_start import set_training_mode

VALIDATION_CUTS = (10, 50)
_METRICS = [*(f"{name}@{k}" for name in ("hr", "ndcg") for k in VALIDATION_CUTS), "mrr", "logloss"]
_RANKED_TOGETHER = 256
"""Users whose scores over the catalogue are held at once."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """Events, and the item that came after each."""

    events: EventBatch
    target_N: Tensor


class NextItemTask:
    """A next-item model and item sequences.

    An epoch takes one window of every user's training events: the last `max_events + 1`, or, with `window = "any"`, as
    many from a place drawn anew each epoch.

    Args:
        sequences: what users did.
        model: what is trained.
        config: how to train.

    Raises:
        TrainingError: no user has two events to learn from.
    """

    def __init__(self, sequences: ItemSequences, model: NextItemModel, config: TrainingConfig) -> None:
        self.model = model
        self._sequences, self._config = sequences, config
        self._length_U = sequences.training_lengths(config.next_item.protocol)
        self._user_U = users_learnt_from(sequences, config)
        if not len(self._user_U):
            raise TrainingError(
                f"of {len(self._length_U)} users none has two events before what is held out; nothing to learn from"
            )
        self.steps_per_epoch = steps_per_epoch(sequences, config)

    def prepare(self) -> None:
        """Nothing: weights begin as they were drawn."""

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Transitions, int]]:
        """Users in random order, `batch_size` at a time."""
        random = seeding.generator(self._config.seed, "next item", epoch)
        order_U = random.permutation(self._user_U)
        share_U = random.random(len(order_U))
        for step in range(first, self.steps_per_epoch):
            here = slice(step * self._config.batch_size, (step + 1) * self._config.batch_size)
            batch = self._window(order_U[here], share_U[here])
            yield batch, len(batch.target_N)

    def loss(self, batch: Transitions) -> Tensor:
        """Softmax loss over the catalogue, against drawn negatives or all of it."""
        state_ND, item_VD = self.model(batch.events)
        settings, temperature = self._config.next_item, self.model.config.temperature
        state_ND, item_VD = state_ND.float(), item_VD.float()
        if settings.loss == "full":
            return full_softmax_loss(state_ND, item_VD, batch.target_N, temperature)
        shape = (len(state_ND), settings.negatives)
        negative_NM = torch.randint(len(item_VD), shape, dtype=torch.int32)
        return sampled_softmax_loss(state_ND, item_VD, batch.target_N, negative_NM, temperature)

    def validate(self) -> dict[str, float]:
        """HR, NDCG and log-loss of the validation items of all users; NaN under a protocol that has none."""
        cases = self._sequences.cases(self._config.next_item.protocol, Split.VALID)
        if not len(cases):
            return dict.fromkeys(_METRICS, float("nan"))
        found = judge_targets(self._sequences, self.model, cases, label="validate")
        ranking = evaluate_ranking(found.rank_U, cases.user_U, VALIDATION_CUTS, bootstrap=0)
        metrics = {name: estimate.value for name, estimate in ranking.metrics.items()}
        return metrics | {"logloss": float(found.logloss_U.mean())}

    def _window(self, user_U: NDArray[np.int64], share_U: NDArray[np.float64]) -> Transitions:
        """Inputs and targets of some users; `share_U` (0 to 1) places a window that may lie anywhere."""
        first_U = self._sequences.offsets_U1[user_U]
        room_U = np.maximum(self._length_U[user_U] - (self.model.config.max_events + 1), 0)
        if self._config.next_item.window == "any":
            begin_U = first_U + (share_U * (room_U + 1)).astype(np.int64)
            end_U = begin_U + self._length_U[user_U] - room_U
        else:
            begin_U, end_U = first_U + room_U, first_U + self._length_U[user_U]
        events, place_N = _events(self._sequences, begin_U, end_U - 1)
        return Transitions(events, torch.from_numpy(self._sequences.item_N[place_N + 1]).long())


def users_learnt_from(sequences: ItemSequences, config: TrainingConfig) -> NDArray[np.int64]:
    """Users with something to learn from, in order: all of them, or the share that the settings draw."""
    user_U = np.flatnonzero(sequences.training_lengths(config.next_item.protocol) > 1)
    if config.share == 1.0:
        return user_U
    order_U = seeding.generator(config.seed, "users learnt from").permutation(len(user_U))
    return np.sort(user_U[order_U[: math.ceil(config.share * len(user_U))]])


def steps_per_epoch(sequences: ItemSequences, config: TrainingConfig) -> int:
    """Batches of users who have something to learn from."""
    return -(-len(users_learnt_from(sequences, config)) // config.batch_size)


@dataclass(frozen=True, slots=True)
class JudgedTargets:
    """What a model says of the target of every case."""

    rank_U: NDArray[np.float64]
    """In the whole catalogue, from 1, items seen before the target removed."""
    logloss_U: NDArray[np.float64]
    """Softmax loss in the whole catalogue, nothing removed."""


def target_ranks(
    sequences: ItemSequences, model: NextItemModel, cases: Cases, *, label: str = "rank"
) -> NDArray[np.float64]:
    """The ranks of `judge_targets`."""
    return judge_targets(sequences, model, cases, label=label).rank_U


def judge_targets(
    sequences: ItemSequences, model: NextItemModel, cases: Cases, *, label: str = "rank"
) -> JudgedTargets:
    """Rank and log-loss of every case's target.

    The model sees the last `max_events` events before the target, and, where it asks for it, the target's time as the
    time of the request. A target that was seen before stays in the catalogue. Ties count against the model.

    Args:
        sequences: what users did.
        model: what ranks; it is put in evaluation mode and back.
        cases: whose next item.
        label: of the progress bar.
    """
    found = JudgedTargets(np.empty(len(cases)), np.empty(len(cases)))
    order_U = np.argsort(cases.target_U - cases.start_U, kind="stable")
    was_training = model.training
    model.eval()
    with torch.inference_mode(), progress(label, len(cases)) as advance:
        for start in range(0, len(order_U), _RANKED_TOGETHER):
            here_U = order_U[start : start + _RANKED_TOGETHER]
            here = _judge(sequences, model, cases.start_U[here_U], cases.target_U[here_U])
            found.rank_U[here_U], found.logloss_U[here_U] = here.rank_U, here.logloss_U
            advance(len(here_U))
    if was_training:
        set_training_mode(model)
    return found


def _judge(
    sequences: ItemSequences, model: NextItemModel, start_U: NDArray[np.int64], target_U: NDArray[np.int64]
) -> JudgedTargets:
    begin_U = np.maximum(start_U, target_U - model.config.max_events)
    events, _ = _events(sequences, begin_U, target_U)
    state_ND, item_VD = model(events)
    score_UV = (state_ND[events.offsets_U1[1:] - 1] @ item_VD.T).numpy()
    user_U, item_U = np.arange(len(target_U)), sequences.item_N[target_U]
    logit_UV = torch.from_numpy(score_UV) / model.config.temperature
    logloss_U = functional.cross_entropy(logit_UV, torch.from_numpy(item_U).long(), reduction="none")
    target_score_U = score_UV[user_U, item_U]
    seen_N = _places(start_U, target_U)
    score_UV[np.repeat(user_U, target_U - start_U), sequences.item_N[seen_N]] = -np.inf
    score_UV[user_U, item_U] = -np.inf
    return JudgedTargets(ranks_from_scores(target_score_U, score_UV), logloss_U.double().numpy())


def _events(
    sequences: ItemSequences, begin_U: NDArray[np.int64], end_U: NDArray[np.int64]
) -> tuple[EventBatch, NDArray[np.int64]]:
    """The events `begin_U[u]:end_U[u]` of each user, asked for what comes at `end_U[u]`; and where they stand."""
    place_N = _places(begin_U, end_U)
    batch = EventBatch(
        offsets_U1=torch.from_numpy(np.concatenate([[0], np.cumsum(end_U - begin_U)])),
        item_N=torch.from_numpy(sequences.item_N[place_N]).long(),
        action_N=torch.from_numpy(sequences.action_N[place_N]).long(),
        time_N=torch.from_numpy(sequences.time_N[place_N]),
        request_time_U=torch.from_numpy(sequences.time_N[end_U]),
    )
    return batch, place_N


def _places(begin_U: NDArray[np.int64], end_U: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every place from `begin_U[u]` up to `end_U[u]`, user by user."""
    length_U = end_U - begin_U
    before_U = np.cumsum(length_U) - length_U
    return np.asarray(np.arange(length_U.sum()) + np.repeat(begin_U - before_U, length_U))
