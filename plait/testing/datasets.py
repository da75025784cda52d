"""Small encoded datasets with something to learn in them, made from random tables by the shortest code that is right.

Samples are built row by row in plain Python: slow, and independent of the code that builds real ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plait import seeding
from plait.config import Workspace
from plait.features.dataset import EncodedDataset
from plait.features.encoding import encode_samples

_START_MS = 1_700_000_000_000
_DAYS = 20
_DAY_MS = 86_400_000
_CATEGORIES = ("游戏", "音乐", "tools", "finance")
_QUERIES = ("下棋", "Free music", "免费 tools", "", "music 🎵 下棋")
_ACTIONS = ("click", "install", "rate")
_EVENT_LISTS = {
    "item_id": pl.Int64,
    "action": pl.String,
    "value": pl.Float64,
    "scenario": pl.String,
    "time": pl.Int64,
    "available_time": pl.Int64,
}
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SmallSamples:
    """Folders of checked tables and of samples, and the workspace that they belong to."""

    workspace: Workspace
    tables: Path
    samples: Path


def small_workspace(**changes: object) -> Workspace:
    """A workspace with two scenarios, two objectives and every kind of column; `changes` replace sections."""
    values: dict[str, object] = {
        "name": "small",
        "tables": {
            "users": {"path": "users", "columns": {"region": "category", "age": "number", "likes": "sequence"}},
            "items": {"path": "items", "columns": {"price": "number", "tags": "sequence"}},
            "creatives": {"path": "creatives", "columns": {"tone": "category", "styles": "sequence"}},
            "exposures": {
                "path": "exposures",
                "columns": {"network": "category", "battery": "number", "hints": "sequence"},
            },
            "behaviours": {"path": "behaviours"},
        },
        "scenarios": [{"name": "首页"}, {"name": "search", "kind": "search"}],
        "objectives": [{"name": "click", "action": "click"}, {"name": "install", "action": "install"}],
        "actions": {"rate": {"value_edges": [3.0, 4.5]}},
        "features": {"min_count": 1},
    }
    return Workspace.model_validate(values | changes)


def small_samples(
    root: Path, *, users: int = 40, items: int = 30, exposures: int = 25, behaviours: int = 60, seed: int = 0
) -> SmallSamples:
    """Write random tables and samples under `root`, in two parts.

    A user likes one of four categories: they act mostly on its items and answer to its exposures, so that id fields,
    categories and histories all tell something about the labels.

    Args:
        root: folder to write to.
        users: how many.
        items: how many; item i has creatives 2i and 2i + 1.
        exposures: per user.
        behaviours: per user on average; the last user has none.
        seed: the same seed gives the same files.
    """
    rng = seeding.generator(seed, "small_samples")
    user_rows = [
        {
            "user_id": f"u{user}",
            "region": f"r{user % 3}",
            "age": float(rng.integers(15, 70)),
            "likes": [f"l{user % 2}", f"l{user % 5}", None] if user % 4 else None,
        }
        for user in range(users)
    ]
    item_rows = [
        {
            "item_id": 100 + item,
            "category_1": _CATEGORIES[item % 4],
            "category_2": f"{_CATEGORIES[item % 4]}/{item % 8}",
            "price": float(rng.exponential(10.0) ** 2),
            "tags": [7 * level + item % level for level in (2, 3, 5)][: item % 4],
        }
        for item in range(items)
    ]
    creative_rows = [
        {
            "creative_id": number,
            "item_id": 100 + number // 2,
            "advertiser": f"a{number % 5}",
            "tone": f"t{number % 3}",
            "styles": [f"s{number % 4}"] * (number % 3),
        }
        for number in range(2 * items)
    ]
    for name, rows in (("users", user_rows), ("items", item_rows), ("creatives", creative_rows)):
        (root / "tables" / name).mkdir(parents=True)
        pl.DataFrame(rows).write_parquet(root / "tables" / name / "part-00000.parquet")
    histories = [
        _events(user, items, 0 if user == users - 1 else int(rng.poisson(behaviours)), rng) for user in range(users)
    ]
    shown = [_exposures(user, items, exposures, histories[user], rng) for user in range(users)]
    for part, chosen in enumerate((range(0, users, 2), range(1, users, 2))):
        by_name = sorted(chosen, key=lambda user: f"u{user}")
        write_part(
            root / "samples", part, {f"u{user}": histories[user] for user in by_name}, [shown[u] for u in by_name]
        )
    return SmallSamples(small_workspace(), root / "tables", root / "samples")


def small_dataset(root: Path, **sizes: int) -> EncodedDataset:
    """The encoded dataset of `small_samples(root, **sizes)`."""
    made = small_samples(root, **sizes)
    encode_samples(made.samples, made.tables, made.workspace, root / "encoded")
    return EncodedDataset.open(root / "encoded")


def write_part(samples: Path, part: int, histories: dict[str, Rows], exposures: list[Rows]) -> None:
    """Write one part of samples: users' events (each a dict by column) and, per user, the exposures."""
    for name in ("users", "exposures"):
        (samples / name).mkdir(parents=True, exist_ok=True)
    lists = {name: [[event[name] for event in events] for events in histories.values()] for name in _EVENT_LISTS}
    schema = {name: pl.List(kind) for name, kind in _EVENT_LISTS.items()}
    frame = pl.DataFrame({"user_id": list(histories), **lists}, schema={"user_id": pl.String, **schema})
    frame.write_parquet(samples / "users" / f"part-{part:05d}.parquet")
    flat = [row for rows in exposures for row in rows]
    types = {name: pl.Int8 for name in flat[0] if name.startswith("label_")}
    table = pl.DataFrame(flat, schema_overrides={**types, "behaviours_before": pl.Int32})
    table.write_parquet(samples / "exposures" / f"part-{part:05d}.parquet")


