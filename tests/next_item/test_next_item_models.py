"""Next-item models: what reaches a state, what may not, and the rank of a target by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from next_item_worlds import BY_HAND, cycling_log, sequences

from plait.models.config import NextItemConfig
from plait.models.next_item import EventBatch, NextItemModel
from plait.models.words import item_words
from plait.schema import Split
from plait.training import NextItemTask, TrainingConfig, target_ranks
from plait.training.config import NextItemTraining
from plait.training.next_item import judge_targets, users_learnt_from

SMALL = {"width": 8, "heads": 2, "head_width": 4, "hidden": 8, "blocks": 2, "max_events": 6}
VARIANTS = [
    {"encoder": "hstu"},
    {"encoder": "hstu", "time_bias": False},
    {"encoder": "hstu", "request_time": True, "actions": True},
    {"encoder": "sasrec", "actions": True},
]


class Echo(torch.nn.Module):
    """Says that what comes next is what came last, or the item nearest to it on a half circle."""

    config = NextItemConfig(max_events=3)

    def forward(self, batch: EventBatch):
        angle_V = torch.tensor([0.0, 0.3, 0.9, 1.8])
        item_VD = torch.stack([angle_V.cos(), angle_V.sin()], dim=1)
        return item_VD[batch.item_N], item_VD


def test_ranks_by_hand(tmp_path):
    """Items a, b, c, d at angles 0, .3, .9, 1.8; seen items are out, the target never is.

    Test: ann after a b c: d is all that is left: 1. bob after c a b: d: 1. carol after c a: b comes before d: 2. erin
    after a b: a was seen and stays; from b it lies at .3, c at .6, d at 1.5: 1.
    Validation: ann after a b: c before d: 1. bob after c a: b: 1. carol after c: b at .6, then a and d at .9: a tie,
    which counts against the target: 3. erin after a: b: 1.
    """
    found = sequences(tmp_path, BY_HAND)
    ranks = {
        split: target_ranks(found, Echo(), found.cases("validation", split)) for split in (Split.TEST, Split.VALID)
    }
    assert ranks[Split.TEST].tolist() == [1, 1, 2, 1]
    assert ranks[Split.VALID].tolist()[:2] + ranks[Split.VALID].tolist()[3:] == [1, 1, 1]
    assert ranks[Split.VALID][2] in (2, 3)  # the tie is one of rounded sines


def built(found, **options) -> NextItemModel:
    torch.manual_seed(0)
    words = item_words(found.items) if options.get("item_text") else None
    return NextItemModel(NextItemConfig(**SMALL, **options), len(found.items), found.actions, words).eval()


def states(model, found, case):
    """The scores of every item for one case."""
    from plait.training.next_item import _events

    begin = np.array([max(case[0], case[1] - model.config.max_events)])
    events, _ = _events(found, begin, np.array([case[1]]))
    state_ND, item_VD = model(events)
    return state_ND[-1] @ item_VD.T


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_target_reaches_no_score_but_its_time_may(variant, tmp_path):
    """Altering the target's item, action and everything after it moves nothing; its time only with request_time."""
    found = sequences(tmp_path, cycling_log())
    cases = found.cases("validation", Split.VALID)
    start, target = int(cases.start_U[3]), int(cases.target_U[3])
    model = built(found, **variant)
    before = states(model, found, (start, target))

    other = replace(found, item_N=found.item_N.copy(), action_N=found.action_N.copy(), time_N=found.time_N.copy())
    other.item_N[target:] = (other.item_N[target:] + 1) % len(found.items)
    other.action_N[target:] = (other.action_N[target:] + 1) % found.actions
    assert torch.equal(states(model, other, (start, target)), before)
    other.time_N[target:] += 400 * 86_400_000
    moved = not torch.equal(states(model, other, (start, target)), before)
    assert moved == variant.get("request_time", False)
    other.item_N[target - 1] = (other.item_N[target - 1] + 1) % len(found.items)
    assert not torch.equal(states(model, other, (start, target)), before), "this test could not fail"


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_windows_hold_nothing_that_is_held_out(variant, tmp_path):
    """No batch of an epoch shows or asks for a validation or test item, whatever the window."""
    found = sequences(tmp_path, cycling_log())
    held_out = {
        int(place) for split in (Split.VALID, Split.TEST) for place in found.cases("validation", split).target_U
    }
    spoilt = replace(found, item_N=found.item_N.copy())
    spoilt.item_N[sorted(held_out)] = 10_000  # would not even have a vector
    for window in ("last", "any"):
        config = TrainingConfig(batch_size=8, next_item=NextItemTraining(window=window))
        task = NextItemTask(spoilt, built(found, **variant), config)
        tokens = 0
        for batch, count in task.batches(0, 0):
            assert batch.events.item_N.max() < 10_000
            assert batch.target_N.max() < 10_000
            assert torch.diff(batch.events.offsets_U1).max() <= SMALL["max_events"]
            tokens += count
        expected = np.minimum(np.maximum(np.diff(found.offsets_U1) - 3, 0), SMALL["max_events"]).sum()
        assert tokens == expected


