"""The rules that compare rows with each other: duplicates, and behaviours with the exposures that they name.

They see one part of a table at a time; parts are cut by the hash of the key, so equal keys are always in one part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plait.data.checks.partitions import part_number
from plait.data.checks.report import Outcome
from plait.data.checks.rules import Rule
from plait.schema import Columns as C

EXPOSURE_LOST = "exposure:quarantined"
"""In rows with their exposure: whether that exposure is in quarantine."""

_ROW = "duplicates:row"
_COPY = "duplicates:copy"
_CONFLICT = "duplicates:conflict"
_KNOWN = "exposure:known"
_OF_EXPOSURE = {C.USER_ID: "exposure:user_id", C.ITEM_ID: "exposure:item_id", C.TIME: "exposure:time"}


@dataclass(frozen=True, slots=True)
class ExposureParts:
    """The clean exposures by part, and the ids of those in quarantine."""

    files: tuple[Path, ...]
    """One for each part, in order."""
    quarantined: pl.Series

    @staticmethod
    def open(clean: Path, quarantine: Path) -> "ExposureParts":
        """From the folder of clean exposures and the table of quarantined ones."""
        lost = pl.read_parquet(quarantine, columns=[C.EXPOSURE_ID]).to_series().drop_nulls().unique()
        return ExposureParts(tuple(sorted(clean.glob("part-*.parquet"))), lost)

    def attach(self, behaviours: pl.DataFrame, part: int) -> pl.DataFrame:
        """A part's behaviours with the user, item and time of the exposure that each names."""
        return behaviours.join(self._read(part), on=C.EXPOSURE_ID, how="left", maintain_order="left")

    def _read(self, part: int) -> pl.DataFrame:
        clean = pl.read_parquet(self.files[part], columns=[C.EXPOSURE_ID, *_OF_EXPOSURE]).rename(_OF_EXPOSURE)
        here = part_number(len(self.files), C.EXPOSURE_ID) == part
        lost = self.quarantined.to_frame().filter(here).join(clean, on=C.EXPOSURE_ID, how="anti")
        known = pl.lit(True).alias(_KNOWN)
        return pl.concat(
            [
                clean.with_columns(known, pl.lit(False).alias(EXPOSURE_LOST)),
                lost.with_columns(known, pl.lit(True).alias(EXPOSURE_LOST)),
            ],
            how="diagonal",
        )


def exposure_rules(mixed: str | None) -> list[Rule]:
    """The rules for behaviours with their exposure attached; `mixed` says how the two tables write the id differently.

    A behaviour whose exposure is in quarantine is sound itself: it stays in the user's history, as one that followed
    no exposure. One that names an exposure nobody has, or contradicts the one it names, goes to quarantine.
    """
    column = pl.col(C.EXPOSURE_ID)
    shown_time = (C.EXPOSURE_ID, C.TIME, _OF_EXPOSURE[C.TIME])
    return [
        Rule(
            "unresolved_id",
            "exposure_id is in no row of exposures",
            (C.EXPOSURE_ID,),
            column.is_not_null() & pl.col(_KNOWN).is_null(),
            applies=column.is_not_null() if mixed else None,
            refusal=f"no exposure_id of behaviours is in exposures: {mixed}; write the ids in one way",
        ),
        *(
            Rule(
                "exposure_differs",
                f"the exposure that it names has another {name}",
                (C.EXPOSURE_ID, name, _OF_EXPOSURE[name]),
                pl.col(name) != pl.col(_OF_EXPOSURE[name]),
            )
            for name in (C.USER_ID, C.ITEM_ID)
        ),
        Rule("before_exposure", "it comes before its exposure", shown_time, pl.col(C.TIME) < pl.col("exposure:time")),
        Rule(
            "exposure_quarantined",
            "its exposure is in quarantine; it is kept as organic, without exposure_id",
            (C.EXPOSURE_ID,),
            pl.col(EXPOSURE_LOST).fill_null(False),
            Outcome.EMPTIED,
        ),
    ]


def duplicate_rules(columns: Sequence[str], key: str | None) -> Iterator[Rule]:
    """The rules for rows that `mark_duplicates` has marked."""
    if key:
        message = f"{key} stands on rows that differ, and none of them can be told to be the true one"
        yield Rule("conflicting_duplicates", message, (key,), pl.col(_CONFLICT))
    shown = (key,) if key else tuple(column for column in (C.TIME, C.USER_ID, C.ITEM_ID, C.ACTION) if column in columns)
    yield Rule("duplicate", "it repeats another row in full (one copy is kept)", shown, pl.col(_COPY))


def mark_duplicates(rows: pl.DataFrame, columns: Sequence[str], key: str | None) -> pl.DataFrame:
    """`rows` with two flags: repeats an earlier row in all of `columns`; shares its `key` with a row that differs."""
    rows = rows.with_row_index(_ROW)
    # comparing whole rows is slow and rarely needed: hashes tell which few are worth it
    worth = pl.col(key).is_duplicated() if key else pl.struct(columns).hash().is_duplicated()
    suspects = rows.filter(worth)
    whole_row = pl.struct(columns)
    marks = suspects.select(_ROW, *([key] if key else []), (~whole_row.is_first_distinct()).alias(_COPY))
    if key:
        marks = marks.with_columns(((~pl.col(_COPY)).sum().over(key) > 1).alias(_CONFLICT)).drop(key)
    flags = [name for name in marks.columns if name != _ROW]
    if marks.is_empty():
        return rows.drop(_ROW).with_columns(pl.lit(False).alias(flag) for flag in flags)
    joined = rows.join(marks, on=_ROW, how="left", maintain_order="left").drop(_ROW)
    return joined.with_columns(pl.col(flag).fill_null(False) for flag in flags)
