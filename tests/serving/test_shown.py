"""Preferences online: exposures and answers that arrive over HTTP give the numbers of a batch recomputation."""

import dataclasses

import numpy as np
import pytest
from serving_world import CUT_MS, DAY_MS, add_model
from test_parity import ask_for, compare, logged_exposures, serve

from plait.features.dataset import EncodedDataset
from plait.features.groups import FeatureGroup
from plait.features.online import OnlineFeatures
from plait.features.preference import NEVER, Answer, Shown, stops
from plait.pipelines.creative_groups import preference_group
from plait.registry import Registry
from plait.serving.shown import with_arrived
from plait.serving.state import EXPOSURE, Behaviour

ANSWER = Answer("tap", 3 * DAY_MS)


def answered(dataset, until):
    """Clicked exposures are answered up to two days later; what comes at `until` or later is not known yet."""
    rows = np.arange(len(dataset))
    clicked = dataset.labels(rows)[:, 0] > 0
    at = np.where(clicked, dataset.times(rows) + 1 + (dataset.times(rows) % 7) * DAY_MS // 3, NEVER)
    return np.where(at < until, at, NEVER)


def group_of(dataset, answered_E, preference):
    """The group with priors fitted elsewhere: on the samples as a whole, so that both sides share them."""
    rows, arrays = np.arange(len(dataset)), dataset.arrays
    shown = Shown(arrays.item_E, arrays.creative_E, dataset.scenarios(rows), dataset.times(rows), answered_E)
    start, stop = stops(dataset.user_rows(rows), shown.time_N)
    numbers = preference.at(shown, start, stop, shown.time_N, arrays.creative_E)
    return FeatureGroup(
        "creative_preference",
        numbers=preference.numbers,
        preference=preference,
        answered_E=answered_E,
        preference_EG=numbers,
    )


@pytest.fixture(scope="module")
def tasteful(world, tmp_path_factory):
    """The world with preferences, and an untrained model that reads them."""
    root = tmp_path_factory.mktemp("tasteful")
    rng = np.random.default_rng(6)
    codes_RA = rng.integers(0, 4, (len(world.whole.tables.creatives), 2)).astype(np.int32)
    codes_RA[0] = 0
    made = preference_group(
        world.whole, codes_RA, ["color", "tone"], answered(world.whole, NEVER), ANSWER, half_life=9 * DAY_MS
    )
    weak = dataclasses.replace(made.preference.priors, strengths_A=[2.0, 0.5], strength=2.0)
    preference = dataclasses.replace(made.preference, priors=weak)
    group_of(world.whole, answered(world.whole, NEVER), preference).save(root / "whole")
    group_of(world.cut, answered(world.cut, CUT_MS), preference).save(root / "cut")
    encoded = world.cut_data.encoded
    whole = EncodedDataset.open(encoded.parent / "whole", [root / "whole"])
    cut = EncodedDataset.open(encoded, [root / "cut"])
    registry = Registry(root / "registry")
    add_model(registry, "dnn", whole, root / "dnn")
    data = dataclasses.replace(world.cut_data, groups=(root / "cut",))
    return dataclasses.replace(world, whole=whole, cut=cut, cut_data=data, registry=registry)


def test_requests_at_past_exposures_equal_training(tasteful, tmp_path):
    shown = logged_exposures(tasteful)
    shown = shown.filter((shown["time"] < CUT_MS) & shown["creative_id"].is_not_null())
    exposures = shown.sample(25, seed=1).rows(named=True)

    async def talk(client):
        for exposure in exposures:
            assert (await client.post("/v1/recommend", json=ask_for(exposure))).status_code == 200

    assert compare(tasteful, "dnn", serve(tasteful, "dnn", tmp_path, talk), exposures) == 25


def arrivals(tasteful):
    """What was shown from day 16 on, and every answer that came from then on, those to earlier exposures included."""
    times = dict(
        zip(tasteful.whole.exposure_ids(np.arange(len(tasteful.whole))), answered(tasteful.whole, NEVER), strict=True)
    )
    sent = []
    for row in logged_exposures(tasteful).rows(named=True):
        named = {name: row[name] for name in ("user_id", "item_id", "exposure_id", "scenario")}
        if row["time"] >= CUT_MS:
            creative = {} if row["creative_id"] is None else {"creative_id": row["creative_id"]}
            sent.append(named | creative | {"action": EXPOSURE, "time": row["time"], "received_time": row["time"]})
        at = int(times[row["exposure_id"]])
        if CUT_MS <= at < NEVER:
            sent.append(named | {"action": ANSWER.action, "time": row["time"] + 1, "received_time": at})
    return sent


def test_what_arrives_online_equals_a_batch_recomputation(tasteful, tmp_path):
    """In any order, in part twice. Answers also enter histories, which here they do not in the batch: only the
    preference numbers are compared."""
    random, sent = np.random.default_rng(2), arrivals(tasteful)
    sent = [sent[place] for place in random.permutation(len(sent))]
    shown = logged_exposures(tasteful)
    exposures = shown.filter((shown["time"] >= CUT_MS) & shown["creative_id"].is_not_null()).rows(named=True)[:40]

    async def talk(client):
        for start in range(0, len(sent), 50):
            body = {"behaviours": sent[start : start + 50] + sent[start : start + 2]}
            answer = (await client.post("/v1/behaviours", json=body)).json()
            assert answer["repeated"] == len(sent[start : start + 2])
        for exposure in exposures:
            assert (await client.post("/v1/recommend", json=ask_for(exposure))).status_code == 200

    records = serve(tasteful, "dnn", tmp_path, talk)
    columns = list(tasteful.whole.spec.number_columns("preference"))
    ids = tasteful.whole.exposure_ids(np.arange(len(tasteful.whole))).to_list()
    for record, exposure in zip(records, exposures, strict=True):
        pairs = list(zip(record["item_id"], record["creative_id"], strict=True))
        row = pairs.index((str(exposure["item_id"]), str(exposure["creative_id"])))
        found = np.array(record["numeric"]).reshape(len(pairs), -1)[row, columns]
        offline = tasteful.whole.impression_batch(np.array([ids.index(exposure["exposure_id"])]), 5)
        np.testing.assert_allclose(found, offline.numeric_BG[0, columns], atol=1e-5)
    moved = tasteful.cut.impression_batch(np.arange(50), 5).numeric_BG[:, columns]
    assert np.abs(moved).max() > 0.5


def test_exposures_are_in_no_history(tasteful, tmp_path):
    sent = [each for each in arrivals(tasteful) if each["action"] == EXPOSURE]
    user = sent[0]["user_id"]
    request = {"user_id": user, "scenario": "search", "k": 5, "time": CUT_MS + 20 * DAY_MS}

    async def talk(client):
        await client.post("/v1/recommend", json=request)
        await client.post("/v1/behaviours", json={"behaviours": sent})
        await client.post("/v1/recommend", json=request)

    first, second = serve(tasteful, "dnn", tmp_path, talk)
    assert first["history"] == second["history"] > 0
    assert first["numeric"] != second["numeric"]


def test_the_last_touch_is_answered(tasteful):
    """Without a name a click answers the latest exposure of its item before it; too late it answers none."""
    online = OnlineFeatures.open(tasteful.cut_data.encoded, groups=tasteful.cut_data.groups)
    touching = dataclasses.replace(online.preference, answer=Answer("tap", DAY_MS, last_touch=True))
    object.__setattr__(online.tables.answers, "preference", touching)
    t, scenario = CUT_MS, online.spec.scenarios[0]

    def shown(name, time, item):
        return Behaviour(time, time, item, EXPOSURE, scenario=scenario, exposure_id=name, creative_id=3)

    behaviours = [
        shown("a", t, 100),
        shown("b", t + 10, 100),
        shown("c", t + 20, 101),
        Behaviour(t + 99, t + 15, 100, "tap"),
        Behaviour(t + 2 * DAY_MS, t + 2 * DAY_MS, 101, "tap"),
        shown("late", t + 500, 100),
    ]
    nobody = tasteful.cut.exposures_before(0, t, 9)
    known = with_arrived(Shown.empty(), tasteful.cut.exposure_ids(nobody), behaviours, online, t + 300)
    assert known.time_N.tolist() == [t, t + 10, t + 20]
    assert known.answered_N.tolist() == [NEVER, t + 99, NEVER]
    assert known.creative_N.tolist() == [online.creative_row(3)] * 3
