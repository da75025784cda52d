"""KuaiRand (1K, Pure and 27K) in its official CSV layout: many feedback signals, many scenarios, a random policy."""

import polars as pl
from pydantic import Field as Limits

from plait.config import ActionSettings, ObjectiveSettings, ScenarioSettings, Settings, TableSettings, Workspace
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.kuairand_layout import (
    DURATIONS,
    FLAGS,
    LOG,
    STATISTICS,
    USER_COLUMNS,
    USERS,
    VIDEO_COLUMNS,
    VIDEOS,
)
from plait.data.importers.lines import LINE, read_blocks
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.errors import ImportLayoutError
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

PLAY_EDGES_S = (3.0, 7.0, 18.0)
"""Seconds at which KuaiRand's README draws its lines: short play, valid play, long view."""
WINDOW_MS = 3_600_000
"""Feedback is known once the play was over; an hour holds nearly every play."""

_OBJECTIVES = ("click", "long_view", "like", "follow", "comment", "forward", "profile_enter", "hate")


class KuaiRandOptions(Settings):
    """What can be chosen for KuaiRand."""

    pool_size: int = Limits(7583, ge=1)
    """How many videos the random policy drew from; a randomly shown video has propensity 1 / pool_size. The official
    pool is the same in all three versions."""
    statistics: bool = False
    """Also write video_features_statistic_*.csv as Parquet under `statistics/`. No table refers to it: its numbers
    are averages over the whole month of the logs, so that as features they would know what comes after an exposure."""


def run(source: Source, writer: WorkspaceWriter, options: KuaiRandOptions) -> Draft:
    """Read the download, write the tables."""
    logs = [*source.match("log_standard_*.csv"), *source.match_optional("log_random_*.csv")]
    users, videos = source.match("user_features_*.csv"), source.match("video_features_basic_*.csv")
    statistics = source.match("video_features_statistic_*.csv") if options.statistics else []
    for file in users:
        for block in read_blocks(file, USERS, writer):
            writer.append(TableName.USERS, block.drop(LINE))
    for file in videos:
        for block in read_blocks(file, VIDEOS, writer):
            writer.append(TableName.ITEMS, _item_table(block))
    tabs: set[int] = set()
    offset = 0
    for file in logs:
        last = 0
        for block in read_blocks(file, LOG, writer):
            shown = _with_keys(block, offset, options.pool_size)
            writer.append(TableName.EXPOSURES, _exposures(shown))
            writer.append(TableName.BEHAVIOURS, _behaviours(shown))
            tabs.update(shown["tab"].unique().to_list())
            last = block.select(pl.last(LINE)).item()
        offset += last
    if not tabs:
        raise ImportLayoutError(f"{source.path}: the log files hold no rows")
    for file in statistics:
        for block in read_blocks(file, STATISTICS, writer):
            writer.append("statistics", block.drop(LINE))
    return _draft(sorted(tabs), options)


def _with_keys(log: pl.DataFrame, offset: int, pool_size: int) -> pl.DataFrame:
    random = pl.col("is_rand") == 1
    return log.with_columns(
        (pl.col(LINE) + offset).alias(C.EXPOSURE_ID),
        pl.col("time_ms").alias(C.TIME),
        pl.col("video_id").alias(C.ITEM_ID),
        pl.format("tab_{}", "tab").alias(C.SCENARIO),
        pl.when(random).then(1.0 / pool_size).alias(C.PROPENSITY),
        pl.col("is_rand").cast(pl.Int8),
    )


def _exposures(shown: pl.DataFrame) -> pl.DataFrame:
    return shown.select(C.EXPOSURE_ID, C.TIME, C.USER_ID, C.ITEM_ID, C.SCENARIO, C.PROPENSITY, "is_rand")


