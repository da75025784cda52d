"""One table from its raw files to clean parts and a quarantine table, in bounded memory.

First all rows in batches through the rules that need one row; those that stay are spilled to disk by the hash of their
key. Then part by part through the rules that compare rows.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow.parquet as pq

from plait.config import Workspace
from plait.data.artifacts import write_atomically
from plait.data.checks.across import EXPOSURE_LOST, ExposureParts, duplicate_rules, exposure_rules, mark_duplicates
from plait.data.checks.partitions import Spill, part_number
from plait.data.checks.report import Finding, TableReport, table_report
from plait.data.checks.rules import References, row_rules
from plait.data.checks.survey import TimeRange
from plait.data.checks.tally import Tally
from plait.data.checks.typed import SOURCE_FILE, SOURCE_ROW, TypedTable
from plait.schema import TABLES, TableName
from plait.schema import Columns as C
from plait.telemetry import Advance

_ROW_GROUP = 250_000
_SPILL = "spill.partial"
_SWEPT = "swept.partial"


class TableRefusedError(Exception):
    """Every row of a table breaks one rule for one cause; carries what to say about it."""

    def __init__(self, refusals: list[Finding]) -> None:
        super().__init__(*(refusal.message for refusal in refusals))
        self.refusals = refusals


@dataclass(frozen=True, slots=True)
class Sweep:
    """Takes tables through the rules, one after the other, entities first."""

    workspace: Workspace
    span: TimeRange
    out: Path
    parts: Mapping[TableName, int]
    """How many parts each table is cut into; exposures and behaviours alike."""
    known: References

    def table(self, table: TypedTable, advance: Advance) -> TableReport:
        """Clean parts and quarantine of `table` under `out`; at once where an earlier run, since killed, got so far.

        Raises:
            TableRefusedError: every row breaks a rule for one cause.
            DataError: a file is damaged.
        """
        done = self.out / _SWEPT / f"{table.name}.json"
        if done.exists():
            return table_report(json.loads(done.read_text(encoding="utf-8")))
        tally = Tally(table)
        clean = self.out / table.name
        shutil.rmtree(clean, ignore_errors=True)
        clean.mkdir(parents=True)
        with (
            QuarantineWriter(quarantine_path(self.out, table.raw.name), table) as quarantine,
            Spill(self.out / _SPILL, _part_number(table, self.parts[table.raw.name]), _empty(table)) as spill,
        ):
            rows_in = self._rows_alone(table, tally, quarantine, spill, advance)
            self._rows_together(table, tally, quarantine, spill, advance)
        rows_out = sum(pq.read_metadata(part).num_rows for part in sorted(clean.glob("part-*.parquet")))
        rows_lost = pq.read_metadata(quarantine_path(self.out, table.raw.name)).num_rows
        report = TableReport(table.name, rows_in, rows_out, rows_lost, tuple(tally.findings()))
        write_atomically(done, json.dumps(asdict(report), ensure_ascii=False))
        return report

    def finish(self) -> None:
        """Remove what only a resumed run needs."""
        shutil.rmtree(self.out / _SWEPT, ignore_errors=True)
        shutil.rmtree(self.out / _SPILL, ignore_errors=True)

    def _rows_alone(
        self, table: TypedTable, tally: Tally, quarantine: "QuarantineWriter", spill: Spill, advance: Advance
    ) -> int:
        rows_in = 0
        columns = _empty(table).columns
        for batch in table.raw.batches():
            rows = self.known.attach(table.rows(batch))
            rules = row_rules(table, rows.schema, self.workspace, self.span, self.known)
            good, bad = tally.sift(rows, rules)
            quarantine.write(bad)
            spill.write(good.select(columns))
            rows_in += rows.height
            advance(rows.height, note=table.name)
        spill.close()
        if refusals := tally.refusals():
            raise TableRefusedError(refusals)
        return rows_in

    def _rows_together(
        self, table: TypedTable, tally: Tally, quarantine: "QuarantineWriter", spill: Spill, advance: Advance
    ) -> None:
        key = TABLES[table.raw.name].key
        exposures = self._exposures(table)
        mixed = table.ids.mixed.get(C.EXPOSURE_ID)
        rules = [*(exposure_rules(mixed) if exposures else ()), *duplicate_rules(list(table.schema), key)]
        for part in range(self.parts[table.raw.name]):
            rows = mark_duplicates(spill.read(part), list(table.schema), key)
            if exposures:
                rows = exposures.attach(rows, part)
            good, bad = tally.sift(rows, rules)
            quarantine.write(bad)
            self._emptied(table, good).select(list(table.schema)).write_parquet(
                self.out / table.name / f"part-{part:05d}.parquet",
                compression="zstd",
                compression_level=1,
                row_group_size=_ROW_GROUP,
            )
            advance(rows.height, note=table.name)
        if refusals := tally.refusals():
            raise TableRefusedError(refusals)

    def _exposures(self, table: TypedTable) -> ExposureParts | None:
        if table.raw.name is not TableName.BEHAVIOURS or C.EXPOSURE_ID not in table.schema:
            return None
        return ExposureParts.open(self.out / TableName.EXPOSURES, quarantine_path(self.out, TableName.EXPOSURES))

    def _emptied(self, table: TypedTable, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` without the values that rules have found to be of no use."""
        if EXPOSURE_LOST in rows.columns:
            rows = rows.with_columns(pl.when(~pl.col(EXPOSURE_LOST).fill_null(False)).then(pl.col(C.EXPOSURE_ID)))
        if table.raw.name is TableName.BEHAVIOURS and C.SCENARIO in table.schema:
            declared = pl.col(C.SCENARIO).is_in(self.workspace.scenario_names())
            rows = rows.with_columns(pl.when(declared).then(pl.col(C.SCENARIO)))
        return rows


class QuarantineWriter:
    """Writes the quarantine table of one table; it is there even when nothing went in."""

    def __init__(self, path: Path, table: TypedTable) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = pl.DataFrame(schema=table.quarantine_schema).to_arrow().schema
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: pl.DataFrame) -> None:
        """Add `rows`, which have the quarantine table's columns."""
        if rows.height:
            self._writer.write_table(rows.to_arrow().cast(self._schema))

    def __enter__(self) -> "QuarantineWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def quarantine_path(out: Path, name: TableName) -> Path:
    """Where the quarantine of table `name` lies under the folder of clean tables."""
    return out / "quarantine" / f"{name}.parquet"


def _part_number(table: TypedTable, parts: int) -> pl.Expr:
    """Parts by what equal rows have in common: the table's key; of behaviours their exposure, else their user."""
    key = TABLES[table.raw.name].key
    if key is not None:
        return part_number(parts, key)
    if C.EXPOSURE_ID not in table.schema:
        return part_number(parts, C.USER_ID)
    return part_number(parts, C.EXPOSURE_ID, otherwise=C.USER_ID)


def _empty(table: TypedTable) -> pl.DataFrame:
    """No rows of the columns that go from the first pass to the second."""
    return pl.DataFrame(schema={**table.schema, SOURCE_FILE: pl.UInt32, SOURCE_ROW: pl.Int64})
