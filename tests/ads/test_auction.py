"""Auctions: worked examples, what no auction may violate, and a plain version of each rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plait.ads import earned, hold_auctions
from plait.errors import ConfigError

PRICINGS = ("second_price", "vcg", "first_price")
BIDS = arrays(np.float64, (3, 5), elements=st.floats(0.01, 50.0) | st.just(np.nan))
PROBABILITIES = arrays(np.float64, (3, 5), elements=st.floats(1e-4, 1.0))
RESERVES = st.sampled_from([0.0, 10.0, 400.0])
SLOTS = st.integers(1, 6)


def plain(bids, probabilities, slots, pricing, reserve, attention):
    """One auction as the formulas have it: (winner, charge per thousand exposures) of each slot that is taken."""
    worth = [(1000 * bid * p, -place) for place, (bid, p) in enumerate(zip(bids, probabilities, strict=True))]
    line = sorted(((e, place) for e, place in worth if e >= reserve), reverse=True)
    result = []
    for s in range(min(slots, len(line))):
        behind = [line[j + 1][0] if j + 1 < len(line) else reserve for j in range(slots)]
        if pricing == "first_price":
            charge = line[s][0]
        elif pricing == "second_price":
            charge = behind[s]
        else:
            following = [*attention[1:slots], 0.0]
            charge = sum((attention[j] - following[j]) * behind[j] for j in range(s, slots)) / attention[s]
        result.append((-line[s][1], charge))
    return result


def test_the_second_price_is_what_keeps_the_slot():
    # eCPM 40, 30 and 24: the first keeps its slot with 30 / (1000 x 0.01) = 3 a conversion, the second with 24 / 20.
    bid, probability = np.array([[1.5, 4.0, 1.2]]), np.array([[0.02, 0.01, 0.02]])
    outcome = hold_auctions(bid, probability, 2)
    assert outcome.winner_RS.tolist() == [[1, 0]]
    np.testing.assert_allclose(outcome.ecpm_RS, [[40.0, 30.0]])
    np.testing.assert_allclose(outcome.charge_RS, [[30.0, 24.0]])
    np.testing.assert_allclose(outcome.price_RS, [[3.0, 1.2]])


def test_vcg_charges_what_the_ads_behind_lose():
    # Attention 1 and 0.5: the first pays 0.5 x 30 + 0.5 x 24 = 27, the second 24; over its attention 0.5 still 24.
    bid, probability = np.array([[1.5, 4.0, 1.2]]), np.array([[0.02, 0.01, 0.02]])
    outcome = hold_auctions(bid, probability, 2, "vcg", attention=[1.0, 0.5])
    np.testing.assert_allclose(outcome.charge_RS, [[27.0, 24.0]])


def test_the_reserve_keeps_slots_empty_and_sets_the_last_price():
    outcome = hold_auctions(np.array([[1.5, 4.0, 1.2]]), np.array([[0.02, 0.01, 0.02]]), 3, reserve=28.0)
    assert outcome.winner_RS.tolist() == [[1, 0, -1]]
    np.testing.assert_allclose(outcome.charge_RS, [[30.0, 28.0, 0.0]])
    assert outcome.price_RS[0, 2] == 0.0


def test_without_ads_every_slot_is_empty():
    outcome = hold_auctions(np.full((2, 3), np.nan), np.full((2, 3), 0.5), 2)
    assert not outcome.filled_RS.any()
    assert hold_auctions(np.empty((2, 0)), np.empty((2, 0)), 2).winner_RS.tolist() == [[-1, -1], [-1, -1]]


def test_equal_ads_stand_in_the_order_given():
    outcome = hold_auctions(np.ones((1, 4)), np.full((1, 4), 0.1), 4)
    assert outcome.winner_RS.tolist() == [[0, 1, 2, 3]]


def test_attention_may_not_rise():
    for wrong in ([0.5, 1.0], [1.0, 0.0]):
        with pytest.raises(ConfigError, match="do not rise"):
            hold_auctions(np.ones((1, 2)), np.ones((1, 2)), 2, "vcg", attention=wrong)


@given(BIDS, PROBABILITIES, SLOTS, st.sampled_from(PRICINGS), RESERVES)
def test_many_at_once_equal_one_after_the_other(bid, probability, slots, pricing, reserve):
    attention = [0.8**s for s in range(slots)]
    outcome = hold_auctions(bid, probability, slots, pricing, reserve, attention)
    for row in range(len(bid)):
        expected = plain(bid[row], probability[row], slots, pricing, reserve, attention)
        assert outcome.winner_RS[row].tolist() == [w for w, _ in expected] + [-1] * (slots - len(expected))
        np.testing.assert_allclose(outcome.charge_RS[row, : len(expected)], [c for _, c in expected], rtol=1e-9)


@given(BIDS, PROBABILITIES, SLOTS, st.sampled_from(PRICINGS), RESERVES)
def test_what_holds_in_every_auction(bid, probability, slots, pricing, reserve):
    outcome = hold_auctions(bid, probability, slots, pricing, reserve)
    filled = outcome.filled_RS
    assert (outcome.price_RS <= outcome.of_winners(bid)).all()
    assert (outcome.charge_RS[filled] >= reserve * (1 - 1e-9)).all()
    assert (np.diff(outcome.ecpm_RS, axis=1) <= 0).all()  # best first, empty slots last
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in outcome.winner_RS)
    paid = outcome.price_RS * outcome.of_winners(probability) * 1000
    np.testing.assert_allclose(paid[filled], outcome.charge_RS[filled], rtol=1e-9)


@given(BIDS, PROBABILITIES, SLOTS, RESERVES, st.floats(1.0, 5.0))
def test_a_higher_bid_never_loses_a_better_slot(bid, probability, slots, reserve, factor):
    raised = bid.copy()
    raised[:, 2] *= factor
    before, after = (hold_auctions(each, probability, slots, "second_price", reserve) for each in (bid, raised))
    for row in range(len(bid)):
        place = [np.append(np.flatnonzero(one.winner_RS[row] == 2), slots)[0] for one in (before, after)]
        assert place[1] <= place[0]


@given(BIDS, PROBABILITIES, RESERVES, st.floats(1.0, 5.0), st.sampled_from(["second_price", "vcg"]))
def test_in_a_single_slot_nobody_sets_their_own_price(bid, probability, reserve, factor, pricing):
    before = hold_auctions(bid, probability, 1, pricing, reserve)
    raised = bid.copy()
    won = before.filled_RS[:, 0]
    raised[won, before.winner_RS[won, 0]] *= factor
    after = hold_auctions(raised, probability, 1, pricing, reserve)
    np.testing.assert_array_equal(after.winner_RS, before.winner_RS)
    np.testing.assert_allclose(after.price_RS, before.price_RS, rtol=1e-9)


@given(BIDS, PROBABILITIES, SLOTS, RESERVES, st.floats(0.1, 5.0))
def test_under_vcg_no_other_bid_is_better_than_the_true_one(bid, probability, slots, reserve, factor):
    attention = [0.7**s for s in range(slots)]
    told = bid.copy()
    told[:, 1] *= factor

    def gain(bids):
        outcome = hold_auctions(bids, probability, slots, "vcg", reserve, attention)
        surplus = 1000 * bid[:, 1:2] * probability[:, 1:2] - outcome.charge_RS
        return np.where(outcome.winner_RS == 1, surplus * attention, 0.0).sum(axis=1)

    honest, other = gain(bid), gain(told)
    assert (honest >= other - 1e-6 * (1 + np.abs(other))).all()


@given(BIDS, PROBABILITIES, SLOTS, RESERVES)
def test_prices_rise_from_vcg_over_second_to_first_price(bid, probability, slots, reserve):
    attention = [0.6**s for s in range(slots)]
    vcg, second, first = (
        hold_auctions(bid, probability, slots, pricing, reserve, attention).charge_RS
        for pricing in ("vcg", "second_price", "first_price")
    )
    assert (vcg <= second * (1 + 1e-9)).all()
    assert (second <= first).all()


def test_what_is_earned_depends_on_the_truth_where_conversions_are_paid():
    bid, believed = np.array([[4.0, 1.5], [np.nan, np.nan]]), np.array([[0.01, 0.02], [0.5, 0.5]])
    outcome = hold_auctions(bid, believed, 1)
    true = np.array([[0.005], [0.9]])
    by_conversion = earned(outcome, bid, true)
    np.testing.assert_allclose(by_conversion.revenue_R, [3.0 * 0.005, 0.0])
    np.testing.assert_allclose(by_conversion.value_R, [4.0 * 0.005, 0.0])
    by_exposure = earned(outcome, bid, true, "exposure")
    np.testing.assert_allclose(by_exposure.revenue_R, [0.03, 0.0])


@given(BIDS, PROBABILITIES, SLOTS, RESERVES)
def test_first_price_with_the_truth_earns_exactly_what_ads_are_worth(bid, probability, slots, reserve):
    outcome = hold_auctions(bid, probability, slots, "first_price", reserve)
    for charge in ("conversion", "exposure"):
        sums = earned(outcome, bid, outcome.of_winners(probability), charge)
        np.testing.assert_allclose(sums.revenue_R, sums.value_R, rtol=1e-9)