def _behaviours(shown: pl.DataFrame) -> pl.DataFrame:
    """One row per feedback signal given; known once the play was over."""
    no_value = pl.lit(None, dtype=pl.Float64)
    given = [(pl.col(flag) == 1, action, no_value) for flag, action in FLAGS.items()]
    spent = [(pl.col(time) > 0, action, pl.col(time) / 1000) for time, action in DURATIONS.items()]
    return pl.concat(
        shown.filter(happened).select(
            C.TIME,
            C.USER_ID,
            C.ITEM_ID,
            pl.lit(action).alias(C.ACTION),
            value.alias(C.VALUE),
            C.SCENARIO,
            C.EXPOSURE_ID,
            (pl.col(C.TIME) + pl.col("play_time_ms").clip(0).cast(pl.Int64)).alias(C.RECEIVED_TIME),
        )
        for happened, action, value in [*given, *spent]
    ).sort(C.EXPOSURE_ID, maintain_order=True)


def _item_table(videos: pl.DataFrame) -> pl.DataFrame:
    tags = pl.col("tag").str.split(",").list.eval(pl.element().str.strip_chars())
    return videos.with_columns(tag=tags).select(
        pl.col("video_id").alias(C.ITEM_ID),
        pl.format("tag_{}", pl.col("tag").list.first()).alias(C.CATEGORY_1),
        *VIDEO_COLUMNS,
    )


def _draft(tabs: list[int], options: KuaiRandOptions) -> Draft:
    workspace = Workspace(
        name="kuairand",
        tables={
            TableName.USERS: TableSettings(path="users/*.parquet", columns=USER_COLUMNS),
            TableName.ITEMS: TableSettings(path="items/*.parquet", columns=VIDEO_COLUMNS),
            TableName.EXPOSURES: TableSettings(path="exposures/*.parquet", columns={"is_rand": Meaning.IGNORE}),
            TableName.BEHAVIOURS: TableSettings(path="behaviours/*.parquet"),
        },
        scenarios=[ScenarioSettings(name=f"tab_{tab}", app="Kuaishou") for tab in tabs],
        objectives=[
            ObjectiveSettings(
                name=name,
                action=name,
                attribution="exposure_id",
                window=WINDOW_MS,
                value=-1.0 if name == "hate" else 1.0,
            )
            for name in _OBJECTIVES
        ],
        actions={"play": ActionSettings(value_edges=list(PLAY_EDGES_S))},
    )
    return Draft(workspace, _HEADER.format(pool_size=options.pool_size), _COMMENTS)


_HEADER = """kuairand: Kuaishou's feed with random exposures, imported by `plait data import kuairand`.

Each log row is an exposure; each feedback signal of the row is a behaviour that names it. A row has one time:
behaviours carry it, and are known (received_time) once the play was over, at time + play_time_ms.

Rows of the random policy have is_rand = 1 and propensity 1 / {pool_size}, given that the slot was randomised; the
propensities of the standard policies are not published."""

_COMMENTS = {
    "tables.items.columns.tag": "codes; category_1 is the first one",
    "tables.items.columns.upload_dt": "upload date, as text",
    "tables.items.columns.visible_status": "as of the data's release, which is after the exposures: not a feature",
    "tables.items.columns.video_duration": "in milliseconds",
    "tables.exposures.columns.is_rand": "1 = shown by the random policy; not known when serving",
    "tables.behaviours": "play, profile_stay and comment_stay carry seconds as their value; the others have none.",
    "scenarios": "`tab` of the log: where in the app the video was shown. KuaiRand gives no names.",
    "objectives": "No funnel is declared: in the single-column feed a like needs no click.",
    "objectives.click.window": "feedback is known once the play was over; an hour holds nearly every play",
    "objectives.click": "In the two-column feed a click; in the single-column feed a valid play: 7 s or all of it.",
    "objectives.hate": "Worth less than nothing.",
    "actions.play": "Edges in seconds: short play, valid play, long view.",
    "split.kind": "The times are real.",
}

IMPORTER = Importer(
    name="kuairand",
    summary="KuaiRand-1K, -Pure or -27K: eight kinds of feedback, fifteen scenarios, a random policy.",
    files=(
        "log_standard_*.csv",
        "[log_random_*.csv]",
        "user_features_*.csv",
        "video_features_basic_*.csv",
        "[video_features_statistic_*.csv]",
    ),
    run=run,
    options=KuaiRandOptions,
)
