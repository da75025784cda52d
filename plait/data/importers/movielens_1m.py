"""MovieLens-1M in its official layout: `::` separated, Latin-1."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import PositiveInt, field_serializer

from plait import seeding
from plait.config import (
    EmbeddingSettings,
    EncoderSettings,
    ObjectiveSettings,
    ScenarioSettings,
    Settings,
    SplitSettings,
)
from plait.data.importers import movielens
from plait.data.importers.click_models import click_models
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.lines import LINE, Field, Layout, read_blocks, read_whole
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.errors import DataError
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

_UNDECIDED = 3.0
"""Stars that say neither liked nor disliked."""

_MODELS = click_models(inputs=["user", "item"], tuned_parts=["item"])
"""Published tables give models ids, profile and film, no clock and no counts."""
_EMBEDDING = EmbeddingSettings(
    encoder=EncoderSettings(kind="minilm", max_tokens=128),
    language="en",
    every=3_600_000,
    recency=3_660 * 86_400_000,
)
"""Most people rated within one day, so their texts are made by the hour; what they rated long ago still counts."""

DAYPARTS = ("night", "morning", "afternoon", "evening")
"""The quarters of the day, from midnight on."""
_DAYPART = pl.lit(pl.Series(DAYPARTS)).gather(pl.col("seconds") // 21_600 % 4)
_TOP = ObjectiveSettings(
    name="top", action=movielens.RATE, min_value=5.0, parent="liked", attribution="exposure_id", window=0, value=1.0
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


class MovieLensOptions(Settings):
    """What can be chosen for MovieLens-1M; together, the protocols of published tables."""

    protocol: Literal["plait", "ctr"] = "plait"
    """`ctr`: as in tables of click models, ratings of 3 stars are left out (more is liked, less is not) and train,
    validation and test are 8:1:1. `plait`: all ratings, 7:1:2."""
    split: Literal["per_user_time", "global_time"] = "per_user_time"
    """What the shares are counted on."""
    top: bool = False
    """A second objective, `top`: five stars, which only what is liked gets."""
    dayparts: bool = False
    """Scenarios are the quarters of the day (UTC): night, morning, afternoon, evening."""
    users: PositiveInt | None = None
    """Only so many users, drawn by a fixed seed, and their ratings: a table that is trained in minutes."""
    exact_times: Path | None = None
    """Parquet, one column of flags, a flag per line of `ratings.dat`: is its time the log's own? Users without any
    such time are left out: what a split by global time needs on a copy whose times were filled in."""

    @field_serializer("exact_times")
    def _name_only(self, path: Path | None) -> str | None:
        """In the manifest stand no paths."""
        return path.name if path is not None else None


def run(source: Source, writer: WorkspaceWriter, options: MovieLensOptions) -> Draft:
    """Read the download, write the tables."""
    ratings, films, users = source.find("ratings.dat"), source.find("movies.dat"), source.find("users.dat")
    writer.append(TableName.ITEMS, movielens.item_table(read_whole(films, _FILMS, writer)))
    people = _user_table(read_whole(users, _USERS, writer))
    if options.users is not None:
        people = _drawn(people, options.users)
    writer.append(TableName.USERS, people)
    blocks = list(read_blocks(ratings, _RATINGS, writer))
    kept = pl.lit(value=True) if options.protocol == "plait" else pl.col("rating") != _UNDECIDED
    if options.exact_times is not None:
        kept &= pl.col(C.USER_ID).is_in(_timed_users(pl.concat(blocks), options.exact_times).implode())
    scenario = _DAYPART if options.dayparts else pl.lit(movielens.SCENARIO)
    if options.users is not None:
        kept &= pl.col(C.USER_ID).is_in(people[C.USER_ID].implode())
    for block in blocks:
        movielens.write_ratings(writer, block.filter(kept), scenario)
    draft = movielens.draft(
        "movielens-1m",
        user_columns=dict.fromkeys(("gender", "age", "occupation", "zip_prefix"), Meaning.CATEGORY),
        edges=movielens.WHOLE_STAR_EDGES,
        comments={
            "tables.users.columns.age": "seven ranges",
            "tables.users.columns.occupation": "twenty-one, by name",
            "tables.users.columns.zip_prefix": "first three characters of the ZIP code: a sectional centre",
        },
    )

    share = 0.1 if options.protocol == "ctr" else SplitSettings().test
    changes: dict[str, Any] = {"split": SplitSettings(kind=options.split, test=share)}
    if options.top:
        changes["objectives"] = [*draft.workspace.objectives, _TOP]
    if options.dayparts:
        changes["scenarios"] = [ScenarioSettings(name=name, app="MovieLens") for name in DAYPARTS]
    if options.protocol == "ctr":
        changes |= {"models": _MODELS, "embedding": _EMBEDDING}
    return replace(draft, workspace=draft.workspace.model_copy(update=changes))


def _drawn(people: pl.DataFrame, count: int) -> pl.DataFrame:
    """So many of the users, in their order.

    Raises:
        DataError: there are not as many.
    """
    if count > len(people):
        raise DataError(f"option users: found {count:,}, expected at most the {len(people):,} of users.dat")
    places = seeding.generator(0, "MovieLens users").permutation(len(people))[:count]
    return people[np.sort(places)]


def _timed_users(ratings: pl.DataFrame, exact_times: Path) -> pl.Series:
    """Users with at least one time of the log's own."""
    flags = pl.read_parquet(exact_times)
    if flags.width != 1 or flags.dtypes != [pl.Boolean]:
        raise DataError(f"{exact_times}: found columns {flags.schema}, expected one column of flags")
    lines_N = ratings[LINE].to_numpy()
    if lines_N.max(initial=0) > flags.height:
        raise DataError(
            f"{exact_times}: found {flags.height:,} flags, expected one for each line of ratings.dat, which has "
            f"{lines_N.max():,} or more"
        )
    return ratings.filter(flags.to_series().to_numpy()[lines_N - 1])[C.USER_ID].unique().sort()


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
    options=MovieLensOptions,
)
