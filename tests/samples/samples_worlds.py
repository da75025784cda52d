"""Small worlds in the canonical layout, and samples read back as rows."""

import random
from pathlib import Path

import polars as pl

from plait.config import ObjectiveSettings, SplitSettings, Workspace

EXPOSURE_TYPES = {
    "exposure_id": pl.Int64, "time": pl.Int64, "user_id": pl.Int64, "item_id": pl.Int64, "scenario": pl.String,
    "position": pl.Int64,
}  # fmt: skip
BEHAVIOUR_TYPES = {
    "time": pl.Int64, "user_id": pl.Int64, "item_id": pl.Int64, "action": pl.String, "value": pl.Float64,
    "scenario": pl.String, "exposure_id": pl.Int64, "received_time": pl.Int64,
}  # fmt: skip


def workspace(objectives: list[ObjectiveSettings], split: SplitSettings | None = None) -> Workspace:
    tables = {name: {"path": f"{name}.parquet"} for name in ("users", "items", "exposures", "behaviours")}
    return Workspace(
        name="t", tables=tables, scenarios=[{"name": "home"}], objectives=objectives, split=split or SplitSettings()
    )


def exposure(exposure_id, time, user_id=1, item_id=1, position=None) -> dict:
    return {
        "exposure_id": exposure_id, "time": time, "user_id": user_id, "item_id": item_id, "scenario": "home",
        "position": position,
    }  # fmt: skip


def behaviour(time, action="click", user_id=1, item_id=1, value=None, exposure_id=None, received_time=None) -> dict:
    return {
        "time": time, "user_id": user_id, "item_id": item_id, "action": action, "value": value, "scenario": "home",
        "exposure_id": exposure_id, "received_time": received_time,
    }  # fmt: skip


def as_text(rows: list[dict]) -> list[dict]:
    """The same rows with ids as text, in an order that the integers have too."""
    ids = ("user_id", "item_id", "exposure_id")
    return [{k: f"编号{v:06d}" if k in ids and v is not None else v for k, v in row.items()} for row in rows]


def write_tables(folder: Path, exposures: list[dict], behaviours: list[dict], files: int = 1, group: int = 7) -> Path:
    """Tables of `files` files each, with row groups of `group` rows."""
    for name, rows, types in (("exposures", exposures, EXPOSURE_TYPES), ("behaviours", behaviours, BEHAVIOUR_TYPES)):
        text = any(isinstance(row["user_id"], str) for row in rows)
        ids = ("user_id", "item_id", "exposure_id")
        schema = {k: pl.String if text and k in ids else kind for k, kind in types.items()}
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(files):
            frame = pl.DataFrame(rows[number::files], schema=schema, orient="row")
            frame.write_parquet(folder / name / f"part-{number:03d}.parquet", row_group_size=group)
    return folder


def read_samples(out: Path) -> tuple[list[dict], list[dict]]:
    shown = pl.read_parquet(out / "exposures/part-*.parquet").sort("user_id", "time", "exposure_id")
    users = pl.read_parquet(out / "users/part-*.parquet").sort("user_id")
    return shown.to_dicts(), users.to_dicts()


def random_world(seed: int) -> tuple[list[dict], list[dict]]:
    """A world so small that ties in time, repeats and late arrivals are the rule."""
    dice = random.Random(seed)
    shown = [
        exposure(number, dice.randrange(60), dice.randrange(4), dice.randrange(3), dice.choice([None, 1, 2]))
        for number in range(dice.randrange(1, 25))
    ]
    done = []
    for _ in range(dice.randrange(40)):
        time = dice.randrange(80)
        named = dice.choice(shown) if dice.random() < 0.3 else None
        done.append(
            behaviour(
                time, dice.choice(["click", "install", "pay", "browse"]),
                user_id=named["user_id"] if named and dice.random() < 0.8 else dice.randrange(5),
                item_id=named["item_id"] if named else dice.randrange(3),
                value=dice.choice([None, 0.5, 1.0, 6.0]), exposure_id=named["exposure_id"] if named else None,
                received_time=dice.choice([None, None, time - 1, time + dice.randrange(40)]),
            )
        )  # fmt: skip
    return shown, done
