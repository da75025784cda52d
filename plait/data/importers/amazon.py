"""Amazon 5-core review sequences: each user's items in time order, without times; titles or short texts beside them."""

import json
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field as Limits

from plait.config import ObjectiveSettings, ScenarioSettings, Settings, SplitSettings, TableSettings, Workspace
from plait.data.importers.clock import ORDINAL_NOTE, ordinal_time
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.lines import Field, Layout, read_lines, read_whole
from plait.data.importers.negatives import draw_negatives
from plait.data.importers.source import Source, SourceFile
from plait.data.importers.writing import WorkspaceWriter
from plait.errors import ImportLayoutError
from plait.schema import Columns as C
from plait.schema import Meaning, TableName
from plait.seeding import generator

SCENARIO = "shop"
REVIEW = "review"
ATTRIBUTES = 3
COMMON_SHARE = 0.9

_CHUNK = 1 << 24
_TITLES = Layout((Field("global_product_id", "integer", required=True), Field("name")), ",", header=True, quoted=True)


class AmazonOptions(Settings):
    """What can be chosen for Amazon sequences."""

    negatives: int = Limits(1, ge=0, le=100)
    """How many items that the user never reviewed are shown beside each reviewed one; 0 for next-item work only, where
    nothing is ranked against a label."""
    seed: int = 7
    """Seed of the sampled negatives."""


def run(name: str, source: Source, writer: WorkspaceWriter, options: AmazonOptions) -> Draft:
    """Read the download, write the tables."""
    events = read_events(source.find("user_sequence.txt"), writer)
    items = events[C.ITEM_ID].unique().sort()
    writer.append(TableName.ITEMS, item_table(items, source, writer))
    writer.append(TableName.USERS, events[C.USER_ID].unique(maintain_order=True).to_frame())
    write_events(events, items, writer, options)
    return _draft(name, options)


def write_events(
    events: pl.DataFrame,
    items: pl.Series,
    writer: WorkspaceWriter,
    options: AmazonOptions,
    *,
    scenario: str = SCENARIO,
    first: int = 1,
) -> int:
    """Write `user_id, item_id, step` as exposures with their negatives, and as behaviours.

    Args:
        events: one row per review.
        items: what negatives are drawn from, sorted.
        writer: of the workspace.
        options: number of negatives and seed.
        scenario: of all of them.
        first: exposure id of the first.

    Returns:
        The next exposure id that is free.
    """
    shown = events.select(
        pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias(C.EXPOSURE_ID),
        ordinal_time(pl.col("step")).alias(C.TIME),
        C.USER_ID,
        C.ITEM_ID,
        pl.lit(scenario).alias(C.SCENARIO),
        pl.lit(0, dtype=pl.Int8).alias("is_sampled"),
    )
    writer.append(TableName.EXPOSURES, shown)
    beside = negatives_beside(shown, items, options) if options.negatives else shown.clear()
    if beside.height:
        writer.append(TableName.EXPOSURES, beside)
    writer.append(
        TableName.BEHAVIOURS,
        shown.select(C.TIME, C.USER_ID, C.ITEM_ID, pl.lit(REVIEW).alias(C.ACTION), C.SCENARIO, C.EXPOSURE_ID),
    )
    return first + shown.height + beside.height


def read_events(file: SourceFile, writer: WorkspaceWriter) -> pl.DataFrame:
    """One row per event: `user_id, item_id, step` (from 0), in the order of the file."""
    lines = pl.concat([*read_lines(file, "utf-8", writer), pl.DataFrame(schema=_LINE_SCHEMA)])
    words = pl.col("text").str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    lines = lines.with_columns(words=words).with_columns(
        reason=pl.when("broken")
        .then(pl.lit("not valid UTF-8"))
        .when(pl.col("words").list.len() < 2)
        .then(pl.lit("expected a user and at least one item"))
        .when(~pl.col("words").list.first().is_first_distinct())
        .then(pl.lit("this user has an earlier line"))
    )
    bad = lines.filter(pl.col("reason").is_not_null())
    if bad.height >= lines.height - bad.height:
        raise ImportLayoutError(
            f"{file.path}: {file.name} has another layout: expected lines of 'USER ITEM ITEM ...' in time order, found "
            f"{lines['text'].head(1).to_list()!r:.200}"
        )
    if bad.height:
        writer.reject(file.name, bad.select("line", "reason", "text"))
    good = lines.filter(pl.col("reason").is_null())
    items = pl.col("words").list.slice(1)
    return good.select(
        pl.col("words").list.first().alias(C.USER_ID),
        items.alias(C.ITEM_ID),
        pl.int_ranges(0, items.list.len()).alias("step"),
    ).explode(C.ITEM_ID, "step")


