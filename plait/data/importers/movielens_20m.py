"""MovieLens in the CSV layout of ml-20m, ml-25m, ml-32m and ml-latest: ratings, films and tags; no user profiles."""

import polars as pl

from plait.config import Settings
from plait.data.importers import movielens
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.lines import Field, Layout, read_blocks
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.schema import Columns as C
from plait.schema import TableName

TAG = "tag"


class MovieLens20MOptions(Settings):
    """What can be chosen for MovieLens in the CSV layout."""

    tags: bool = False
    """Import tags.csv too: each tag becomes a behaviour `tag` in the user's history. Off by default, since a user tags
    and rates a film in one sitting, so that a tag right before the rating gives the film away."""


_RATINGS = Layout(
    (
        Field("userId", "integer", required=True),
        Field("movieId", "integer", required=True),
        Field("rating", "number", required=True),
        Field("timestamp", "integer", required=True),
    ),
    ",",
    header=True,
)
_FILMS = Layout(
    (Field("movieId", "integer", required=True), Field("title", required=True), Field("genres", required=True)),
    ",",
    header=True,
    quoted=True,
)
_TAGS = Layout(
    (
        Field("userId", "integer", required=True),
        Field("movieId", "integer", required=True),
        Field("tag", required=True),
        Field("timestamp", "integer", required=True),
    ),
    ",",
    header=True,
    quoted=True,
)
_NAMES = {"userId": C.USER_ID, "movieId": C.ITEM_ID, "timestamp": "seconds"}


def run(source: Source, writer: WorkspaceWriter, options: MovieLens20MOptions) -> Draft:
    """Read the download, write the tables; users are made from the ids that occur."""
    ratings, films = source.find("ratings.csv"), source.find("movies.csv")
    tags = source.find("tags.csv") if options.tags else None
    for block in read_blocks(films, _FILMS, writer):
        writer.append(TableName.ITEMS, movielens.item_table(block.rename({"movieId": C.ITEM_ID})))
    users = pl.Series(C.USER_ID, dtype=pl.Int64)
    for block in read_blocks(ratings, _RATINGS, writer):
        movielens.write_ratings(writer, block.rename(_NAMES))
        users = users.append(block["userId"].unique()).unique()
    for block in read_blocks(tags, _TAGS, writer) if tags is not None else ():
        writer.append(TableName.BEHAVIOURS, _tag_behaviours(block))
        users = users.append(block["userId"].unique()).unique()
    writer.append(TableName.USERS, users.sort().to_frame())
    return movielens.draft(
        "movielens-20m",
        user_columns={},
        edges=movielens.HALF_STAR_EDGES,
        comments={
            "tables.users": "This layout has no profiles: one row per user id that occurs.",
            **({"tables.behaviours": _RATE_AND_TAG} if options.tags else {}),
        },
    )


_RATE_AND_TAG = (
    "action `rate`, value = stars, exposure_id = the exposure that it answers; and action `tag`, which answers none."
)


def _tag_behaviours(tags: pl.DataFrame) -> pl.DataFrame:
    return tags.select(
        (pl.col("timestamp") * 1000).alias(C.TIME),
        pl.col("userId").alias(C.USER_ID),
        pl.col("movieId").alias(C.ITEM_ID),
        pl.lit(TAG).alias(C.ACTION),
        pl.lit(None, dtype=pl.Float64).alias(C.VALUE),
        pl.lit(movielens.SCENARIO).alias(C.SCENARIO),
        pl.lit(None, dtype=pl.Int64).alias(C.EXPOSURE_ID),
    )


IMPORTER = Importer(
    name="movielens-20m",
    summary="MovieLens in the CSV layout of ml-20m, ml-25m, ml-32m and ml-latest.",
    files=("ratings.csv", "movies.csv", "[tags.csv]"),
    run=run,
    options=MovieLens20MOptions,
)
