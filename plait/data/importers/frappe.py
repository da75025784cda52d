"""Frappe: how often people used which app in which context; no times, and only what was used."""

from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field as Limits

from plait.config import (
    EmbeddingSettings,
    EncoderSettings,
    ObjectiveSettings,
    ScenarioSettings,
    Settings,
    SplitSettings,
    TableSettings,
    Workspace,
)
from plait.data.importers.click_models import click_models
from plait.data.importers.clock import ORDINAL_NOTE, ordinal_time
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.lines import LINE, Field, Layout, read_whole
from plait.data.importers.negatives import draw_negatives
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.schema import Columns as C
from plait.schema import Meaning, TableName
from plait.seeding import generator

SCENARIO = "phone"
USE, HAVE = "use", "have"
CONTEXT = {
    "daytime": "daytime",
    "weekday": "day_of_week",
    "isweekend": "day_kind",
    "homework": "place",
    "weather": "weather",
    "country": "country",
    "city": "city",
}
"""The file's context columns and what they are called here."""

_LOG = Layout(
    (
        Field("user", "integer", required=True),
        Field("item", "integer", required=True),
        Field("cnt", "integer", required=True),
        *(Field(name, required=True) for name in CONTEXT),
        Field("cost"),
    ),
    "\t",
    header=True,
)
_META = Layout(
    (
        Field("item", "integer", required=True),
        *(Field(name) for name in ("category", "downloads", "developer", "language", "description", "name", "price")),
        Field("rating"),
        Field("short desc"),
    ),
    "\t",
    header=True,
    quoted=True,
)
_ITEM_COLUMNS = {
    "cost": Meaning.CATEGORY,
    "downloads": Meaning.CATEGORY,
    "developer": Meaning.CATEGORY,
    "language": Meaning.CATEGORY,
    "price": Meaning.NUMBER,
    "rating": Meaning.NUMBER,
    "short_description": Meaning.TEXT,
}


class FrappeOptions(Settings):
    """What can be chosen for Frappe."""

    negatives: int = Limits(2, ge=0, le=100)
    """How many apps that the user never used are shown beside each used one, in the same context."""
    seed: int = 7
    """Seed of the sampled negatives, of the order of each user's apps and of the apps told in texts."""
    scenario: Literal["phone", "daytime", "day_of_week", "day_kind", "place", "weather"] = "phone"
    """Which context is the scenario, its values being the scenarios; `phone`: there is one scenario of that name."""
    told: float = Limits(0.0, ge=0, lt=1)
    """Share of the apps that are never shown: that a user used them is told as action `have`, before all exposures. A
    text about these alone cannot give a label away."""


def run(source: Source, writer: WorkspaceWriter, options: FrappeOptions) -> Draft:
    """Read the download, write the tables."""
    log_file, meta_file = source.find("frappe.csv"), source.find_optional("meta.csv")
    log = read_whole(log_file, _LOG, writer).rename({"user": C.USER_ID, "item": C.ITEM_ID, **CONTEXT})
    apps = read_whole(meta_file, _META, writer) if meta_file is not None else pl.DataFrame(schema=_meta_schema())
    writer.append(TableName.USERS, log[C.USER_ID].unique().sort().to_frame())
    items = _item_table(log, apps)
    writer.append(TableName.ITEMS, items)
    scenario = pl.lit(SCENARIO) if options.scenario == SCENARIO else pl.col(options.scenario)
    log = log.with_columns(scenario.alias(C.SCENARIO))
    told = _told_apps(items[C.ITEM_ID], options)
    shown = items[C.ITEM_ID].filter(~items[C.ITEM_ID].is_in(told.implode()))
    if options.told:
        pairs = (
            _of_apps(log, told)
            .group_by(C.USER_ID, C.ITEM_ID)
            .agg(pl.col("cnt").sum(), pl.col(LINE, C.SCENARIO).first())
        )
        writer.append(TableName.BEHAVIOURS, _behaviours(pairs.sort(C.USER_ID, C.ITEM_ID).with_columns(step=0), HAVE))
    log = _of_apps(log, shown)
    used = log.join(_ordered_pairs(log, shown, options), on=(C.USER_ID, C.ITEM_ID), how="left", maintain_order="left")
    writer.append(TableName.EXPOSURES, _exposures(used.with_columns(pl.col(LINE).alias(C.EXPOSURE_ID)), sampled=0))
    if options.negatives:
        writer.append(TableName.EXPOSURES, _exposures(_negatives(used, shown), sampled=1))
    writer.append(TableName.BEHAVIOURS, _behaviours(used, USE))
    return _draft(options, used[C.SCENARIO].unique().sort().to_list())


