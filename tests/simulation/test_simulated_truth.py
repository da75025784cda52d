"""What drives the simulated world: calibration, propensities, null switches, the item tables."""

from dataclasses import replace

import numpy as np
import pytest

from plait.errors import ConfigError
from plait.seeding import generator
from plait.simulation.behaviour import make_organic, make_sessions, shares
from plait.simulation.chunk import simulate_chunk
from plait.simulation.explain import rank_auc
from plait.simulation.objectives import OBJECTIVES, parent_indices
from plait.simulation.outcomes import (
    Truth,
    calibrate,
    conditional_probabilities,
    happen,
    marginal_probabilities,
)
from plait.simulation.parts import PARTS, linear_logits, part_weights, raw_parts
from plait.simulation.policy import make_requests, make_slates
from plait.simulation.scenarios import load_scenarios
from plait.simulation.sizes import Size, named_size, stream_size
from plait.simulation.strengths import Strengths
from plait.simulation.tables import ItemTable
from plait.simulation.taxonomy import load_taxonomy
from plait.simulation.users import Users
from plait.simulation.world import World, make_world

LATENT_OF_PART = {
    "interest": "interest",
    "profile": "affinity",
    "drift": "focus",
    "habit": "routine",
    "loyalty": "loyal",
    "text": "taste",
    "creative_taste": "look",
    "activity": "activity",
}
"""The users' latent behind each part that has one."""


def test_item_table_draws_in_proportion_to_weights() -> None:
    weights = np.array([[1.0, 3.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]])
    table = ItemTable.build(np.array([0, 1, 1, 0]), 2, weights)
    uniform = (np.arange(600) + 0.5) / 600
    day = np.zeros(600, dtype=np.int64)
    drawn = table.draw(day, day, uniform)  # group 0 on day 0: item 0 (weight 1) and item 3 (weight 2)
    assert np.bincount(drawn, minlength=4).tolist() == [200, 0, 0, 400]
    assert np.bincount(table.draw_any(day, uniform), minlength=4).tolist() == [100, 300, 0, 200]
    assert table.draw_any(day + 1, np.array([0.0, 0.49, 0.51, 0.99] * 150))[:4].tolist() == [1, 1, 2, 2]
    assert table.mass().tolist() == [[3.0, 3.0], [0.0, 2.0]]
    assert table.weight(np.array([0, 1]), np.array([3, 3])).tolist() == [2.0, 0.0]


def test_similarity_is_one_within_and_falls_with_distance() -> None:
    taxonomy = load_taxonomy()
    assert (np.diag(taxonomy.similarity) == 1).all()
    assert np.allclose(np.unique(taxonomy.similarity), [0.0, 0.12, 0.4, 1.0])
    assert 8 <= taxonomy.branch.max() + 1 <= 10


def test_marginals_multiply_down_the_funnel() -> None:
    conditional = np.full((1, len(OBJECTIVES)), 0.5)
    depth = []
    for parent in parent_indices():
        depth.append(1 if parent < 0 else depth[parent] + 1)
    assert np.allclose(marginal_probabilities(conditional)[0], 0.5 ** np.array(depth))


def test_nothing_happens_without_its_parent() -> None:
    conditional = np.ones((50, len(OBJECTIVES)))
    names = [entry.name for entry in OBJECTIVES]
    conditional[:, names.index("download")] = 0.0
    happened = happen(conditional, np.arange(50), np.random.default_rng(0))
    seen = {names[code] for code in np.unique(happened.objective)}
    assert seen == {"impression", "click", "detail", "favourite", "share", "dislike"}


@pytest.mark.parametrize("contrast", [1.0, 0.0])
def test_base_rates_are_met_in_every_scenario(contrast: float, small_size: Size) -> None:
    world = make_world(small_size, 11, Strengths(scenario_contrast=contrast))
    truth = calibrate(world)
    users = world.users(np.arange(600), "other")
    rng = generator(5, "rates-test")
    sessions = make_sessions(world, users, rng)
    requests = make_requests(world, users, sessions, sessions.events * 60_000, rng, rate=4.0)
    slates = make_slates(world, users, requests, rng)
    exposed = raw_parts(world, users, sessions, requests, slates)
    logits = linear_logits(world, users, exposed, truth.weights)
    conditional = conditional_probabilities(logits, exposed.scenario, truth)
    impression, click = (
        [entry.name for entry in OBJECTIVES].index(name) for name in ("impression", "click")
    )  # fmt: skip
    for number, scenario in enumerate(load_scenarios()):
        rows = exposed.scenario == number
        if rows.sum() < 2_000:
            continue
        seen = conditional[rows, impression]
        rate = (conditional[rows, click] * seen).sum() / seen.sum()
        assert abs(np.log(rate / scenario.click)) < 0.35, scenario.name


