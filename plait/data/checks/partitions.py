"""Rows on disk by hash of a key, so that questions about equal keys need only one part in memory at a time."""

import shutil
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa

PART_ROWS = 1_500_000
"""Rows that a part is meant to hold: what fits in memory several times over."""

_HASH_SEED = 20_210_414
_PART = "part:number"


def part_count(rows: int) -> int:
    """How many parts `rows` rows are cut into; at most 512, so that they can all be open for writing."""
    return min(512, max(1, -(-rows // PART_ROWS)))


def part_number(parts: int, key: str, otherwise: str | None = None) -> pl.Expr:
    """Which of `parts` parts a row belongs to; the same for equal keys of equal type in every table.

    Args:
        parts: how many there are.
        key: column that decides it.
        otherwise: column that decides it where `key` is null, so that such rows do not all meet in one part.
    """
    code = pl.col(key).hash(_HASH_SEED)
    if otherwise is not None:
        code = pl.when(pl.col(key).is_not_null()).then(code).otherwise(pl.col(otherwise).hash(_HASH_SEED))
    return (code % parts).cast(pl.UInt32)


class Spill:
    """Rows written to one file per part, in the order in which they came, and read back part by part."""

    def __init__(self, folder: Path, number: pl.Expr, empty: pl.DataFrame) -> None:
        """A spill in `folder` of rows like those of `empty`, to the parts that `number` gives them."""
        self._folder = folder
        self._number = number.alias(_PART)
        self._empty = empty
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def __enter__(self) -> "Spill":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, rows: pl.DataFrame) -> None:
        """Add `rows`."""
        shares = rows.with_columns(self._number).partition_by(
            _PART, as_dict=True, include_key=False, maintain_order=True
        )
        for (part,), share in shares.items():
            self._append(int(part), share)

    def close(self) -> None:
        """No more rows will come."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def read(self, part: int) -> pl.DataFrame:
        """Take the rows of one part out, in the order in which they were written."""
        path = self._path(part)
        if not path.exists():
            return self._empty
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
            frame = pl.from_arrow(reader.read_all())
        path.unlink()
        return self._empty.vstack(frame) if isinstance(frame, pl.DataFrame) else self._empty

    def _append(self, part: int, rows: pl.DataFrame) -> None:
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        if part not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writers[part] = pa.ipc.new_stream(str(self._path(part)), table.schema, options=options)
        self._writers[part].write_table(table)

    def _path(self, part: int) -> Path:
        return self._folder / f"{part:05d}.arrow"
