"""A small sound workspace that tests spoil in one place at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from plait.config import CheckSettings, ObjectiveSettings, ScenarioSettings, TableSettings, Workspace
from plait.data.checks import CheckReport, Finding, Outcome
from plait.data.validation import check_tables
from plait.schema import TableName

NOON = 1_700_000_000_000
"""A plausible time in milliseconds (14 November 2023)."""


def sound_tables() -> dict[str, dict[str, list[Any]]]:
    """Three users, two items, one creative, four exposures and four behaviours without fault."""
    return {
        "users": {"user_id": [1, 2, 3]},
        "items": {"item_id": [10, 20], "name": ["地图", "Music"]},
        "creatives": {"creative_id": [100], "item_id": [10], "bid": [0.5]},
        "exposures": {
            "exposure_id": [1001, 1002, 1003, 1004],
            "time": [NOON, NOON + 1000, NOON + 2000, NOON + 3000],
            "user_id": [1, 1, 2, 3],
            "item_id": [10, 20, 10, 20],
            "creative_id": [100, None, 100, None],
            "scenario": ["home", "home", "search", "search"],
            "position": [0, 1, 0, 1],
            "propensity": [0.5, 1.0, 0.25, 0.1],
        },
        "behaviours": {
            "time": [NOON + 500, NOON + 1500, NOON + 2500, NOON + 9000],
            "user_id": [1, 1, 2, 3],
            "item_id": [10, 20, 10, 10],
            "action": ["click", "click", "install", "click"],
            "value": [None, 1.0, 2.0, None],
            "scenario": ["home", "home", "search", None],
            "exposure_id": [1001, 1002, 1003, None],
            "received_time": [NOON + 500, NOON + 1600, None, None],
        },
    }


@dataclass
class Desk:
    """Writes tables into a folder and checks them."""

    root: Path
    tables: dict[str, dict[str, list[Any]]] = field(default_factory=sound_tables)
    settings: dict[str, Any] = field(default_factory=dict)
    table_settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.root / "clean"

    def spoil(self, table: str, row: int, **values: Any) -> None:
        """Put `values` into one row of `table`."""
        for column, value in values.items():
            self.tables[table][column][row] = value

    def add(self, table: str, **values: Any) -> None:
        """Add a row to `table`; columns that are not given are missing in it."""
        for column, cells in self.tables[table].items():
            cells.append(values.get(column))

    def again(self, table: str, row: int, **values: Any) -> None:
        """Add a copy of a row, but for `values`."""
        self.add(table, **{column: cells[row] for column, cells in self.tables[table].items()} | values)

    @property
    def workspace(self) -> Workspace:
        tables = {
            TableName(name): TableSettings(path=f"{name}.parquet", **self.table_settings.get(name, {}))
            for name in self.tables
        }
        settings: dict[str, Any] = {
            "name": "desk",
            "check": CheckSettings(max_quarantined=1.0),
            "tables": tables,
            "scenarios": [ScenarioSettings(name="home"), ScenarioSettings(name="search")],
            "objectives": [
                ObjectiveSettings(name="click", action="click"),
                ObjectiveSettings(name="install", action="install", parent="click"),
            ],
        }
        return Workspace(**(settings | self.settings))

    def write(self) -> None:
        for name, columns in self.tables.items():
            pl.DataFrame(columns, strict=False).write_parquet(self.root / f"{name}.parquet")

    def check(self) -> CheckReport:
        self.write()
        return check_tables(self.workspace, self.root, self.out)

    def clean(self, table: str) -> pl.DataFrame:
        return pl.read_parquet(sorted((self.out / table).glob("part-*.parquet")))

    def quarantine(self, table: str) -> pl.DataFrame:
        return pl.read_parquet(self.out / "quarantine" / f"{table}.parquet")


def found(report: CheckReport) -> Mapping[tuple[str, str], int]:
    """(table, rule) -> rows, of every finding that concerns rows."""
    counts: dict[tuple[str, str], int] = {}
    for finding in report.all_findings():
        if finding.rows:
            key = (finding.table, finding.rule)
            counts[key] = counts.get(key, 0) + finding.rows
    return counts


def the_finding(report: CheckReport, rule: str) -> Finding:
    """The one finding of `rule`."""
    (finding,) = [finding for finding in report.all_findings() if finding.rule == rule]
    return finding


__all__ = ["NOON", "Desk", "Outcome", "found", "sound_tables", "the_finding"]