def _told_apps(items: pl.Series, options: FrappeOptions) -> pl.Series:
    """The apps that are only told of."""
    drawn = generator(options.seed, "frappe", "told").random(len(items)) < options.told
    return items.filter(pl.Series(drawn))


def _of_apps(log: pl.DataFrame, apps: pl.Series) -> pl.DataFrame:
    return log.filter(pl.col(C.ITEM_ID).is_in(apps.implode()))


def _behaviours(rows: pl.DataFrame, action: str) -> pl.DataFrame:
    """Every row as a behaviour at its step; a use belongs to the exposure of its row."""
    return rows.select(
        ordinal_time(pl.col("step")).alias(C.TIME),
        C.USER_ID,
        C.ITEM_ID,
        pl.lit(action).alias(C.ACTION),
        pl.col("cnt").cast(pl.Float64).alias(C.VALUE),
        C.SCENARIO,
        (pl.col(LINE) if action == USE else pl.lit(None, dtype=pl.Int64)).alias(C.EXPOSURE_ID),
    )


def _meta_schema() -> dict[str, type[pl.DataType]]:
    return {field.name: pl.Int64 if field.kind == "integer" else pl.String for field in _META.fields}


def _ordered_pairs(log: pl.DataFrame, items: pl.Series, options: FrappeOptions) -> pl.DataFrame:
    """Every user-app pair with its step, a place in a seeded order of the user's apps, and its negatives' codes."""
    pairs = log.select(C.USER_ID, C.ITEM_ID).unique().sort(C.USER_ID, C.ITEM_ID)
    order = generator(options.seed, "frappe", "order").permutation(pairs.height)
    codes = items.search_sorted(pairs[C.ITEM_ID]).to_numpy().astype(np.int64)
    users = pairs[C.USER_ID].to_numpy().astype(np.int64)
    stream = generator(options.seed, "frappe", "negatives")
    drawn = draw_negatives(users, codes, len(items), options.negatives, stream)
    return pairs.with_columns(
        pl.Series("step", order), pl.Series("negatives", drawn).cast(pl.List(pl.Int64))
    ).with_columns(pl.col("step").rank("ordinal").over(C.USER_ID) - (0 if options.told else 1))


def _exposures(rows: pl.DataFrame, sampled: int) -> pl.DataFrame:
    return rows.select(
        C.EXPOSURE_ID,
        ordinal_time(pl.col("step")).alias(C.TIME),
        C.USER_ID,
        C.ITEM_ID,
        C.SCENARIO,
        *CONTEXT.values(),
        pl.lit(sampled, dtype=pl.Int8).alias("is_sampled"),
    )


def _negatives(used: pl.DataFrame, items: pl.Series) -> pl.DataFrame:
    """The pair's negatives in every context of the pair, at its step."""
    first = used.select(pl.col(LINE).max() + 1).item()
    return (
        used.explode("negatives")
        .filter(pl.col("negatives") >= 0)
        .with_columns(pl.lit(items).gather(pl.col("negatives")).alias(C.ITEM_ID))
        .with_columns(pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias(C.EXPOSURE_ID))
    )


