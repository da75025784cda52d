"""What the MovieLens layouts share: each rating is an exposure and a behaviour `rate`, seconds become milliseconds."""

from collections.abc import Mapping

import polars as pl

from plait.config import ActionSettings, ObjectiveSettings, ScenarioSettings, SplitSettings, TableSettings, Workspace
from plait.data.importers.contract import Draft
from plait.data.importers.lines import LINE, Field, Layout
from plait.data.importers.writing import WorkspaceWriter
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

SCENARIO = "movies"
RATE = "rate"
WHOLE_STAR_EDGES = (1.5, 2.5, 3.5, 4.5)
HALF_STAR_EDGES = (0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75)

_ITEM_COLUMNS = {"year": Meaning.NUMBER, "genres": Meaning.SEQUENCE}


def ratings_layout(separator: str) -> Layout:
    """The four columns of a ratings file without a header."""
    return Layout(
        (
            Field(C.USER_ID, "integer", required=True),
            Field(C.ITEM_ID, "integer", required=True),
            Field("rating", "number", required=True),
            Field("seconds", "integer", required=True),
        ),
        separator,
        encoding="latin-1",
    )


def write_ratings(writer: WorkspaceWriter, ratings: pl.DataFrame, scenario: pl.Expr | None = None) -> None:
    """Write rows of `line, user_id, item_id, rating, seconds` as exposures and behaviours.

    The exposure id is the line in the ratings file.

    Args:
        writer: of the workspace.
        ratings: the rows.
        scenario: of a row; None for `SCENARIO`.
    """
    seen = ratings.select(
        pl.col(LINE).alias(C.EXPOSURE_ID),
        (pl.col("seconds") * 1000).alias(C.TIME),
        C.USER_ID,
        C.ITEM_ID,
        (pl.lit(SCENARIO) if scenario is None else scenario).alias(C.SCENARIO),
        "rating",
    )
    writer.append(TableName.EXPOSURES, seen.drop("rating"))
    writer.append(
        TableName.BEHAVIOURS,
        seen.select(
            C.TIME,
            C.USER_ID,
            C.ITEM_ID,
            pl.lit(RATE).alias(C.ACTION),
            pl.col("rating").alias(C.VALUE),
            C.SCENARIO,
            C.EXPOSURE_ID,
        ),
    )


def item_table(films: pl.DataFrame) -> pl.DataFrame:
    """`item_id, title, genres` ("A|B") as the items table: name, year from the title, genres and their first."""
    title = pl.col("title").str.strip_chars()
    genres = pl.when(~pl.col("genres").is_in(["", "(no genres listed)"])).then(pl.col("genres")).str.split("|")
    return films.select(
        C.ITEM_ID,
        title.str.replace(r"\s*\(\d{4}\)$", "").alias(C.NAME),
        genres.list.first().alias(C.CATEGORY_1),
        title.str.extract(r"\((\d{4})\)$").cast(pl.Int32).alias("year"),
        genres.alias("genres"),
    )


def draft(
    name: str,
    *,
    user_columns: Mapping[str, Meaning],
    edges: tuple[float, ...],
    comments: Mapping[str, str],
) -> Draft:
    """The workspace file of a MovieLens import."""
    workspace = Workspace(
        name=name,
        tables={
            TableName.USERS: TableSettings(path="users/*.parquet", columns=dict(user_columns)),
            TableName.ITEMS: TableSettings(path="items/*.parquet", columns=dict(_ITEM_COLUMNS)),
            TableName.EXPOSURES: TableSettings(path="exposures/*.parquet"),
            TableName.BEHAVIOURS: TableSettings(path="behaviours/*.parquet"),
        },
        scenarios=[ScenarioSettings(name=SCENARIO, app="MovieLens")],
        objectives=[
            ObjectiveSettings(name="liked", action=RATE, min_value=4.0, attribution="exposure_id", window=0, value=1.0)
        ],
        actions={RATE: ActionSettings(value_edges=list(edges))},
        split=SplitSettings(kind="per_user_time"),
    )
    return Draft(workspace, _HEADER.format(name=name), {**_COMMENTS, **comments})


_HEADER = """{name}: MovieLens ratings by GroupLens Research, imported by `plait data import {name}`.

Research use only and no redistribution: see the README of the download.

Each rating is an exposure (the film was shown to someone who then rated it) and a behaviour `rate` with the stars as
its value, at the same time. MovieLens does not log what was shown and ignored: exposures here are rated films only.

Times are the file's own, in seconds, stored as milliseconds. The official download has the real times; with a copy
whose times were altered or filled in, rely on the order within a user only, as the split below does."""

_COMMENTS = {
    "tables.items.columns.year": "year of release, from the title",
    "tables.items.columns.genres": "all genres; category_1 is the first one",
    "tables.exposures": "One row per rating; exposure_id is its line in the ratings file.",
    "tables.behaviours": "action `rate`, value = stars, exposure_id = the exposure that it answers.",
    "scenarios": "MovieLens has one place.",
    "objectives.liked": "Task: liked, that is more than 3 stars.",
    "objectives.liked.window": "the rating carries the exposure's own time",
    "actions.rate": "Each number of stars is an action of its own to sequence models.",
    "split.kind": "People rate in bursts at different dates, so each user's own history is cut: the last are the test.",
}