def test_what_happens_agrees_with_the_probabilities(small_world: World, small_truth: Truth) -> None:
    chunks = [simulate_chunk(small_world, small_truth, number) for number in range(small_world.chunks)]
    for objective, entry in enumerate(OBJECTIVES):
        expected = sum(marginal_probabilities(chunk.conditional)[:, objective].sum() for chunk in chunks)
        found = sum((chunk.happened.objective == objective).sum() for chunk in chunks)
        assert abs(found - expected) < 5 * np.sqrt(expected) + 5, entry.name


def test_propensities_invert_to_the_number_of_choices(small_world: World) -> None:
    """In the mean over draws, 1 / propensity at the first position is the number of items that could be shown."""
    users = small_world.users(np.arange(300), "propensity")
    rng = generator(3, "propensity-test")
    sessions = make_sessions(small_world, users, rng)
    requests = make_requests(small_world, users, sessions, sessions.events * 60_000, rng, rate=20.0)
    slates = make_slates(small_world, users, requests, rng)
    assert ((slates.propensity > 0) & (slates.propensity <= 1)).all()
    pools = np.array([scenario.kind for scenario in load_scenarios()])[requests.scenario[slates.request]]
    uniform = requests.random[slates.request]
    available = (small_world.items.launch_day[None, :] <= requests.day[slates.request][:, None]).sum(axis=1)
    everything = np.isin(pools, ["recommendation", "search"])
    expected = 1.0 / (available - slates.position)
    assert np.allclose(slates.propensity[uniform & everything], expected[uniform & everything])
    first = everything & ~uniform & (slates.position == 0)
    inverse = 1.0 / slates.propensity[first]
    spread = inverse.std() / np.sqrt(first.sum())
    assert abs(inverse.mean() - available[first].mean()) < 5 * spread
    assert inverse.mean() == pytest.approx(available[first].mean(), rel=0.2)


def test_weighting_the_policy_gives_what_the_random_slice_shows(small_world: World) -> None:
    """Mean quality at the first position: policy exposures weighted by uniform / propensity against uniform draws."""
    users = small_world.users(np.arange(300), "propensity")
    rng = generator(4, "propensity-test")
    sessions = make_sessions(small_world, users, rng)
    requests = make_requests(small_world, users, sessions, sessions.events * 60_000, rng, rate=20.0)
    slates = make_slates(small_world, users, requests, rng)
    kinds = np.array([scenario.kind for scenario in load_scenarios()])[requests.scenario[slates.request]]
    first = (slates.position == 0) & np.isin(kinds, ["recommendation"]) & ~requests.random[slates.request]
    available = small_world.items.launch_day[None, :] <= requests.day[slates.request[first]][:, None]
    weight = 1.0 / available.sum(axis=1) / slates.propensity[first]
    quality = small_world.items.quality[slates.item[first]]
    fair = float((available @ small_world.items.quality / available.sum(axis=1)).mean())
    estimate = weight * quality
    assert abs(estimate.mean() - fair) < 5 * estimate.std() / np.sqrt(first.sum())
    assert quality.mean() > fair + 0.1  # the policy itself prefers quality


def test_slates_repeat_nothing(small_world: World, small_truth: Truth) -> None:
    slates = simulate_chunk(small_world, small_truth, 0).slates
    pairs = np.stack([slates.request, slates.item])
    assert np.unique(pairs, axis=1).shape[1] == pairs.shape[1]


