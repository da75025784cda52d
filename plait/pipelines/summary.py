"""How much data a workspace holds, for a report."""

import datetime
from pathlib import Path

import polars as pl

from plait.data.samples import read_summary
from plait.pipelines.project import Project
from plait.pipelines.report_data import DataSummary, ObjectiveCount
from plait.schema import Columns as C
from plait.schema import TableName


def summarise_data(project: Project, tables: Path, samples: Path) -> DataSummary:
    """Counts of the clean tables and of the samples built from them."""
    summary = read_summary(samples)
    first, last = (
        pl.scan_parquet(tables / TableName.EXPOSURES / "*.parquet")
        .select(pl.col(C.TIME).min().alias("first"), pl.col(C.TIME).max().alias("last"))
        .collect()
        .row(0)
    )
    splits = summary["splits"]
    return DataSummary(
        name=project.workspace.name,
        users=_rows(tables, TableName.USERS),
        items=_rows(tables, TableName.ITEMS),
        exposures=summary["exposures"],
        behaviours=summary["behaviours"],
        scenarios=len(project.workspace.scenarios),
        splits={name: split["exposures"] for name, split in splits.items()},
        objectives=tuple(
            ObjectiveCount(
                name,
                labels=sum(split["objectives"][name]["mature"] for split in splits.values()),
                positives=sum(split["objectives"][name]["positive"] for split in splits.values()),
            )
            for name in summary["objectives"]
        ),
        period=f"{_day(first)} to {_day(last)}",
    )


def _rows(tables: Path, table: TableName) -> int:
    return int(pl.scan_parquet(tables / table / "*.parquet").select(pl.len()).collect().item())


def _day(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1e3, datetime.UTC).date().isoformat()
