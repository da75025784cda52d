"""MovieLens-100k in its official layout: `u.data` (tabs), `u.item` and `u.user` (bars), Latin-1."""

import polars as pl

from plait.config import Settings
from plait.data.importers import movielens
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.lines import Field, Layout, read_blocks, read_whole
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The order of the flags in `u.item`."""

_RATINGS = movielens.ratings_layout("\t")
_FILMS = Layout(
    (
        Field(C.ITEM_ID, "integer", required=True),
        Field("title", required=True),
        Field("release_date"),
        Field("video_release_date"),
        Field("imdb_url"),
        *(Field(genre, "integer") for genre in GENRES),
    ),
    "|",
    encoding="latin-1",
)
_USERS = Layout(
    (
        Field(C.USER_ID, "integer", required=True),
        Field("age", "integer"),
        Field("gender"),
        Field("occupation"),
        Field("zip_code"),
    ),
    "|",
    encoding="latin-1",
)


def run(source: Source, writer: WorkspaceWriter, _: Settings) -> Draft:
    """Read the download, write the tables."""
    ratings, films, users = source.find("u.data"), source.find("u.item"), source.find("u.user")
    writer.append(TableName.ITEMS, movielens.item_table(_with_genres(read_whole(films, _FILMS, writer))))
    profiles = read_whole(users, _USERS, writer)
    writer.append(
        TableName.USERS,
        profiles.select(
            C.USER_ID, "age", "gender", "occupation", pl.col("zip_code").str.slice(0, 3).alias("zip_prefix")
        ),
    )
    for block in read_blocks(ratings, _RATINGS, writer):
        movielens.write_ratings(writer, block)
    return movielens.draft(
        "movielens-100k",
        user_columns={
            "age": Meaning.NUMBER,
            **dict.fromkeys(("gender", "occupation", "zip_prefix"), Meaning.CATEGORY),
        },
        edges=movielens.WHOLE_STAR_EDGES,
        comments={
            "tables.users.columns.age": "in years",
            "tables.users.columns.zip_prefix": "first three characters of the ZIP code: a sectional centre",
        },
    )


def _with_genres(films: pl.DataFrame) -> pl.DataFrame:
    """The nineteen flags as one text "A|B"; `unknown` is no genre."""
    names = [pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in GENRES[1:]]
    return films.with_columns(genres=pl.concat_str(names, separator="|", ignore_nulls=True))


IMPORTER = Importer(
    name="movielens-100k",
    summary="MovieLens-100k: a hundred thousand star ratings with user profiles.",
    files=("u.data", "u.item", "u.user"),
    run=run,
)
