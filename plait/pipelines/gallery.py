"""A few creatives with what was understood of them, for a report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from plait import seeding
from plait.pipelines.project import Project
from plait.pipelines.report_data import Creative
from plait.schema import Columns as C
from plait.schema.creative_profile import LABEL_COLUMNS

_SHOWN = 24
_TRUTH = "truth/creatives.parquet"
_CONFIDENCE = "confidence"
_FIELDS = (
    "screen_orientation",
    "duration",
    "color",
    "brightness",
    "tone",
    "clarity",
    "person",
    "text",
    "text_type",
    "object_type",
)


def draw_creatives(
    project: Project, tables: Path, profiles: pl.DataFrame | None = None, count: int = _SHOWN
) -> tuple[Creative, ...]:
    """`count` creatives with a picture or video, drawn by the workspace's seed; none where there are no media.

    Args:
        project: the opened workspace.
        tables: its clean tables.
        profiles: what `plait understand` found; only creatives that it knows are shown then, with their fields and how
            sure it is, and in a simulated world with what is true where that is something else.
        count: the most that are drawn.
    """
    files = sorted((tables / "creatives").glob("*.parquet"))
    if not files:
        return ()
    creatives = pl.read_parquet(files)
    if C.MEDIA not in creatives.columns:
        return ()
    if profiles is not None:
        creatives = creatives.filter(pl.col(C.CREATIVE_ID).is_in(profiles[C.CREATIVE_ID].implode()))
    with_media = creatives.filter(pl.col(C.MEDIA).is_not_null()).unique(C.MEDIA, keep="first").sort(C.CREATIVE_ID)
    rng = seeding.generator(project.workspace.seed, "gallery")
    chosen = with_media[rng.permutation(len(with_media))[:count]]
    found = {} if profiles is None else {row[C.CREATIVE_ID]: row for row in profiles.iter_rows(named=True)}
    truth = _truth(project.root / _TRUTH)
    return tuple(
        _creative(project.root, row, found.get(row[C.CREATIVE_ID], {}), truth.get(row[C.CREATIVE_ID], {}))
        for row in chosen.iter_rows(named=True)
    )


def _truth(path: Path) -> dict[Any, dict[str, Any]]:
    if not path.exists():
        return {}
    return {row[C.CREATIVE_ID]: row for row in pl.read_parquet(path).iter_rows(named=True)}


def _creative(root: Path, row: Mapping[str, Any], found: Mapping[str, Any], true: Mapping[str, Any]) -> Creative:
    shown = {"label": _label(found)} | {name: _field(name, found, true) for name in _FIELDS}
    return Creative(
        path=root / str(row[C.MEDIA]),
        caption=str(row.get(C.TEXT) or row[C.CREATIVE_ID]),
        fields={name: value for name, value in shown.items() if value},
    )


def _label(found: Mapping[str, Any]) -> str:
    """Such as "游戏 > 动作射击 > MOBA (93 %)"; "unknown" where no level was sure enough."""
    sure = (found.get(_CONFIDENCE) or {}).get("label")
    path = " > ".join(found[column] for column in LABEL_COLUMNS if found.get(column))
    return "" if sure is None else f"{path or 'unknown'} ({sure:.0%})".replace("%", " %")


def _field(name: str, found: Mapping[str, Any], true: Mapping[str, Any]) -> str:
    """Such as "red (97 %)", or "red (61 %; true: pink)"; empty where nothing was found."""
    value = _in_words(name, found.get(name))
    if not value:
        return ""
    sure = (found.get(_CONFIDENCE) or {}).get(name)
    truth = _in_words(name, true.get(name))
    asides = [f"{sure:.0%}".replace("%", " %")] if sure is not None else []
    asides += [f"true: {truth}"] if truth and truth != value else []
    return f"{value} ({'; '.join(asides)})" if asides else value


def _in_words(name: str, value: Any) -> str:
    if name == "duration":
        return f"{value:.1f} s" if value else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
