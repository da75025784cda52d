import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.retrieval.item_to_item import ItemToItem, ItemToItemSettings, build_item_to_item
from plait.retrieval.protocol import RetrievalQuery

PLAIN = ItemToItemSettings(top=10, minimum_together=1, shrinkage=0.0)


def built(users, items, config=PLAIN):
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    flat = np.array([item for user in users for item in user], np.int64)
    return build_item_to_item(offsets, flat, items, config)


def asked(*items, weights=None):
    weights = [1.0] * len(items) if weights is None else weights
    return RetrievalQuery(0, np.array(items, np.int64), np.array(weights, np.float32))


def slow_cosines(users, items, shrinkage, minimum):
    """By definition, with sets and loops."""
    of_item = [{place for place, user in enumerate(users) if item in user} for item in range(items)]
    similarity = {}
    for a, b in itertools.permutations(range(items), 2):
        both = len(of_item[a] & of_item[b])
        if both >= minimum and both:
            similarity[a, b] = both / (math.sqrt(len(of_item[a]) * len(of_item[b])) + shrinkage)
    return similarity


def test_cosine_by_hand():
    # Item 1 has users 0, 1, 2; item 2 has users 0, 1; item 3 has user 2.
    source = built([[1, 2], [2, 1], [1, 3]], 4)
    found = source.retrieve(asked(1), 5)
    assert found.items_K.tolist() == [2, 3]
    assert found.scores_K.tolist() == pytest.approx([2 / math.sqrt(3 * 2), 1 / math.sqrt(3 * 1)])


def test_repeats_count_once_and_unknown_items_not_at_all():
    once = built([[1, 2], [1, 3]], 4).retrieve(asked(1), 5)
    often = built([[1, 2, 1, 1, 2, -1], [-1, 1, 3]], 4).retrieve(asked(1), 5)
    assert often.items_K.tolist() == once.items_K.tolist()
    assert often.scores_K.tolist() == once.scores_K.tolist()


def test_recent_items_add_up_by_weight_and_do_not_come_back():
    source = built([[1, 3], [2, 3], [1, 4], [2, 1]], 5)
    similarity = slow_cosines([[1, 3], [2, 3], [1, 4], [2, 1]], 5, 0.0, 1)
    found = source.retrieve(asked(1, 2, weights=[1.0, 0.5]), 5)
    expected = {3: similarity[1, 3] + 0.5 * similarity[2, 3], 4: similarity[1, 4]}
    assert dict(zip(found.items_K.tolist(), found.scores_K.tolist(), strict=True)) == pytest.approx(expected)


def test_only_the_latest_items_of_a_user_are_paired():
    source = built([[1, 2, 3]], 4, PLAIN.model_copy(update={"items_per_user": 2}))
    assert source.retrieve(asked(3), 5).items_K.tolist() == [2]
    assert len(source.retrieve(asked(1), 5)) == 0


def test_pairs_by_chance_are_left_out():
    source = built([[1, 2], [1, 2], [1, 3]], 4, PLAIN.model_copy(update={"minimum_together": 2}))
    assert source.retrieve(asked(1), 5).items_K.tolist() == [2]


def test_an_item_of_many_users_is_counted_on_a_sample():
    users = [[1, 2]] * 60 + [[1, 3]] * 30
    sampled = built(users, 4, PLAIN.model_copy(update={"users_per_item": 10})).retrieve(asked(1), 5)
    exact = slow_cosines(users, 4, 0.0, 1)
    assert sampled.items_K.tolist() == [2, 3]
    assert sampled.scores_K.tolist() == pytest.approx([exact[1, 2], exact[1, 3]], rel=0.25)


def test_a_new_user_gets_nothing(tmp_path):
    source = built([[1, 2]], 3)
    assert len(source.retrieve(asked(), 5)) == 0
    source.save(tmp_path)
    assert ItemToItem.load(tmp_path).retrieve(asked(1), 5).items_K.tolist() == [2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 7), max_size=8), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(1, 2),
    st.sampled_from([0.0, 2.5]),
)
def test_equals_the_definition_in_any_block_size(users, pairs, minimum, shrinkage):
    config = ItemToItemSettings(top=8, minimum_together=minimum, shrinkage=shrinkage, pairs_in_memory=pairs)
    source = built(users, 8, config)
    expected = slow_cosines(users, 8, shrinkage, minimum)
    for item in range(8):
        found = source.retrieve(asked(item), 8)
        wanted = {other: score for (anchor, other), score in expected.items() if anchor == item}
        assert dict(zip(found.items_K.tolist(), found.scores_K.tolist(), strict=True)) == pytest.approx(wanted)
        assert found.scores_K.tolist() == sorted(found.scores_K.tolist(), reverse=True)
