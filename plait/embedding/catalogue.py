"""The checked tables in words: items with names and categories, users with profiles, creatives with texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plait.config import Workspace
from plait.embedding.templates import CreativeWords, ItemWords
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

Key = int | str


@dataclass(frozen=True)
class Catalogue:
    """Every item in words, in the order of the table."""

    words: list[ItemWords]
    rows: Mapping[Key, int]
    """Place of each item id."""

    def of(self, item_id: Key) -> ItemWords:
        """The words of an item; its id where the table does not have it."""
        row = self.rows.get(item_id)
        return ItemWords(str(item_id)) if row is None else self.words[row]


def read_catalogue(tables: Path, language: str) -> Catalogue:
    """The items of the checked tables; columns called `<column>_<language>` are read where there are.

    An item without a name is called by its id.
    """
    frame = _table(tables, TableName.ITEMS)
    path = [_column(frame, name, language) for name in (C.CATEGORY_1, C.CATEGORY_2, C.CATEGORY_3)]
    chosen = frame.select(
        C.ITEM_ID,
        _column(frame, C.NAME, language).fill_null(pl.col(C.ITEM_ID).cast(pl.String)).alias("name"),
        pl.concat_list(path).list.drop_nulls().alias("path"),
        _column(frame, C.DESCRIPTION, language).fill_null("").alias("description"),
    )
    words = [ItemWords(name, tuple(categories), text) for _, name, categories, text in chosen.iter_rows()]
    return Catalogue(words, {item_id: row for row, item_id in enumerate(chosen[C.ITEM_ID].to_list())})


def read_profiles(tables: Path, workspace: Workspace) -> dict[Key, dict[str, str]]:
    """What the users table says of each user, by column: those that mean `category` or `number`."""
    frame = _table(tables, TableName.USERS)
    meanings = workspace.tables[TableName.USERS].columns
    kept = [name for name, meaning in meanings.items() if meaning in (Meaning.CATEGORY, Meaning.NUMBER)]
    rows = frame.select(C.USER_ID, *(pl.col(name).cast(pl.String) for name in kept)).iter_rows()
    return {
        user_id: {name: value for name, value in zip(kept, values, strict=True) if value is not None}
        for user_id, *values in rows
    }


def read_creatives(tables: Path, catalogue: Catalogue) -> dict[Key, CreativeWords]:
    """The creatives of the checked tables; none where the workspace has none."""
    if not (tables / TableName.CREATIVES).exists():
        return {}
    frame = _table(tables, TableName.CREATIVES)
    text = pl.col(C.TEXT) if C.TEXT in frame.columns else pl.lit("")
    rows = frame.select(C.CREATIVE_ID, C.ITEM_ID, text.fill_null("").alias("text")).iter_rows()
    return {creative_id: CreativeWords(catalogue.of(item_id), text) for creative_id, item_id, text in rows}


def _table(tables: Path, name: TableName) -> pl.DataFrame:
    return pl.read_parquet(tables / name / "part-*.parquet")


def _column(frame: pl.DataFrame, name: str, language: str) -> pl.Expr:
    """The column in this language, else as it is, else nulls."""
    found = [pl.col(each).cast(pl.String) for each in (f"{name}_{language}", name) if each in frame.columns]
    return pl.coalesce(found) if found else pl.lit(None, dtype=pl.String)
