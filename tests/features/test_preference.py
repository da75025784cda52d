"""Preferences for creatives: by hand, against plain loops, and never from what comes at or after the exposure."""

from dataclasses import replace

import numpy as np
import pytest

from plait.features.dataset import EncodedDataset
from plait.features.online import OnlineFeatures
from plait.features.preference import (
    NEVER,
    WINDOW,
    Answer,
    CreativePreference,
    PreferencePriors,
    Shown,
    fit_priors,
    stops,
)
from plait.pipelines.creative_groups import preference_group

DAY = 86_400_000
ANSWER = Answer("click", DAY)
NAMES = ["color", "tone"]


def shown_of(creatives, times, answered, scenarios=None) -> Shown:
    size = len(creatives)
    scenarios = np.zeros(size, np.int32) if scenarios is None else np.array(scenarios, np.int32)
    return Shown(
        np.ones(size, np.int32),
        np.array(creatives, np.int32),
        scenarios,
        np.array(times, np.int64),
        np.array(answered, np.int64),
    )


def priors_of(*, rates=(0.5,), lifts=((1.0, 1.0, 1.0),), strengths=(2.0,), strength=1.0, half_life=DAY):
    names = [{"name": f"preference.{place}", "mean": 0.0, "std": 1.0} for place in range(len(lifts) + 1)]
    return PreferencePriors(half_life, list(rates), [list(each) for each in lifts], list(strengths), strength, names)


