"""A split ranker has the logits of the whole, in memory and from disk, and a user's state in steps is the batch's."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from plait.errors import ArtifactError
from plait.features.batch import FeatureBatch
from plait.features.history import History
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import ExpertsConfig, parse_model
from plait.models.ranker import SplitRanker
from plait.models.split import load_head, load_tower, save_split
from plait.nn.jagged import pass_start, share_passes
from plait.testing.batches import random_batch, random_item_fields, small_spec

SPEC = small_spec()
ITEM_FIELDS = random_item_fields(SPEC)
LIMIT = 16
CONFIG = parse_model(
    {
        "family": "hstu",
        "attention": {"events": 5, "hidden": 8},
        "hidden": [16],
        "cross_rank": 4,
        "sequence": {"width": 8, "heads": 2, "blocks": 3, "max_events": LIMIT},
        "memory": {"events": 12, "channels": 3},
    },
    "test",
)
EXPERTS = ExpertsConfig(shared=2, own=1, hidden=[8, 4], routing="softmax", scenario_gates=True, scenario="pepnet")
WITH_EXPERTS = CONFIG.model_copy(update={"experts": EXPERTS, "entire_space": True})


def ranker(config=CONFIG):
    torch.manual_seed(1)
    model = build_model(config, SPEC, ITEM_FIELDS).eval().requires_grad_(requires_grad=False)
    for name, weight in model.named_parameters():
        weight.data.normal_(std=0.1 if "bias" in name else 0.3)
    return model


def whole_user(events, seed=5):
    """One user with at least `events` events, and 12 exposures after any of them."""
    features = random_batch(SPEC, ITEM_FIELDS, users=1, exposures_per_user=12, seed=seed, max_history=3 * events)
    assert len(features.history_time_N) >= events
    return features


def request(features, before):
    """The items as candidates of one request after `before` events: the batch, and the events of its pass."""
    shared = [*SPEC.columns("user"), *SPEC.columns("context")]
    lists = [*SPEC.multi_columns("user"), *SPEC.multi_columns("context")]
    codes_BF, numbers_BG, bag_BP = (
        array.copy() for array in (features.categorical_BF, features.numeric_BG, features.bag_BP)
    )
    codes_BF[:, shared] = codes_BF[0, shared]
    bag_BP[:, lists] = bag_BP[0, lists]
    numbers = [
        SPEC.numbers.index(number) for number in SPEC.numbers if number.name in ("activity", "history.events.1h")
    ]
    numbers_BG[:, numbers] = numbers_BG[0, numbers]
    events = history(features, before).last(before - pass_start(before, LIMIT))
    rows = len(features)
    last_ms = int(events.time_N[-1]) if len(events) else int(features.time_B[0])
    batch = dataclasses.replace(
        features,
        categorical_BF=codes_BF,
        numeric_BG=numbers_BG,
        bag_BP=bag_BP,
        before_B=np.full(rows, len(events)),
        time_B=np.full(rows, last_ms + 60_000),
        history_offsets_U1=np.array([0, len(events)]),
        history_item_N=events.item_N,
        history_action_N=events.action_N,
        history_scenario_N=events.scenario_N,
        history_time_N=events.time_N,
    )
    return Batch.from_features(batch), events


def history(features, before):
    return History(
        features.history_item_N[:before],
        features.history_action_N[:before],
        features.history_scenario_N[:before],
        features.history_time_N[:before],
    )


def test_a_user_followed_event_by_event_scores_as_the_whole_model_does():
    """Through three passes: at every event the split's logits are those of the whole model's forward."""
    model, features = ranker(), whole_user(40)
    assert isinstance(model, SplitRanker)
    tower, head = model.split()
    steps, begin = tower.steps(), head.for_requests()
    track = steps.begin()
    seen = set()
    for before in range(41):
        batch, events = request(features, before)
        assert tower.window(before) == len(events)
        track = steps.follow(track, events)
        expected_BT = model(batch)
        actual_BT = begin(steps.summary(track), batch)(batch)
        torch.testing.assert_close(actual_BT, expected_BT, rtol=1e-5, atol=1e-5)
        seen.add(pass_start(before, LIMIT))
    assert seen == {0, 8, 16, 24}
    assert expected_BT.std() > 0.1


@pytest.mark.parametrize("sizes", [[3, 9, 12, 16], [16], [1, 2, 30, 31, 40]])
def test_following_in_any_steps_gives_one_state(sizes):
    features = whole_user(40)
    steps = ranker().split()[0].steps()
    track = None
    for before in sizes:
        track = steps.follow(track, request(features, before)[1])
    alone = steps.follow(None, request(features, sizes[-1])[1])
    ours, theirs = steps.summary(track), steps.summary(alone)
    torch.testing.assert_close(ours.state_1D, theirs.state_1D, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.output_LD, theirs.output_LD, rtol=1e-5, atol=1e-5)


def test_a_late_event_among_known_ones_starts_anew():
    features = whole_user(16)
    tower, _ = ranker().split()
    steps = tower.steps()
    events = history(features, 12)
    without = History(
        *(np.delete(part, 5) for part in (events.item_N, events.action_N, events.scenario_N, events.time_N))
    )
    track = steps.follow(steps.follow(None, without), events)
    torch.testing.assert_close(
        steps.summary(track).output_LD, steps.summary(steps.follow(None, events)).output_LD, rtol=0, atol=1e-6
    )
    assert len(track.events) == 12


def test_what_follows_a_request_changes_nothing_of_it():
    """The law of the samples: the state of a request is the same whatever happens at or after it."""
    features = whole_user(16)
    steps = ranker().split()[0].steps()
    before = steps.summary(steps.follow(None, history(features, 10))).output_LD.clone()
    changed = dataclasses.replace(
        features,
        history_item_N=np.where(np.arange(len(features.history_item_N)) < 10, features.history_item_N, 1),
        history_time_N=np.where(np.arange(len(features.history_time_N)) < 10, features.history_time_N, 10**13),
    )
    track = steps.follow(None, history(changed, 14))
    torch.testing.assert_close(steps.summary(track).output_LD[:10], before, rtol=1e-5, atol=1e-6)


def test_sliding_on_is_another_result_and_following_never_goes_on_from_it():
    features = whole_user(40)
    steps = ranker().split()[0].steps()
    slid = steps.begin()
    for before in range(1, 31):
        steps.advance(slid, history(features, before).last(1))
    assert (len(slid.state), len(slid.events), slid.state.dropped) == (LIMIT, LIMIT, 30 - LIMIT)
    exact = steps.summary(steps.follow(None, history(features, 30).last(LIMIT))).state_1D
    assert (steps.summary(slid).state_1D - exact).abs().max() > 1e-4
    again = steps.summary(steps.follow(slid, history(features, 30).last(LIMIT))).state_1D
    torch.testing.assert_close(again, exact, rtol=0, atol=0)


@pytest.mark.parametrize("limit", [2, 3, 16, 17])
def test_the_start_of_a_pass_is_that_of_shared_passes(limit):
    before = torch.arange(80)
    passes = share_passes(torch.tensor([0, 80]), torch.zeros(80, dtype=torch.long), before, limit)
    assert [b - pass_start(b, limit) for b in range(80)] == passes.seen_B.tolist()


@pytest.mark.parametrize("config", [CONFIG, WITH_EXPERTS], ids=["mlp", "experts"])
def test_the_parts_load_without_each_other(tmp_path, config):
    model, features = ranker(config), whole_user(30)
    save_split(model, config, SPEC, tmp_path / "out", "hstu@3")
    (tmp_path / "elsewhere").mkdir()
    tower = load_tower((tmp_path / "out" / "tower").rename(tmp_path / "elsewhere" / "tower"))
    head = load_head(tmp_path / "out" / "head")
    steps, begin = tower.steps(), head.for_requests()
    for before in (0, 7, 29):
        batch, events = request(features, before)
        actual_BT = begin(steps.summary(steps.follow(None, events)), batch)(batch)
        torch.testing.assert_close(actual_BT, model(batch), rtol=1e-5, atol=1e-5)
    assert not any("user_state" in name or "encoder" in name for name in head.state_dict())
    assert not any("trunk" in name or "head" in name for name in tower.state_dict())
    manifest = json.loads((tmp_path / "elsewhere" / "tower" / "manifest.json").read_text())
    assert manifest["of"] == "hstu@3"


def test_damaged_or_swapped_parts_are_refused(tmp_path):
    save_split(ranker(), CONFIG, SPEC, tmp_path / "out", "hstu@3")
    with pytest.raises(ArtifactError, match="exists; choose"):
        save_split(ranker(), CONFIG, SPEC, tmp_path / "out", "hstu@3")
    with pytest.raises(ArtifactError, match="holds a head, expected a tower"):
        load_tower(tmp_path / "out" / "head")
    with pytest.raises(ArtifactError, match="is no exported head"):
        load_head(tmp_path)
    weights = tmp_path / "out" / "tower" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="not the file that was exported"):
        load_tower(tmp_path / "out" / "tower")


def test_rows_of_the_head_are_independent():
    features = whole_user(16)
    model = ranker()
    tower, head = model.split()
    steps = tower.steps()
    batch, events = request(features, 10)
    assert isinstance(features, FeatureBatch)
    logits = head.for_requests()(steps.summary(steps.follow(None, events)), batch)
    per_row = {field.name: getattr(batch, field.name)[3:5] for field in dataclasses.fields(batch) if "_B" in field.name}
    torch.testing.assert_close(logits(dataclasses.replace(batch, **per_row)), logits(batch)[3:5], rtol=1e-5, atol=1e-6)
