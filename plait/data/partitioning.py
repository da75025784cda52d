"""Tables by user: what a sample needs of one user lies in one bucket, however large the tables are.

The input is read in units of about a million rows, and each is cut into one piece per bucket. The pieces of small
tables stay in memory. Those of larger ones go through the disk: a unit becomes one Arrow file with a record batch per
bucket, written aside and renamed, so that a killed run redoes at most the units that were under way; bucket j is then
batch j of every file.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from plait.schema import Columns as C

_UNIT_ROWS = 1_000_000
_HASH_SEED = 20
_BUCKET = "_bucket"
_PLAIN = pl.CompatLevel.oldest()
"""Arrow types that every reader knows."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Consecutive rows of one Parquet file that are read and cut together."""

    file: Path
    offset: int
    rows: int


def units(files: Sequence[Path]) -> list[Unit]:
    """The files as units of at most `_UNIT_ROWS` rows: whole row groups, unless one alone is larger."""
    return [Unit(file, start, end - start) for file in files for start, end in _stretches(file)]


def _stretches(file: Path) -> Iterator[tuple[int, int]]:
    metadata = pq.read_metadata(file)
    start = end = 0
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).num_rows
        if end > start and end + size - start > _UNIT_ROWS:
            yield start, end
            start = end
        end += size
        while end - start > _UNIT_ROWS:
            yield start, start + _UNIT_ROWS
            start += _UNIT_ROWS
    if end > start or end == 0:  # an empty file has a schema all the same
        yield start, end


def read_unit(unit: Unit, columns: Sequence[str], buckets: int) -> list[pl.DataFrame]:
    """The rows of `unit` by bucket."""
    return cut(pl.scan_parquet(unit.file).select(columns).slice(unit.offset, unit.rows).collect(), buckets)


def bucket_of(users: pl.Series, buckets: int) -> pl.Series:
    """The bucket of each user id: its hash modulo `buckets`."""
    return (users.hash(_HASH_SEED) % buckets).cast(pl.UInt16)


def cut(frame: pl.DataFrame, buckets: int) -> list[pl.DataFrame]:
    """`frame` by bucket; the order of a bucket's rows is arbitrary."""
    if buckets == 1:
        return [frame]
    keyed = frame.with_columns(bucket_of(frame[C.USER_ID], buckets).alias(_BUCKET))
    parts = {part[_BUCKET][0]: part.drop(_BUCKET) for part in keyed.partition_by(_BUCKET, maintain_order=False)}
    return [parts.get(bucket, frame.clear()) for bucket in range(buckets)]


def spill(unit: Unit, columns: Sequence[str], buckets: int, path: Path) -> None:
    """Write the rows of `unit` to `path`, a record batch per bucket."""
    aside = path.with_name(path.name + ".partial")
    pieces = read_unit(unit, columns, buckets)
    schema = pieces[0].to_arrow(compat_level=_PLAIN).schema
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
        for piece in pieces:
            writer.write_batch(_batch(piece.to_arrow(compat_level=_PLAIN).combine_chunks()))
    aside.rename(path)


def gather(paths: Sequence[Path], bucket: int) -> pl.DataFrame:
    """The rows of one bucket from all files that `spill` wrote."""
    batches: list[pa.RecordBatch] = []
    for path in paths:
        with pa.OSFile(str(path), "rb") as file:  # not mapped: pages of a mapped file count as this process's memory
            batches.append(pa.ipc.open_file(file).get_batch(bucket))
    return cast(pl.DataFrame, pl.from_arrow(pa.Table.from_batches(batches)))


def bucket_count(rows: int, rows_per_bucket: int) -> int:
    """Buckets for `rows` rows in all."""
    return max(1, math.ceil(rows / rows_per_bucket))


def _batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of `table` as one batch, an empty one where there are none."""
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