def test_by_hand():
    """Red (1) shown a day and two days ago, answered both times but the later answer is not in yet; blue (2) just now.

    Weights 1/2, 1/4 and 1. P = 0.5 (1/2 + 1/4 + 1) = 7/8, K = 1/4, so f = (1/4 + 1) / (7/8 + 1) = 2/3. For red P is
    3/8 and K is 1/4, so E = 2/3 * 3/8 = 1/4 and the number log((1/4 + 2) / (1/4 + 2)) = 0. For blue P is 1/2 and K is
    0: E = 1/3, log(2 / (2 + 1/3)). With q = 2 for red, E = 1/2: log(9/4 / (5/2)).
    """
    now = 10 * DAY
    codes_RA = np.array([[0], [1], [2]], np.int32)
    shown = shown_of([1, 1, 2], [now - 2 * DAY, now - DAY, now], [now - DAY, now + 1, NEVER])
    one = (np.array([0]), np.array([3]), np.array([now + 0]))
    made = CreativePreference(codes_RA, priors_of(), ANSWER)
    red, blue, unknown = made.raw(shown, *one, codes_RA[[1, 2, 0]])
    assert red == pytest.approx([0.0, 0.0])
    assert blue == pytest.approx([np.log(6 / 7)] * 2)
    assert unknown == pytest.approx([0.0, 0.0])
    twice = CreativePreference(codes_RA, priors_of(lifts=((1.0, 2.0, 1.0),)), ANSWER)
    assert twice.raw(shown, *one, codes_RA[[1]])[0] == pytest.approx([np.log(0.9)] * 2)
    nothing = np.array([0]), np.array([0]), np.array([now])
    assert made.raw(shown, *nothing, codes_RA[[1, 2]]).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def random_world(seed, users=30, per_user=40, creatives=12):
    """Exposures of some users, sorted; some at one moment; about a third answered, some of it very late."""
    rng = np.random.default_rng(seed)
    size = users * per_user
    user_N = np.repeat(np.arange(1, users + 1), per_user)
    time_N = np.sort(rng.integers(0, 25, (users, per_user)), axis=1).ravel() * (DAY // 2)
    answered_N = np.where(rng.random(size) < 0.35, time_N + rng.integers(0, 3 * DAY, size), NEVER)
    codes_RA = rng.integers(0, 4, (creatives + 1, 2)).astype(np.int32)
    codes_RA[0] = 0
    shown = shown_of(rng.integers(0, creatives + 1, size), time_N, answered_N, rng.integers(0, 3, size))
    return user_N, shown, codes_RA


def by_loops(made, user_N, shown, codes_BA, row):
    """The formula of the module, read aloud."""
    priors, time = made.priors, shown.time_N[row]
    past = [n for n in range(len(user_N)) if user_N[n] == user_N[row] and shown.time_N[n] < time][-WINDOW:]
    weight = {n: 2.0 ** (-(time - shown.time_N[n]) / priors.half_life) for n in past}
    expected = {n: weight[n] * priors.rates_S[shown.scenario_N[n]] for n in past}
    answered = {n: weight[n] if shown.answered_N[n] < time else 0.0 for n in past}
    ready = (sum(answered.values()) + priors.strength) / (sum(expected.values()) + priors.strength)
    found = []
    for place, code in enumerate(codes_BA):
        same = [n for n in past if code > 0 and made.codes_RA[shown.creative_N[n], place] == code]
        lift, strength = priors.lifts_AV[place][code], priors.strengths_A[place]
        observed = sum(answered[n] for n in same) + strength
        found.append(np.log(observed / (ready * lift * sum(expected[n] for n in same) + strength)))
    return [*found, sum(found)]


def fitted(user_N, shown, codes_RA, train_N):
    return fit_priors(codes_RA, shown, user_N, train_N, scenarios=3, half_life=4 * DAY, names=NAMES)


def test_all_at_once_is_as_one_by_one():
    user_N, shown, codes_RA = random_world(1)
    made = CreativePreference(codes_RA, fitted(user_N, shown, codes_RA, np.ones(len(shown), np.bool_)), ANSWER)
    own = replace(made.priors, strengths_A=[3.0, 0.5])
    made = CreativePreference(codes_RA, own, ANSWER)
    start_N, stop_N = stops(user_N, shown.time_N)
    codes_NA = codes_RA[shown.creative_N]
    raw_NG = made.raw(shown, start_N, stop_N, shown.time_N, codes_NA)
    assert np.abs(raw_NG).max() > 0.3
    for row in range(0, len(shown), 17):
        assert raw_NG[row] == pytest.approx(by_loops(made, user_N, shown, codes_NA[row], row), abs=1e-12)


def test_candidates_of_a_request_share_a_window():
    user_N, shown, codes_RA = random_world(2)
    made = CreativePreference(codes_RA, fitted(user_N, shown, codes_RA, np.ones(len(shown), np.bool_)), ANSWER)
    start_N, stop_N = stops(user_N, shown.time_N)
    everyone = np.arange(len(codes_RA))
    for row in range(7, len(shown), 101):
        own = shown.take(slice(start_N[row], stop_N[row]))
        one = made.at(own, np.array([0]), np.array([len(own)]), shown.time_N[[row]], everyone)
        many = np.full(len(everyone), row)
        each = made.at(shown, start_N[many], stop_N[many], shown.time_N[many], everyone)
        np.testing.assert_allclose(one, each, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_at_or_after_an_exposure_reaches_its_numbers(seed):
    """The law of the samples: every later exposure, and every answer that arrives from then on, may be another."""
    rng = np.random.default_rng(seed)
    user_N, shown, codes_RA = random_world(seed + 10)
    made = CreativePreference(codes_RA, fitted(user_N, shown, codes_RA, np.ones(len(shown), np.bool_)), ANSWER)
    start_N, stop_N = stops(user_N, shown.time_N)
    rows = rng.choice(len(shown), 60)
    codes = codes_RA[shown.creative_N[rows]]
    before = made.raw(shown, start_N[rows], stop_N[rows], shown.time_N[rows], codes)
    for place, row in enumerate(rows):
        now = shown.time_N[row]
        later = shown.time_N >= now
        creative, scenario = (
            np.where(later, rng.permutation(each), each) for each in (shown.creative_N, shown.scenario_N)
        )
        unknown = shown.answered_N >= now
        answered = np.where(
            unknown, np.where(rng.random(len(shown)) < 0.5, NEVER, now + rng.integers(0, 9)), shown.answered_N
        )
        answered = np.where(later, rng.integers(0, 99, len(shown)) * DAY, answered)
        time = np.where(later, now + rng.integers(0, DAY, len(shown)), shown.time_N)
        altered = Shown(shown.item_N, creative, scenario, time, answered)
        again = made.raw(altered, start_N[[row]], stop_N[[row]], np.array([now]), codes[[place]])
        np.testing.assert_allclose(again[0], before[place], atol=1e-12)


def drawn_answers(spread, *, users=1500, per_user=80, seed=3):
    """Users whose readiness for each of four colours is gamma, of mean 1 and variance `spread`."""
    rng = np.random.default_rng(seed)
    codes_RA = np.array([[0, 0], *([color, tone] for color in range(1, 5) for tone in range(1, 4))], np.int32)
    user_N = np.repeat(np.arange(1, users + 1), per_user)
    creative_N = rng.integers(1, len(codes_RA), len(user_N)).astype(np.int32)
    taste_UV = rng.gamma(1 / spread, spread, (users + 1, 5)) if spread else np.ones((users + 1, 5))
    ready_U = rng.gamma(4.0, 0.25, users + 1)
    rate_N = 0.12 * ready_U[user_N] * taste_UV[user_N, codes_RA[creative_N, 0]]
    time_N = np.tile(np.arange(per_user), users) * DAY
    answered_N = np.where(rng.random(len(user_N)) < rate_N, time_N + 1, NEVER)
    return user_N, shown_of(creative_N, time_N, answered_N), codes_RA


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_the_strength_of_a_prior_is_what_users_differ_by(spread):
    user_N, shown, codes_RA = drawn_answers(spread)
    priors = fit_priors(
        codes_RA, shown, user_N, np.ones(len(shown), np.bool_), scenarios=1, half_life=1e15, names=NAMES
    )
    color, tone = (1 / strength for strength in priors.strengths_A)
    assert color == pytest.approx(spread, abs=0.06)
    assert tone < 0.04
    assert 1 / priors.strength == pytest.approx(0.25, abs=0.12)


def small_group(dataset):
    rng = np.random.default_rng(5)
    codes_RA = rng.integers(0, 4, (len(dataset.tables.creatives), 2)).astype(np.int32)
    codes_RA[0] = 0
    rows = np.arange(len(dataset))
    clicked = dataset.labels(rows)[:, 0] > 0
    answered = np.where(clicked, dataset.times(rows) + rng.integers(0, 2 * DAY, len(rows)), NEVER)
    return preference_group(dataset, codes_RA, NAMES, answered, ANSWER, half_life=5 * DAY)


@pytest.fixture(scope="module")
def opened(dataset, encoded_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preference")
    small_group(dataset).save(folder)
    return EncodedDataset.open(encoded_folder, [folder]), OnlineFeatures.open(encoded_folder, groups=[folder])


def test_a_request_has_the_numbers_of_training(opened):
    dataset, online = opened
    columns = list(dataset.spec.number_columns("preference"))
    assert [dataset.spec.numbers[column].name for column in columns] == [
        "preference.color",
        "preference.tone",
        "preference.all",
    ]
    trained = dataset.impression_batch(np.arange(len(dataset)), 5).numeric_BG[:, columns]
    assert (np.abs(trained) > 0.1).mean() > 0.3
    for row in range(0, len(dataset), 13):
        user, time = int(dataset.arrays.user_E[row]), int(dataset.arrays.time_E[row])
        shown = dataset.shown(dataset.exposures_before(user, time, WINDOW))
        items, creatives = (np.array([array[row]]) for array in (dataset.arrays.item_E, dataset.arrays.creative_E))
        context = online.encode_context(dataset.spec.scenarios[0], time)
        history = dataset.history(user, int(dataset.arrays.before_E[row]))
        asked = online.batch(user, items, creatives, history, context, shown=shown)
        np.testing.assert_allclose(asked.numeric_BG[0, columns], trained[row], atol=1e-5)
        others = np.arange(1, 4)
        first = online.batch(user, items.repeat(3), creatives.repeat(3), history, context, shown=shown)
        again = online.with_creatives(first, np.arange(3), others, shown)
        whole = online.batch(user, items.repeat(3), others, history, context, shown=shown)
        np.testing.assert_allclose(again.numeric_BG, whole.numeric_BG, atol=1e-6)


def test_whoever_was_shown_nothing_has_the_mean_of_nobody(opened):
    """Raw numbers are 0 without exposures; what the model sees is where that lies on the numbers' scale."""
    dataset, online = opened
    context = online.encode_context(dataset.spec.scenarios[0], int(dataset.arrays.time_E.max()))
    batch = online.batch(0, np.array([1]), np.array([1]), dataset.history(1, 0), context)
    columns = list(dataset.spec.number_columns("preference"))
    expected = [-dataset.spec.numbers[column].mean / dataset.spec.numbers[column].std for column in columns]
    np.testing.assert_allclose(batch.numeric_BG[0, columns], expected, atol=1e-6)
