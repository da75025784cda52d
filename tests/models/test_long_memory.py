"""The long memory against its formula, one event at a time, in float64."""

import dataclasses
import datetime
import math

import numpy as np
import pytest
import torch

from plait.models.batch import Batch
from plait.models.config import MemoryConfig
from plait.models.memory import LongMemory
from plait.nn.week_clock import hour_of_day, weekday
from plait.testing.batches import random_batch, random_item_fields, small_spec

SPEC = small_spec()
ITEM_FIELDS = random_item_fields(SPEC)
EVENTS, CHANNELS = 12, 3


def memory() -> LongMemory:
    torch.manual_seed(0)
    module = LongMemory(MemoryConfig(events=EVENTS, channels=CHANNELS), SPEC, torch.from_numpy(ITEM_FIELDS))
    for weight in module.parameters():
        weight.data.normal_(std=0.05)
    return module.eval().requires_grad_(requires_grad=False)


def moment(milliseconds):
    return datetime.datetime.fromtimestamp(int(milliseconds) / 1000, datetime.UTC)


def weight(module, channel, time, event, batch):
    """e^(5 (hour + day + age + action + scenario)), cut at e^-15 and e^6."""
    asked, then = moment(time), moment(batch.history_time_N[event])
    bucket = math.floor(math.log(max(1.0, abs(time - int(batch.history_time_N[event])) / 1000)) / 0.301)
    log_weight = (
        module.hour[asked.hour * 24 + then.hour, channel]
        + module.day[(asked.weekday() - then.weekday()) % 7, channel]
        + module.age[bucket, channel]
        + module.action[batch.history_action_N[event], channel]
        + module.scenario[batch.history_scenario_N[event], channel]
    )
    return math.exp(min(6.0, max(-15.0, 5 * float(log_weight))))


def by_loops(module, features, row):
    """log(1 + total), log(1 + mass) by field and channel, then 1 + log of the share over log 100."""
    first = int(features.history_offsets_U1[features.user_B[row]])
    before = int(features.before_B[row])
    events = range(first + max(0, before - EVENTS), first + before)
    totals, masses = [], []
    for channel in range(CHANNELS):
        weights = {n: weight(module, channel, int(features.time_B[row]), n, features) for n in events}
        totals.append(sum(weights.values()))
        for place, column in enumerate(SPEC.item_columns):
            code = features.categorical_BF[row, column]
            same = [n for n in events if code and ITEM_FIELDS[features.history_item_N[n], place] == code]
            masses.append((place, sum(weights[n] for n in same), totals[-1]))
    masses.sort(key=lambda entry: entry[0])
    shares = [1 + math.log((mass + 0.1) / (total + 10.0)) / math.log(100.0) for _, mass, total in masses]
    return [*map(math.log1p, totals), *(math.log1p(mass) for _, mass, _ in masses), *shares]


@pytest.mark.parametrize(("users", "exposures"), [(3, 4), (1, 6), (5, 1)])
def test_mass_is_the_weight_of_the_events_with_the_candidates_code(users, exposures):
    module = memory()
    features = random_batch(SPEC, ITEM_FIELDS, users=users, exposures_per_user=exposures, seed=3, max_history=30)
    with torch.no_grad():
        found = module(Batch.from_features(features)).numpy()
    expected = [by_loops(module, features, row) for row in range(len(features))]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert found.shape == (users * exposures, module.width)


@pytest.mark.parametrize("row_each", [0, 100_000])
def test_a_request_sums_by_code(row_each, monkeypatch):
    """One request in two ways, with rows of all codes and of those that occur: as rows of a batch of many."""
    monkeypatch.setattr("plait.models.memory._ROW_EACH", row_each)
    module = memory()
    features = random_batch(SPEC, ITEM_FIELDS, users=2, exposures_per_user=5, seed=4, max_history=30)
    batch = Batch.from_features(features)
    with torch.no_grad():
        together = module(batch)
        for row in range(len(batch)):
            first = int(features.history_offsets_U1[features.user_B[row]])
            seen = slice(first, first + int(features.before_B[row]))
            names = features.__dataclass_fields__
            of_row = {name: getattr(features, name)[row : row + 1] for name in names if "_B" in name}
            of_user = {name: getattr(features, name)[seen] for name in names if name.startswith("history")}
            alone = dataclasses.replace(features, **(of_row | of_user))
            asked = Batch.from_features(alone)
            of_request = module.for_request(asked)
            by_field = of_request.of(asked).view(len(SPEC.item_columns), 2, CHANNELS).transpose(0, 1)
            found = torch.cat([of_request.total_1C[0], by_field.flatten()])
            torch.testing.assert_close(found, together[row], rtol=1e-5, atol=1e-5)


def test_week_clock():
    """2026-01-05 is a Monday; the epoch began on a Thursday."""
    times = torch.tensor([0, 1_767_571_200_000, 1_767_571_200_000 + 23 * 3_600_000])
    assert weekday(times).tolist() == [3, 0, 0]
    assert hour_of_day(times).tolist() == [0, 0, 23]
