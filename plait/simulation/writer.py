"""Parquet files of a simulated world: written aside, then renamed; equal input gives equal bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Column: TypeAlias = NDArray[Any] | list[Any] | pa.Array


def write_parquet(path: Path, columns: Mapping[str, Column]) -> None:
    """One table, compressed with zstd; NaN becomes null. Readers see plain strings for dictionary columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    table = pa.table({name: _array(column) for name, column in columns.items()})
    text = [
        field.name for field in table.schema if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    ]
    pq.write_table(
        table,
        aside,
        compression="zstd",
        compression_level=1,
        use_dictionary=text,
        store_schema=False,
        write_statistics=True,
        row_group_size=250_000,
    )
    aside.replace(path)


def labelled(codes: NDArray[np.integer[Any]], words: list[str]) -> pa.Array:
    """A text column that says `words[code]`; null where the code is negative."""
    mask = codes < 0
    indices = pa.array(np.where(mask, 0, codes).astype(np.int32), mask=mask if mask.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words))


def _array(column: Column) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return pa.array(column, mask=np.isnan(column))
    array = pa.array(column)
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array
