import numpy as np
import pytest

from plait.errors import ArtifactError
from plait.retrieval.popular import ExposureGains, Popular, PopularSettings, build_popular
from plait.retrieval.protocol import RetrievalQuery, best, recency_weights

NOBODY = RetrievalQuery(0, np.empty(0, np.int64), np.empty(0, np.float32))
EVEN = PopularSettings(half_life_share=1e9, prior_exposures=2.0, top=10)  # no decay


def gains(rows):
    """Rows (item, scenario, time, gain)."""
    item, scenario, time, gain = zip(*rows, strict=True)
    return ExposureGains(
        np.array(item, np.int64), np.array(scenario, np.int64), np.array(time, np.int64), np.array(gain, np.float64)
    )


def test_rates_are_smoothed_around_the_mean_and_then_around_the_item():
    # Item 1: 2 shown, 2 gained. Item 2: 2 shown, 0 gained. Mean rate 2 / 4 = 1/2, strength 2.
    popular = build_popular(gains([(1, 0, 0, 1), (1, 0, 0, 1), (2, 0, 0, 0), (2, 0, 0, 0)]), 3, 1, EVEN)
    overall = popular.retrieve(RetrievalQuery(-1, NOBODY.recent_items_R, NOBODY.recent_weights_R), 5)
    assert overall.items_K.tolist() == [1, 2]
    assert overall.scores_K.tolist() == pytest.approx([(2 + 2 * 0.5) / 4, (0 + 2 * 0.5) / 4])  # 3/4, 1/4
    here = popular.retrieve(NOBODY, 5)
    assert here.scores_K.tolist() == pytest.approx([(2 + 2 * 0.75) / 4, (0 + 2 * 0.25) / 4])  # 7/8, 1/8


def test_a_scenario_has_its_own_order():
    rows = [(1, 0, 0, 1)] * 9 + [(2, 0, 0, 0)] * 9 + [(1, 1, 0, 0)] * 9 + [(2, 1, 0, 1)] * 9
    popular = build_popular(gains(rows), 3, 2, EVEN)
    assert popular.retrieve(NOBODY, 1).items_K.tolist() == [1]
    other = RetrievalQuery(1, NOBODY.recent_items_R, NOBODY.recent_weights_R)
    assert popular.retrieve(other, 1).items_K.tolist() == [2]


def test_old_gains_count_less():
    # Half-life 100 of a window of 1000: at age 1000 an exposure weighs 2 ** -10.
    rows = [(1, 0, 0, 1), (2, 0, 0, 0), (1, 0, 1000, 0), (2, 0, 1000, 1)]
    popular = build_popular(gains(rows), 3, 1, PopularSettings(half_life_share=0.1, prior_exposures=1.0))
    assert popular.retrieve(NOBODY, 2).items_K.tolist() == [2, 1]


def test_what_was_never_shown_or_lies_beyond_the_list_does_not_come():
    popular = build_popular(gains([(1, 0, 0, 1), (2, 0, 0, 0)]), 5, 1, PopularSettings(top=4))
    assert sorted(popular.retrieve(NOBODY, 9).items_K.tolist()) == [1, 2]
    assert len(popular.retrieve(NOBODY, 1)) == 1


def test_no_exposures_at_all():
    empty = ExposureGains(*(np.empty(0, np.int64) for _ in range(3)), np.empty(0))
    assert len(build_popular(empty, 3, 2, EVEN).retrieve(NOBODY, 5)) == 0


def test_saved_and_loaded_it_is_the_same(tmp_path):
    popular = build_popular(gains([(1, 0, 0, 1), (2, 0, 0, 0)]), 3, 1, EVEN)
    popular.save(tmp_path)
    loaded = Popular.load(tmp_path).retrieve(NOBODY, 5)
    assert loaded.items_K.tolist() == [1, 2]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["items.npy", "scores.npy"]


def test_a_damaged_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"items\.npy"):
        Popular.load(tmp_path)


def test_best_breaks_ties_by_index_and_leaves_out_what_is_not_finite():
    scores = np.array([1, 3, -np.inf, 3, 2, 3], np.float32)
    assert best(scores, 2).tolist() == [1, 3]
    assert best(scores, 9).tolist() == [1, 3, 5, 4, 0]
    assert best(scores, 0).tolist() == []


def test_recency_weights_halve_every_half_life():
    assert recency_weights(5, half_life=2.0).tolist() == pytest.approx([1, 0.5**0.5, 0.5, 0.5**1.5, 0.25])