def _item_table(log: pl.DataFrame, apps: pl.DataFrame) -> pl.DataFrame:
    """Every app of the log or the descriptions; "unknown" is no value."""
    known = apps.with_columns(pl.when(pl.col(pl.String) != "unknown").then(pl.col(pl.String)).name.keep())
    described = known.unique("item", keep="first").select(
        pl.col("item").alias(C.ITEM_ID),
        pl.col("name").alias(C.NAME),
        pl.col("category").alias(C.CATEGORY_1),
        pl.col("description").alias(C.DESCRIPTION),
        "downloads",
        "developer",
        "language",
        pl.when(pl.col("price") == "Free")
        .then(0.0)
        .otherwise(pl.col("price").str.strip_prefix("$").str.replace_all(",", "").cast(pl.Float64, strict=False))
        .alias("price"),
        pl.col("rating").cast(pl.Float64, strict=False),
        pl.col("short desc").alias("short_description"),
    )
    costs = log.group_by(C.ITEM_ID).agg(pl.col("cost").first())
    return described.join(costs, on=C.ITEM_ID, how="full", coalesce=True).sort(C.ITEM_ID)


def _draft(options: FrappeOptions, scenarios: list[str]) -> Draft:
    workspace = Workspace(
        name="frappe",
        tables={
            TableName.USERS: TableSettings(path="users/*.parquet"),
            TableName.ITEMS: TableSettings(path="items/*.parquet", columns=_ITEM_COLUMNS),
            TableName.EXPOSURES: TableSettings(
                path="exposures/*.parquet",
                columns={**dict.fromkeys(CONTEXT.values(), Meaning.CATEGORY), "is_sampled": Meaning.IGNORE},
            ),
            TableName.BEHAVIOURS: TableSettings(path="behaviours/*.parquet"),
        },
        scenarios=[ScenarioSettings(name=name, app="Frappe") for name in scenarios],
        objectives=[ObjectiveSettings(name="used", action=USE, attribution="exposure_id", window=0, value=1.0)],
        split=SplitSettings(kind="per_user_time"),
        embedding=_TOLD_IN_TEXTS if options.told else EmbeddingSettings(),
        models=_MODELS if options.told else {},
    )
    return Draft(workspace, _HEADER.format(negatives=options.negatives, seed=options.seed), _COMMENTS)


_TOLD_IN_TEXTS = EmbeddingSettings(
    encoder=EncoderSettings(kind="minilm"), language="en", actions={HAVE: "apps"}, items=20, recency="36500d"
)
"""Users told by the apps that are never shown, whatever the ordinal clock says."""

_MODELS = click_models(inputs=["user", "item", "context"], embedding_dim=16, tuned_parts=["user", "context"])
"""Published tables give models user, app and context; what the ordinal clock would count is left out."""

_HEADER = (
    "frappe: app usage in context, imported by `plait data import frappe`.\n\n"
    "Research use only and no redistribution: see the README of the download.\n\n"
    f"{ORDINAL_NOTE}\n\n"
    "A step is one user-app pair: all contexts in which the user used the app, in a seeded random order of the user's "
    "apps. So the split by time is a split by pair: rows of one pair never stand on both sides.\n\n"
    "The source lists used apps only. Each pair brings {negatives} apps that the user never used (uniform, seed "
    "{seed}, none twice for a user) in the pair's own contexts at the pair's step; is_sampled = 1."
)

_COMMENTS = {
    "tables.users": "The source has no profiles.",
    "tables.items.columns.cost": "free or paid",
    "tables.items.columns.price": "in the store's currency; 0 = free",
    "tables.items.columns.rating": "mean stars in the store",
    "tables.exposures.columns.place": "home, work or unknown",
    "tables.exposures.columns.day_kind": "weekend or workday",
    "tables.exposures.columns.is_sampled": "1 = sampled negative: a label in disguise, never a feature",
    "tables.behaviours": "action `use`, value = how often the app was used in that context.",
    "objectives.used.window": "the use carries the exposure's own time",
    "split.kind": "An ordinal clock leaves no other choice: the last pairs of each user are the test.",
}

IMPORTER = Importer(
    name="frappe",
    summary="Frappe: app usage in context; no times, sampled negatives.",
    files=("frappe.csv", "[meta.csv]"),
    run=run,
    options=FrappeOptions,
)