@pytest.mark.parametrize("part", sorted(LATENT_OF_PART))
def test_null_switch_removes_the_part(part: str, small_world: World, small_truth: Truth) -> None:
    """With a strength of 0, permuting the latent among users changes no probability; with 1 it does."""
    chunk = simulate_chunk(small_world, small_truth, 0)
    null = part_weights(small_world.strengths.without(part), small_world.seed)
    for weights, changes in ((small_truth.weights, True), (null, False)):
        before = _logits(small_world, chunk, chunk.users, weights)
        latent = getattr(chunk.users, LATENT_OF_PART[part])
        permuted = replace(chunk.users, **{LATENT_OF_PART[part]: latent[::-1].copy()})
        after = _logits(small_world, chunk, permuted, weights)
        assert (np.abs(after - before).max() > 0.1) == changes


@pytest.mark.parametrize("part", PARTS)
def test_null_switch_weighs_nothing(part: str) -> None:
    weights = part_weights(Strengths().without(part), 7)
    assert (weights[:, :, PARTS.index(part)] == 0).all()
    others = [name != part for name in PARTS]
    assert np.array_equal(weights[:, :, others], part_weights(Strengths(), 7)[:, :, others])


def test_without_contrast_scenarios_weigh_alike() -> None:
    weights = part_weights(Strengths().without("scenario_contrast"), 7)
    rest = [name != "position_bias" for name in PARTS]
    assert (weights[:, :, rest] == weights[:1, :, rest]).all()
    assert (part_weights(Strengths(), 7)[:, 1, 2] != weights[:, 1, 2]).any()


def test_null_switch_takes_the_traces_from_behaviours(small_size: Size) -> None:
    world = make_world(small_size, 11, Strengths().without("habit"))
    assert shares(world)[-1] == pytest.approx(shares(make_world(small_size, 11, Strengths()))[-1] - 0.25)
    with_habit, without = (
        _routine_share(strengths, small_size) for strengths in (Strengths(), Strengths().without("habit"))
    )
    assert with_habit > without + 0.2


def test_null_profile_and_null_text_leave_no_way_round(small_size: Size) -> None:
    """With its switch off, an ingredient may not come in through interests, tastes or quality either."""
    effects = make_world(small_size, 11, Strengths().without("profile")).effects
    assert not effects.middle.any()
    assert not effects.themes.any()
    assert not effects.looks.any()
    assert effects.wealth == 0
    worlds = [
        make_world(Size(**{**small_size.model_dump(), "items": 4_000}), 11, strengths)
        for strengths in (Strengths(), Strengths().without("text"))
    ]
    explained = []
    for world in worlds:
        themes, quality = world.items.themes.astype(float), world.items.quality.astype(float)
        centred = themes - themes.mean(axis=0)
        fit = centred @ np.linalg.lstsq(centred, quality - quality.mean(), rcond=None)[0]
        explained.append(fit.var() / quality.var())
    assert explained[0] > 0.03
    assert explained[1] < 0.01  # 12 columns fitted to noise in 4,000 rows explain about 0.003


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'habit'"):
        Strengths().without("habits")
    with pytest.raises(ConfigError, match="expected one of tiny, demo"):
        named_size("huge")


def test_stream_has_about_as_many_events_as_asked() -> None:
    size = stream_size(1_000_000)
    assert size.users * size.days * size.sessions_per_day * size.events_per_session == pytest.approx(1e6, rel=0.01)


def test_rank_auc_counts_pairs() -> None:
    labels = np.array([True, False, True, False])
    scores = np.array([0.9, 0.9, 0.4, 0.1])
    assert rank_auc(labels, scores) == pytest.approx((0.5 + 1 + 0 + 1) / 4)


def _logits(world: World, chunk, users: Users, weights: np.ndarray) -> np.ndarray:
    exposed = raw_parts(world, users, chunk.sessions, chunk.requests, chunk.slates)
    return linear_logits(world, users, exposed, weights)


def _routine_share(strengths: Strengths, size: Size) -> float:
    """Share of organic behaviours in the leaf of the slot's routine."""
    world = make_world(size, 11, strengths)
    users = world.chunk_users(0)
    rng = generator(1, "routine-test")
    sessions = make_sessions(world, users, rng)
    organic = make_organic(world, users, sessions, rng)
    user, slot = sessions.user[organic.session], sessions.slot[organic.session]
    return float((world.items.leaf[organic.item] == users.routine[user, slot]).mean())
