"""Random small worlds: every sample equals that of the plain-loop reference."""

import random

import pytest
from samples_reference import reference
from samples_worlds import as_text, random_world, workspace

from plait.config import ObjectiveSettings, SplitSettings


def random_workspace(seed: int):
    dice = random.Random(seed)
    modes = ["exposure_id", "last_touch"]
    steps = [
        ObjectiveSettings(name="click", action="click", window=dice.randrange(30), attribution=dice.choice(modes)),
        ObjectiveSettings(
            name="install", action="install", parent=dice.choice([None, "click"]), window=dice.randrange(30),
            attribution=dice.choice(modes),
        ),
        ObjectiveSettings(
            name="pay", action="pay", parent=dice.choice([None, "click", "install"]), window=dice.randrange(60),
            min_value=dice.choice([None, 1.0]), attribution=dice.choice(modes),
        ),
        ObjectiveSettings(name="second_click", action="click", parent="pay", window=50),
    ]  # fmt: skip
    dice.shuffle(steps)  # a child may stand before its parent
    kind = dice.choice(["global_time", "per_user_time"])
    return workspace(steps, SplitSettings(kind=kind, valid=dice.choice([0.1, 0.3]), test=dice.choice([0.2, 0.3])))


@pytest.mark.parametrize("seed", range(60))
def test_random_world(sampled, seed):
    exposures, behaviours = random_world(seed)
    space = random_workspace(seed)
    as_of = random.Random(seed).choice([None, None, 0, 40, 90])
    expected = reference(exposures, behaviours, space, as_of)
    assert sampled(exposures, behaviours, space, as_of) == expected
    # Through the disk, in many buckets and files; then in memory, in many buckets.
    disk = {"in_memory_rows": 0, "rows_per_bucket": 10}
    assert sampled(exposures, behaviours, space, as_of, files=3, **disk) == expected
    assert sampled(exposures, behaviours, space, as_of, rows_per_bucket=10) == expected


@pytest.mark.parametrize("seed", range(100, 115))
def test_random_world_with_text_ids(sampled, seed):
    exposures, behaviours = (as_text(rows) for rows in random_world(seed))
    space = random_workspace(seed)
    expected = reference(exposures, behaviours, space)
    assert sampled(exposures, behaviours, space) == expected
    assert sampled(exposures, behaviours, space, in_memory_rows=0, rows_per_bucket=10) == expected


def test_the_worlds_have_what_they_should_test():
    """Positives in every objective, immature rows and late arrivals do occur; otherwise the comparison says little."""
    positives, immature, late = set(), 0, 0
    for seed in range(60):
        exposures, behaviours = random_world(seed)
        samples, _ = reference(exposures, behaviours, random_workspace(seed))
        positives |= {key for row in samples for key, value in row.items() if key.startswith("label_") and value}
        immature += sum(not row["mature_pay"] for row in samples)
        late += sum(b["received_time"] is not None and b["received_time"] > b["time"] for b in behaviours)
    assert positives == {"label_click", "label_install", "label_pay", "label_second_click"}
    assert immature > 100
    assert late > 100
