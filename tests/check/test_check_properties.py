"""The order in which rows arrive changes neither the clean rows nor who is in quarantine for what."""

import tempfile
from collections import Counter
from pathlib import Path

from check_desk import NOON, Desk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.data.checks import partitions

user = st.sampled_from([1, 2, 3, None, 9])
item = st.sampled_from([10, 20, 99])
moment = st.sampled_from([NOON, NOON + 1, NOON + 2, 0, -5, None, NOON * 1000])
exposure = st.fixed_dictionaries(
    {
        "exposure_id": st.integers(1, 5),
        "time": moment,
        "user_id": user,
        "item_id": item,
        "scenario": st.sampled_from(["home", "search", "商店"]),
        "propensity": st.sampled_from([0.5, 0.0]),
    }
)
behaviour = st.fixed_dictionaries(
    {
        "time": moment,
        "user_id": user,
        "item_id": item,
        "action": st.sampled_from(["click", "install"]),
        "scenario": st.sampled_from(["home", "商店", None]),
        "exposure_id": st.sampled_from([1, 2, 3, 6, None]),
        "received_time": st.sampled_from([NOON, NOON + 5, None]),
    }
)
GOOD_TIMES = [NOON + 10] * 40
"""Enough good times that the rest is no question of units."""


def columns(rows: list[dict], keep: dict) -> dict:
    return {name: [*(row[name] for row in rows), *([value] * len(GOOD_TIMES))] for name, value in keep.items()}


def outcome(exposures: list[dict], behaviours: list[dict], users: list[int]) -> tuple:
    """Clean rows and quarantined rows with their reasons, of every table, as multisets."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        del desk.tables["creatives"]
        desk.tables["users"] = {"user_id": users}
        filler = {"time": NOON + 10, "user_id": 1, "item_id": 10, "scenario": "home"}
        desk.tables["exposures"] = columns(exposures, {**filler, "exposure_id": 0, "propensity": 0.5})
        desk.tables["exposures"]["exposure_id"][len(exposures) :] = range(100, 140)
        desk.tables["behaviours"] = columns(
            behaviours, {**filler, "action": "click", "exposure_id": None, "received_time": None}
        )
        desk.tables["behaviours"]["time"][len(behaviours) :] = range(NOON + 100, NOON + 140)
        report = desk.check()
        clean = {name: Counter(desk.clean(name).rows()) for name in desk.tables}
        lost = {name: Counter(desk.quarantine(name).drop("source_row").rows()) for name in desk.tables}
        for table in report.tables:
            assert sum(clean[table.table].values()) + sum(lost[table.table].values()) == table.rows_in
        counts = Counter({(f.table, f.rule, f.message): f.rows for f in report.all_findings()})
        return clean, lost, counts


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_shuffled_rows_give_the_same_result(data):
    exposures = data.draw(st.lists(exposure, max_size=8))
    behaviours = data.draw(st.lists(behaviour, max_size=8))
    users = [1, 2, 2, 3]
    shuffled = (
        data.draw(st.permutations(exposures)),
        data.draw(st.permutations(behaviours)),
        data.draw(st.permutations(users)),
    )
    assert outcome(exposures, behaviours, users) == outcome(*shuffled)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(exposure, max_size=8), st.lists(behaviour, max_size=8))
def test_the_number_of_parts_changes_nothing(exposures, behaviours):
    one = outcome(exposures, behaviours, [1, 2, 3])
    whole = partitions.PART_ROWS
    try:
        partitions.PART_ROWS = 10
        assert outcome(exposures, behaviours, [1, 2, 3]) == one
    finally:
        partitions.PART_ROWS = whole