_LINE_SCHEMA = {"line": pl.Int64, "text": pl.String, "broken": pl.Boolean}


def negatives_beside(shown: pl.DataFrame, items: pl.Series, options: AmazonOptions) -> pl.DataFrame:
    """Exposures beside the real ones, at their times, of items that the user never reviewed."""
    users = shown[C.USER_ID].rle_id().to_numpy().astype("int64")
    codes = items.search_sorted(shown[C.ITEM_ID]).to_numpy().astype("int64")
    drawn = draw_negatives(users, codes, len(items), options.negatives, generator(options.seed, "amazon", "negatives"))
    places = np.repeat(np.arange(shown.height), options.negatives)[drawn.reshape(-1) >= 0]
    return shown[places].with_columns(
        items.gather(drawn[drawn >= 0]).alias(C.ITEM_ID),
        (pl.lit(shown[C.EXPOSURE_ID].max()) + pl.int_range(1, 1 + pl.len(), dtype=pl.Int64)).alias(C.EXPOSURE_ID),
        pl.lit(1, dtype=pl.Int8).alias("is_sampled"),
    )


def item_table(items: pl.Series, source: Source, writer: WorkspaceWriter) -> pl.DataFrame:
    """The items with their titles or short texts and their attributes."""
    table = items.to_frame()
    for extra in (_titles(source, writer), _short_texts(source, writer), _attributes(source, writer)):
        table = table.join(extra, on=C.ITEM_ID, how="left", maintain_order="left")
    return table.with_columns(pl.coalesce(C.NAME, "short_text").alias(C.NAME))


def _titles(source: Source, writer: WorkspaceWriter) -> pl.DataFrame:
    titles, numbers = source.find_optional("dhr_products_lookup.csv"), source.find_optional("dhr_item_id_to_int.json")
    if titles is None or numbers is None:
        return pl.DataFrame(schema={C.ITEM_ID: pl.String, C.NAME: pl.String})
    ids = _read_json(numbers, writer)
    by_number = pl.DataFrame({C.ITEM_ID: list(ids), "global_product_id": list(ids.values())})
    names = read_whole(titles, _TITLES, writer).unique("global_product_id", keep="first")
    return by_number.join(names, on="global_product_id").select(C.ITEM_ID, C.NAME)


def _short_texts(source: Source, writer: WorkspaceWriter) -> pl.DataFrame:
    file = source.find_optional("idgenrec_item_textid.txt")
    lines = list(read_lines(file, "utf-8", writer)) if file is not None else []
    parts = pl.col("text").str.splitn(" ", 2).struct.rename_fields([C.ITEM_ID, "short_text"]).alias("parts")
    frame = pl.concat([*lines, pl.DataFrame(schema=_LINE_SCHEMA)]).with_columns(parts).unnest("parts")
    bad = pl.col("broken") | pl.col("short_text").is_null()
    if file is not None and frame.filter(bad).height:
        reason = pl.lit("expected an item and its text").alias("reason")
        writer.reject(file.name, frame.filter(bad).select("line", reason, "text"))
    return frame.filter(~bad).select(C.ITEM_ID, "short_text").unique(C.ITEM_ID, keep="first", maintain_order=True)


