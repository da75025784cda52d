"""A few creatives with what is known about them, for a report."""

from pathlib import Path

import polars as pl

from plait import seeding
from plait.pipelines.project import Project
from plait.pipelines.report_data import Creative
from plait.schema import Columns as C

_SHOWN = 24
_TRUTH = "truth/creatives.parquet"
_FIELDS = (
    "screen_orientation",
    "duration",
    "color",
    "brightness",
    "tone",
    "clarity",
    "person",
    "text_type",
    "object_type",
)


def draw_creatives(project: Project, tables: Path, count: int = _SHOWN) -> tuple[Creative, ...]:
    """`count` creatives with a picture or video, drawn by the workspace's seed; none where there are no media.

    In a simulated world the true fields stand beside them.
    """
    files = sorted((tables / "creatives").glob("*.parquet"))
    if not files:
        return ()
    creatives = pl.read_parquet(files)
    if C.MEDIA not in creatives.columns:
        return ()
    with_media = creatives.filter(pl.col(C.MEDIA).is_not_null()).unique(C.MEDIA, keep="first").sort(C.CREATIVE_ID)
    rng = seeding.generator(project.workspace.seed, "gallery")
    chosen = with_media[rng.permutation(len(with_media))[:count]]
    truth = project.root / _TRUTH
    if truth.exists():
        chosen = chosen.join(pl.read_parquet(truth), on=C.CREATIVE_ID, how="left", suffix="_true")
    return tuple(_creative(project.root, row) for row in chosen.iter_rows(named=True))


def _creative(root: Path, row: dict[str, object]) -> Creative:
    known = {name: row[name] for name in _FIELDS if row.get(name) is not None}
    duration = known.pop("duration", None)
    if isinstance(duration, float) and duration > 0:
        known["duration"] = f"{duration:.1f} s"
    return Creative(
        path=root / str(row[C.MEDIA]),
        caption=str(row.get(C.TEXT) or row[C.CREATIVE_ID]),
        fields={name: str(value) for name, value in known.items()},
    )