def _liked(user: int, items: int, rng: np.random.Generator) -> int:
    """An item, mostly of the user's favourite category (those with the same remainder by four)."""
    item = int(rng.integers(0, items))
    return (item - item % 4 + user % 4) % items if rng.random() < 0.8 else item


def _events(user: int, items: int, count: int, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for _ in range(count):
        action = str(rng.choice(_ACTIONS))
        time = _START_MS + int(rng.integers(0, _DAYS * _DAY_MS))
        rows.append(
            {
                "item_id": 100 + _liked(user, items, rng),
                "action": action,
                "value": float(rng.integers(1, 6)) if action == "rate" else None,
                "scenario": [None, "首页", "search"][int(rng.integers(0, 3))],
                "time": time,
                "available_time": time + int(rng.choice([0, 0, 60_000])),
            }
        )
    return sorted(rows, key=lambda row: (row["available_time"], row["time"], row["item_id"], row["action"]))


def _exposures(user: int, items: int, count: int, events: Rows, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for time in sorted(int(_START_MS + offset) for offset in rng.integers(0, _DAYS * _DAY_MS, count)):
        item, day = int(rng.integers(0, items)), (time - _START_MS) / _DAY_MS
        clicked = bool(rng.random() < (0.7 if item % 4 == user % 4 else 0.1))
        rows.append(
            {
                "exposure_id": f"e{user}-{len(rows)}",
                "time": time,
                "user_id": f"u{user}",
                "item_id": 100 + item,
                "creative_id": 2 * item + int(rng.integers(0, 2)) if rng.random() < 0.9 else None,
                "scenario": (scenario := "首页" if rng.random() < 0.6 else "search"),
                "query": _QUERIES[(user + len(rows)) % 5] if scenario == "search" else None,
                "hints": [f"h{len(rows) % 3}", "h"] if len(rows) % 2 else None,
                "position": int(rng.integers(1, 6)),
                "propensity": 0.1,
                "network": ["wifi", "4g", None][int(rng.integers(0, 3))],
                "battery": float(rng.random()) if rng.random() < 0.9 else None,
                "label_click": int(clicked),
                "mature_click": True,
                "label_install": int(clicked and rng.random() < 0.4),
                "mature_install": day < _DAYS - 1,
                "behaviours_before": sum(event["available_time"] < time for event in events),
                "split": "train" if day < 0.7 * _DAYS else "valid" if day < 0.8 * _DAYS else "test",
            }
        )
    return rows
