"""The law of the samples, over random worlds: what must not change a sample does not."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from samples_worlds import behaviour, exposure, read_samples, workspace, write_tables

from plait.config import ObjectiveSettings
from plait.data.samples import build_samples

SPACE = workspace(
    [
        ObjectiveSettings(name="click", action="click", window=15),
        ObjectiveSettings(name="install", action="install", parent="click", window=40),
        ObjectiveSettings(name="pay", action="pay", window=40, attribution="exposure_id", min_value=1.0),
    ]
)
AS_OF = 70
LAW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # explaining a failure traces every line: minutes
)

times = st.integers(0, 80)
few = st.integers(1, 3)
shown_rows = st.builds(lambda time, user, item: {"time": time, "user_id": user, "item_id": item}, times, few, few)
exposure_lists = st.lists(shown_rows, min_size=1, max_size=15).map(
    lambda rows: [exposure(number, **row) for number, row in enumerate(rows)]
)
behaviour_rows = st.builds(
    behaviour,
    time=times,
    action=st.sampled_from(["click", "install", "pay", "browse"]),
    user_id=few,
    item_id=few,
    value=st.sampled_from([None, 0.5, 2.0]),
    exposure_id=st.sampled_from([None, None, 0, 1, 2]),
    received_time=st.one_of(st.none(), times),
)
behaviour_lists = st.lists(behaviour_rows, max_size=25)


def samples_of(exposures, behaviours, as_of=AS_OF):
    with tempfile.TemporaryDirectory() as folder:
        tables = write_tables(Path(folder) / "tables", exposures, behaviours)
        build_samples(tables, SPACE, Path(folder) / "out", as_of=as_of)
        return read_samples(Path(folder) / "out")


def prefixes(exposures, behaviours) -> dict[int, dict]:
    """What the features of each exposure are made from: everything of it but labels, maturity and split."""
    samples, users = samples_of(exposures, behaviours)
    by_user = {user.pop("user_id"): user for user in users}
    seen = {}
    for row in samples:
        before = row["behaviours_before"]
        history = {name: values[:before] for name, values in by_user[row["user_id"]].items()}
        seen[row["exposure_id"]] = {"time": row["time"], "before": before, **history}
    return seen


@LAW
@given(exposure_lists, behaviour_lists, st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(exposures, behaviours, dice):
    expected = samples_of(exposures, behaviours)
    shuffled = exposures + dice.sample(exposures, dice.randrange(len(exposures) + 1))
    repeated = behaviours + dice.sample(behaviours, dice.randrange(len(behaviours) + 1))
    dice.shuffle(shuffled)
    dice.shuffle(repeated)
    assert samples_of(shuffled, repeated) == expected


@LAW
@given(exposure_lists, st.lists(behaviour_rows, min_size=1, max_size=25), st.data())
def test_everything_from_an_exposure_on_may_change_without_a_trace(exposures, behaviours, data):
    """Behaviours that arrive at or after an exposure are altered in every column, times included, dropped or added."""
    target = data.draw(st.sampled_from(exposures))
    arrival = [max(b["time"], b["received_time"] or 0) for b in behaviours]
    kept = [b for b, at in zip(behaviours, arrival, strict=True) if at < target["time"]]
    later = behaviour_rows.map(lambda b: {**b, "received_time": max(b["received_time"] or 0, target["time"])})
    altered = kept + data.draw(st.lists(later, max_size=15))
    other_exposures = [e for e in exposures if e["time"] < target["time"] or e is target]
    expected = prefixes(exposures, behaviours)[target["exposure_id"]]
    assert prefixes(exposures, altered)[target["exposure_id"]] == expected
    assert prefixes(other_exposures, altered)[target["exposure_id"]] == expected


@LAW
@given(exposure_lists, behaviour_lists, behaviour_rows, st.integers(0, 60))
def test_an_event_that_arrives_after_the_as_of_time_changes_no_label(exposures, behaviours, late, delay):
    late = {**late, "received_time": AS_OF + 1 + delay}
    without, _ = samples_of(exposures, behaviours)
    with_late, _ = samples_of(exposures, [*behaviours, late])
    outcome = [name for name in without[0] if name.startswith(("label_", "mature_"))]
    assert [[row[name] for name in outcome] for row in without] == [
        [row[name] for name in outcome] for row in with_late
    ]


@LAW
@given(exposure_lists, behaviour_lists, st.integers(0, 100), st.integers(0, 100))
def test_the_as_of_time_changes_labels_and_maturity_only(exposures, behaviours, one, other):
    early, early_users = samples_of(exposures, behaviours, min(one, other))
    late, late_users = samples_of(exposures, behaviours, max(one, other))
    assert early_users == late_users
    for before, after in zip(early, late, strict=True):
        for name, value in before.items():
            if name.startswith(("label_", "mature_")):
                assert value <= after[name]  # what is known or mature stays so
            else:
                assert value == after[name]


@LAW
@given(exposure_lists, behaviour_lists, st.data())
def test_lateness_of_an_event_moves_it_in_the_history_and_nothing_else(exposures, behaviours, data):
    """By a time at which all has arrived, when it arrived matters to histories only."""
    punctual = [dict(row) for row in {tuple({**b, "received_time": None}.items()) for b in behaviours}]  # no repeats
    punctual.sort(key=str)
    delays = data.draw(st.lists(st.integers(0, 30), min_size=len(punctual), max_size=len(punctual)))
    late = [{**b, "received_time": b["time"] + delay} for b, delay in zip(punctual, delays, strict=True)]
    everything_known = 200
    first, _ = samples_of(exposures, punctual, everything_known)
    second, _ = samples_of(exposures, late, everything_known)
    for before, after in zip(first, second, strict=True):
        assert {k: v for k, v in before.items() if k != "behaviours_before"} == {
            k: v for k, v in after.items() if k != "behaviours_before"
        }
        assert after["behaviours_before"] <= before["behaviours_before"]