def test_windows_and_their_targets(tmp_path):
    """Seven events, the last two held out, windows of two inputs: 'last' takes b c -> c d, 'any' two in three ways."""
    rows = [("ann", item, day, 5) for day, item in enumerate("abcdefg")]
    found = sequences(tmp_path, rows)
    model = NextItemModel(NextItemConfig(**{**SMALL, "max_events": 2}), len(found.items), found.actions)
    task = NextItemTask(found, model, TrainingConfig())
    ((batch, count),) = task.batches(0, 0)
    assert (batch.events.item_N.tolist(), batch.target_N.tolist(), count) == ([2, 3], [3, 4], 2)
    assert batch.events.request_time_U.tolist() == [4 * 86_400_000]
    anywhere = NextItemTask(found, model, TrainingConfig(next_item=NextItemTraining(window="any")))
    seen = {tuple(next(anywhere.batches(epoch, 0))[0].target_N.tolist()) for epoch in range(60)}
    assert seen == {(1, 2), (2, 3), (3, 4)}


def test_words_of_items(tmp_path):
    """'the' and 'show' are shared by all; a word of one item says no more than its id."""
    found = sequences(tmp_path, BY_HAND)
    words = item_words(found.items)
    assert words.size == 2
    assert words.offsets_V.tolist() == [0, 2, 4, 6]
    assert words.word_M.tolist() == [0, 1] * 4
    model = built(found, item_text=True)
    _, item_VD = model(_one_event())
    bag_D = model.words.bag.weight.mean(0)
    expected_VD = torch.nn.functional.normalize(model.item.weight + bag_D, dim=1)
    torch.testing.assert_close(item_VD, expected_VD)


def _one_event() -> EventBatch:
    zero = torch.zeros(1, dtype=torch.long)
    return EventBatch(torch.tensor([0, 1]), zero, zero, zero, zero)


def test_log_loss_by_hand(tmp_path):
    """Carol's test item d lies at 1.8, after a at 0: softmax of cos(angle) / T over angles 0, .3, .9, 1.8, T = .05."""
    found = sequences(tmp_path, BY_HAND)
    cases = found.cases("validation", Split.TEST)
    judged = judge_targets(found, Echo(), cases)
    carol = cases.user_U.tolist().index(found.users.to_series().to_list().index("carol"))
    scores = np.exp(np.cos([0.0, 0.3, 0.9, 1.8]) / 0.05)
    assert judged.logloss_U[carol] == pytest.approx(-np.log(scores[3] / scores.sum()), rel=1e-5)
    assert judged.rank_U.tolist() == target_ranks(found, Echo(), cases).tolist()


def test_a_share_of_users_is_learnt_from(tmp_path):
    """Of 40 users a quarter: 10, the same at every call; smaller shares are parts of larger ones."""
    found = sequences(tmp_path, cycling_log(users=40))
    drawn = {}
    for share in (0.25, 0.5, 1.0):
        config = TrainingConfig(batch_size=4, share=share)
        drawn[share] = set(users_learnt_from(found, config).tolist())
        task = NextItemTask(found, built(found), config)
        assert sum(len(batch.events.offsets_U1) - 1 for batch, _ in task.batches(0, 0)) == len(drawn[share])
    assert [len(users) for users in drawn.values()] == [10, 20, 40]
    assert drawn[0.25] < drawn[0.5]
    assert task.steps_per_epoch == 10
