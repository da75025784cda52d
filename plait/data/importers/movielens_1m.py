"""MovieLens-1M in its official layout: `::` separated, Latin-1."""

import polars as pl

from plait.config import Settings
from plait.data.importers import movielens
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.lines import Field, Layout, read_blocks, read_whole
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

AGES = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
OCCUPATIONS = (
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)

_RATINGS = movielens.ratings_layout("::")
_FILMS = Layout(
    (Field(C.ITEM_ID, "integer", required=True), Field("title", required=True), Field("genres")),
    "::",
    encoding="latin-1",
)
_USERS = Layout(
    (
        Field(C.USER_ID, "integer", required=True),
        Field("gender"),
        Field("age", "integer"),
        Field("occupation", "integer"),
        Field("zip_code"),
    ),
    "::",
    encoding="latin-1",
)


def run(source: Source, writer: WorkspaceWriter, _: Settings) -> Draft:
    """Read the download, write the tables."""
    ratings, films, users = source.find("ratings.dat"), source.find("movies.dat"), source.find("users.dat")
    writer.append(TableName.ITEMS, movielens.item_table(read_whole(films, _FILMS, writer)))
    writer.append(TableName.USERS, _user_table(read_whole(users, _USERS, writer)))
    for block in read_blocks(ratings, _RATINGS, writer):
        movielens.write_ratings(writer, block)
    return movielens.draft(
        "movielens-1m",
        user_columns=dict.fromkeys(("gender", "age", "occupation", "zip_prefix"), Meaning.CATEGORY),
        edges=movielens.WHOLE_STAR_EDGES,
        comments={
            "tables.users.columns.age": "seven ranges",
            "tables.users.columns.occupation": "twenty-one, by name",
            "tables.users.columns.zip_prefix": "first three characters of the ZIP code: a sectional centre",
        },
    )


def _user_table(users: pl.DataFrame) -> pl.DataFrame:
    return users.select(
        C.USER_ID,
        "gender",
        pl.col("age").replace_strict(AGES, default=None, return_dtype=pl.String),
        pl.col("occupation").replace_strict(dict(enumerate(OCCUPATIONS)), default=None, return_dtype=pl.String),
        pl.col("zip_code").str.slice(0, 3).alias("zip_prefix"),
    )


IMPORTER = Importer(
    name="movielens-1m",
    summary="MovieLens-1M: a million star ratings with user profiles.",
    files=("ratings.dat", "movies.dat", "users.dat"),
    run=run,
)
