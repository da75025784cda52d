"""Tables by user: what a sample needs of one user lies in one bucket, however large the tables are.

Small tables are cut in memory. Larger ones go through the disk in one pass: the input is read in units of a few row
groups; each unit becomes one Arrow file that holds a record batch per bucket, written aside and renamed, so that a
killed run redoes at most the units that were under way. Bucket j is then batch j of every file.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from plait.schema import Columns as C

_UNIT_ROWS = 1_000_000
"""Rows of a unit of input, at most, unless one row group alone is larger."""
_BATCH_ROWS = 500_000
"""Rows that are cut at once: what bounds memory where row groups are large."""
_HASH_SEED = 20


@dataclass(frozen=True, slots=True)
class Unit:
    """Row groups of one Parquet file that are cut together."""

    file: Path
    groups: tuple[int, ...]


def bucket_of(users: pl.Series, buckets: int) -> pl.Series:
    """The bucket of each user id: its hash modulo `buckets`."""
    return (users.hash(_HASH_SEED) % buckets).cast(pl.UInt16)


def cut(frame: pl.DataFrame, buckets: int) -> list[pl.DataFrame]:
    """`frame` by bucket, rows of a bucket in the order they had."""
    if buckets == 1:
        return [frame]
    bucket_N = bucket_of(frame[C.USER_ID], buckets).to_numpy()
    order_N = np.argsort(bucket_N, kind="stable")
    ends = np.cumsum(np.bincount(bucket_N, minlength=buckets))
    return [frame[order_N[start:end]] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def units(files: Sequence[Path]) -> list[Unit]:
    """The files as units of at most `_UNIT_ROWS` rows, in order."""
    found: list[Unit] = []
    for file in files:
        metadata = pq.read_metadata(file)
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        groups: list[int] = []
        for group, size in enumerate(sizes):
            if groups and sum(sizes[g] for g in groups) + size > _UNIT_ROWS:
                found.append(Unit(file, tuple(groups)))
                groups = []
            groups.append(group)
        if groups:
            found.append(Unit(file, tuple(groups)))
    return found


def spill(unit: Unit, columns: Sequence[str], buckets: int, path: Path) -> None:
    """Write the rows of `unit` to `path`: `buckets` record batches for every `_BATCH_ROWS` rows, in turn."""
    aside = path.with_name(path.name + ".partial")
    writer: pa.RecordBatchFileWriter | None = None
    with pa.OSFile(str(aside), "wb") as file:
        for frame in _read(unit, columns):
            for part in cut(frame, buckets):
                table = part.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
                if writer is None:
                    writer = pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
                writer.write_batch(_batch(table))
        if writer is not None:
            writer.close()
    aside.rename(path)


def gather(paths: Sequence[Path], bucket: int, buckets: int) -> pl.DataFrame:
    """The rows of one bucket from all files that `spill` wrote."""
    batches: list[pa.RecordBatch] = []
    for path in paths:
        with pa.OSFile(str(path), "rb") as file:
            reader = pa.ipc.open_file(file)
            batches += [reader.get_batch(number) for number in range(bucket, reader.num_record_batches, buckets)]
    return _frame(batches).rechunk()


def bucket_count(rows: int, rows_per_bucket: int) -> int:
    """Buckets for `rows` rows in all."""
    return max(1, math.ceil(rows / rows_per_bucket))


def _read(unit: Unit, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(unit.file, pre_buffer=False) as file:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=list(unit.groups), columns=list(columns)):
            yield _frame([batch])


def _frame(batches: list[pa.RecordBatch]) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(pa.Table.from_batches(batches)))


def _batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of `table` as one batch, an empty one where there are none."""
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
