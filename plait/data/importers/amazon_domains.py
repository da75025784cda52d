"""Amazon Beauty and Sports as two scenarios, with the people that both know."""

import polars as pl

from plait.config import ObjectiveSettings, ScenarioSettings, SplitSettings, TableSettings, Workspace
from plait.data.importers.amazon import (
    ATTRIBUTES,
    COMMENTS,
    REVIEW,
    AmazonOptions,
    item_table,
    read_events,
    write_events,
)
from plait.data.importers.clock import ORDINAL_NOTE
from plait.data.importers.contract import Draft, Importer
from plait.data.importers.source import Source
from plait.data.importers.writing import WorkspaceWriter
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

NAME = "amazon-beauty-sports"
DOMAINS = {"beauty": "amazon-beauty", "sports": "amazon-sports"}
"""Scenarios, and the folder that each is read from."""
PERSON = "person"
_CODES = [f"attribute_{place + 1}" for place in range(ATTRIBUTES)]


def run(source: Source, writer: WorkspaceWriter, options: AmazonOptions) -> Draft:
    """Read both downloads, write the tables.

    The two have no common clock, so they are never put into one order: a user is a person in one domain, with that
    domain's history only, and both users of a person carry the person's id as a profile column.
    """
    known = pl.Series(C.ITEM_ID, [], pl.String)
    first = 1
    for domain, folder in DOMAINS.items():
        part = source.within(folder)
        events = read_events(part.find("user_sequence.txt"), writer)
        users = events[C.USER_ID].unique(maintain_order=True)
        of_domain = pl.lit(f"{domain}:")
        writer.append(
            TableName.USERS, pl.DataFrame({PERSON: users}).select((of_domain + pl.col(PERSON)).alias(C.USER_ID), PERSON)
        )
        items = events[C.ITEM_ID].unique().sort()
        table = item_table(items, part, writer).filter(~pl.col(C.ITEM_ID).is_in(known.implode()))
        coded = table.with_columns((of_domain + pl.col(code).cast(pl.String)).alias(code) for code in _CODES)
        writer.append(TableName.ITEMS, coded)
        known = pl.concat([known, items])
        events = events.with_columns((of_domain + pl.col(C.USER_ID)).alias(C.USER_ID))
        first = write_events(events, items, writer, options, scenario=domain, first=first)
    return _draft(options)


def _draft(options: AmazonOptions) -> Draft:
    columns = {"short_text": Meaning.TEXT, **dict.fromkeys(_CODES, Meaning.CATEGORY)}
    workspace = Workspace(
        name=NAME,
        tables={
            TableName.USERS: TableSettings(path="users/*.parquet", columns={PERSON: Meaning.CATEGORY}),
            TableName.ITEMS: TableSettings(path="items/*.parquet", columns=columns),
            TableName.EXPOSURES: TableSettings(path="exposures/*.parquet", columns={"is_sampled": Meaning.IGNORE}),
            TableName.BEHAVIOURS: TableSettings(path="behaviours/*.parquet"),
        },
        scenarios=[ScenarioSettings(name=domain, app="Amazon") for domain in DOMAINS],
        objectives=[ObjectiveSettings(name="reviewed", action=REVIEW, attribution="exposure_id", window=0, value=1.0)],
        split=SplitSettings(kind="per_user_time"),
    )
    header = (
        f"{NAME}: Amazon Beauty and Sports 5-core review sequences, imported by `plait data import {NAME}`.\n\n"
        f"{ORDINAL_NOTE}\n\nThe domains have no common clock and are never interleaved: a user is a person in one "
        "domain, with that domain's history only; `person` is the same for both users of a person.\n\n"
        f"Each review brings {options.negatives} items of its domain that the user never reviewed, drawn uniformly "
        f"(seed {options.seed}; is_sampled = 1)."
    )
    comments = {key: text for key, text in COMMENTS.items() if key != "tables.users"}
    return Draft(workspace, header, {**comments, "tables.users.columns.person": "who it is in either domain"})


IMPORTER = Importer(
    name=NAME,
    summary="Both Amazon downloads as two scenarios with shared people; order only, no times.",
    files=tuple(f"{folder}/user_sequence.txt" for folder in DOMAINS.values()),
    run=run,
    options=AmazonOptions,
)
