"""What must hold of sampled negatives, said in plain Python."""

from collections import Counter


def negatives_are_fair(chosen, drawn, *, items, each):
    """`drawn` gives every chosen pair its share, never repeats or hits a chosen pair, and favours no item."""
    assert not set(chosen) & set(drawn)
    assert len(drawn) == len(set(drawn))
    per_user = Counter(user for user, _ in chosen)
    for user, count in Counter(user for user, _ in drawn).items():
        assert count == min(per_user[user] * each, items - per_user[user])
    by_item = Counter(item for _, item in drawn)
    expected = len(drawn) / items
    assert len(by_item) == items
    # Five standard deviations of a Poisson count.
    assert all(abs(count - expected) < 5 * expected**0.5 for count in by_item.values())
