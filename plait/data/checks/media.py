"""Whether the media files that creatives name are there."""

from pathlib import Path

import polars as pl

from plait.data.checks.report import EXAMPLES, Example, Finding, Outcome
from plait.schema import Columns as C
from plait.schema import TableName

_MESSAGE = "the media file is not there (paths count from the workspace folder)"


def missing_media(root: Path, tables: Path) -> Finding | None:
    """The creatives whose media file is missing; None where every file is there.

    It looks at the disk as it is now, so it is no part of the cached check. Addresses (`https://...`) are not visited.

    Args:
        root: the workspace folder.
        tables: the folder of clean tables.
    """
    parts = sorted((tables / TableName.CREATIVES).glob("part-*.parquet"))
    if not parts or C.MEDIA not in pl.read_parquet_schema(parts[0]):
        return None
    named = (
        pl.scan_parquet(parts)
        .select(C.CREATIVE_ID, C.MEDIA)
        .filter(pl.col(C.MEDIA).str.len_bytes() > 0, ~pl.col(C.MEDIA).str.contains("://", literal=True))
        .collect()
    )
    lost = [(creative, media) for creative, media in named.iter_rows() if not (root / media).exists()]
    if not lost:
        return None
    examples = tuple(Example("", 0, f"creative_id={creative}, media={media}") for creative, media in lost[:EXAMPLES])
    return Finding(str(TableName.CREATIVES), "missing_media", _MESSAGE, Outcome.KEPT, len(lost), examples)
