"""Small logs for tests of next-item models."""

from pathlib import Path

import numpy as np
import polars as pl

from plait.config import ActionSettings
from plait.data.item_sequences import ItemSequences, write_sequences

DAY = 86_400_000
STARS = {"rate": ActionSettings(value_edges=[2.5, 3.5])}

WORKSPACE = """
name = "small club"
time_unit = "ms"
tables.users.path = "users.parquet"
tables.items.path = "items.parquet"
tables.exposures.path = "exposures.parquet"
tables.behaviours.path = "behaviours.parquet"
actions.rate.value_edges = [2.5]

[[scenarios]]
name = "home"

[[objectives]]
name = "liked"
action = "rate"
min_value = 4
attribution = "exposure_id"
window = "1h"
"""

# user, item, day, stars, in the order of the log. Ties: bob's first three; carol's log order is not that of her times.
BY_HAND = [
    ("ann", "a", 1, 5),
    ("ann", "b", 2, 3),
    ("bob", "c", 1, 1),
    ("bob", "a", 1, 4),
    ("bob", "b", 1, 2),
    ("carol", "d", 9, 4),
    ("carol", "c", 3, 4),
    ("carol", "a", 5, 4),
    ("ann", "c", 3, 1),
    ("ann", "d", 4, 5),
    ("dave", "a", 1, 3),
    ("erin", "a", 1, 3),
    ("erin", "b", 2, 3),
    ("erin", "a", 3, 3),
    ("bob", "d", 2, 4),
]


def write_tables(folder: Path, rows, *, numbered: bool = True) -> Path:
    """Clean tables of a log; with `numbered` events name their line, and the table holds them in reverse."""
    users, items, days, stars = zip(*rows, strict=True)
    behaviours = pl.DataFrame(
        {
            "user_id": users,
            "item_id": items,
            "time": [day * DAY for day in days],
            "action": ["rate"] * len(rows),
            "value": [float(one) for one in stars],
        }
    )
    if numbered:
        behaviours = behaviours.with_row_index("exposure_id", offset=1).reverse()
    names = [*sorted(set(items)), "never seen"]
    catalogue = pl.DataFrame({"item_id": names, "name": [f"The {name} show" for name in names]})
    for name, table in (("behaviours", behaviours), ("items", catalogue)):
        (folder / name).mkdir(parents=True)
        table.write_parquet(folder / name / "part-00000.parquet")
    return folder


def sequences(folder: Path, rows, **options) -> ItemSequences:
    out = folder / "out"
    out.mkdir()
    write_sequences(write_tables(folder, rows, **options), STARS, out)
    return ItemSequences.open(out)


def cycling_log(users=40, items=12, events=14, seed=0):
    """Each user steps through the items by a stride of their own, with a few slips: the last items say what is next."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        item, stride = int(rng.integers(items)), int(rng.integers(1, 3))
        for step in range(int(rng.integers(4, events))):
            rows.append((f"user {user:02}", f"item {item:02}", step + 1, int(rng.integers(1, 6))))
            item = (item + stride) % items if rng.random() < 0.9 else int(rng.integers(items))
    return rows


def write_club(folder: Path) -> Path:
    """A workspace of the cycling log."""
    users, items, steps, stars = zip(*cycling_log(users=60), strict=True)
    exposures = pl.DataFrame(
        {
            "exposure_id": range(1, len(users) + 1),
            "time": [1_700_000_000_000 + step * DAY for step in steps],
            "user_id": users,
            "item_id": items,
            "scenario": ["home"] * len(users),
        }
    )
    exposures.write_parquet(folder / "exposures.parquet")
    rated = exposures.with_columns(action=pl.lit("rate"), value=pl.Series(stars, dtype=pl.Float64))
    rated.write_parquet(folder / "behaviours.parquet")
    for name, ids in (("user", users), ("item", items)):
        pl.DataFrame({f"{name}_id": sorted(set(ids))}).write_parquet(folder / f"{name}s.parquet")
    (folder / "plait.toml").write_text(WORKSPACE)
    return folder