def _attributes(source: Source, writer: WorkspaceWriter) -> pl.DataFrame:
    """Per item, its most widely shared attribute codes, from the most to the least shared."""
    columns = [f"attribute_{place + 1}" for place in range(ATTRIBUTES)]
    numbers, attributes = source.find_optional("p5_datamaps.json"), source.find_optional("s3rec_item2attributes.json")
    if numbers is None or attributes is None:
        return pl.DataFrame(schema={C.ITEM_ID: pl.String, **dict.fromkeys(columns, pl.Int64)})
    ids, codes = _read_json(numbers, writer).get("id2item"), _read_json(attributes, writer)
    if not isinstance(ids, dict):
        raise ImportLayoutError(f"{numbers.path}: {numbers.name} has no 'id2item', which names the items")
    long = (
        pl.DataFrame(
            {"number": list(codes), "code": list(codes.values())}, schema_overrides={"code": pl.List(pl.Int64)}
        )
        .explode("code")
        .unique()
        .join(pl.DataFrame({"number": list(ids), C.ITEM_ID: list(ids.values())}), on="number")
        .with_columns(shared=pl.len().over("code").cast(pl.Int64))
        .filter(pl.col("shared") < COMMON_SHARE * len(codes))
        .sort(C.ITEM_ID, -pl.col("shared"), "code")
    )
    ranked = long.group_by(C.ITEM_ID, maintain_order=True).agg("code")
    return ranked.select(
        C.ITEM_ID, *(pl.col("code").list.get(place, null_on_oob=True).alias(name) for place, name in enumerate(columns))
    )


def _read_json(file: SourceFile, writer: WorkspaceWriter) -> dict[str, Any]:
    pieces, done = [], 0
    with file.open() as reader:
        while data := reader.read(_CHUNK):
            pieces.append(data)
            writer.advance(reader.position - done)
            done = reader.position
        writer.finished(file, reader.digest())
    try:
        content = json.loads(b"".join(pieces))
    except ValueError as error:
        raise ImportLayoutError(f"{file.path}: {file.name} is not JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise ImportLayoutError(f"{file.path}: {file.name} holds a {type(content).__name__}, expected a JSON object")
    return content


def _draft(name: str, options: AmazonOptions) -> Draft:
    columns = {f"attribute_{place + 1}": Meaning.CATEGORY for place in range(ATTRIBUTES)}
    workspace = Workspace(
        name=name,
        tables={
            TableName.USERS: TableSettings(path="users/*.parquet"),
            TableName.ITEMS: TableSettings(path="items/*.parquet", columns={"short_text": Meaning.TEXT, **columns}),
            TableName.EXPOSURES: TableSettings(path="exposures/*.parquet", columns={"is_sampled": Meaning.IGNORE}),
            TableName.BEHAVIOURS: TableSettings(path="behaviours/*.parquet"),
        },
        scenarios=[ScenarioSettings(name=SCENARIO, app="Amazon")],
        objectives=[ObjectiveSettings(name="reviewed", action=REVIEW, attribution="exposure_id", window=0, value=1.0)],
        split=SplitSettings(kind="per_user_time"),
    )
    header = (
        f"{name}: Amazon 5-core review sequences, imported by `plait data import {name}`.\n\n{ORDINAL_NOTE}\n\n"
        "The source lists reviewed items only. Exposures are those items and, at the same step, "
        f"{options.negatives} per review that the user never reviewed, drawn uniformly (seed {options.seed}; "
        "is_sampled = 1). Metrics over sampled negatives compare models with each other, not with published rankings."
    )
    return Draft(workspace, header, COMMENTS)


COMMENTS = {
    "tables.users": "The source has no profiles.",
    "tables.items.columns.short_text": "a few words per item, where the download has them",
    "tables.items.columns.attribute_1": "codes without names: the item's attributes, the most widely shared first",
    "tables.exposures.columns.is_sampled": "1 = sampled negative: a label in disguise, never a feature",
    "objectives.reviewed.window": "the review carries the exposure's own time",
    "split.kind": "An ordinal clock leaves no other choice: the last steps of each user are the test.",
}

_FILES = (
    "user_sequence.txt",
    "[dhr_products_lookup.csv + dhr_item_id_to_int.json]",
    "[idgenrec_item_textid.txt]",
    "[p5_datamaps.json + s3rec_item2attributes.json]",
)

BEAUTY = Importer(
    name="amazon-beauty",
    summary="Amazon Beauty 5-core sequences with titles; order only, no times.",
    files=_FILES,
    run=partial(run, "amazon-beauty"),
    options=AmazonOptions,
)
SPORTS = Importer(
    name="amazon-sports",
    summary="Amazon Sports and Outdoors 5-core sequences with short texts; order only, no times.",
    files=_FILES,
    run=partial(run, "amazon-sports"),
    options=AmazonOptions,
)
