"""The checked tables in words: items with names and categories, users with profiles, creatives with texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plait.config import Workspace
from plait.embedding.templates import CreativeWords, ItemWords
from plait.schema import Columns as C
from plait.schema import CreativeProfile, Meaning, TableName
from plait.schema.creative_words import Word

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


def read_creatives(
    tables: Path, catalogue: Catalogue, profiles: Mapping[Key, CreativeProfile], language: str
) -> dict[Key, CreativeWords]:
    """The creatives of the checked tables, with what is understood of them; none where the workspace has none.

    A creative without a text of its own has the one that was read off its picture.
    """
    if not (tables / TableName.CREATIVES).exists():
        return {}
    frame = _table(tables, TableName.CREATIVES)
    text = pl.col(C.TEXT) if C.TEXT in frame.columns else pl.lit("")
    rows = frame.select(C.CREATIVE_ID, C.ITEM_ID, text.fill_null("").alias("text")).iter_rows()
    nothing = CreativeProfile(creative_id="")
    made = {}
    for creative_id, item_id, text in rows:
        profile = profiles.get(creative_id, nothing)
        fields = understood(profile, language)
        made[creative_id] = CreativeWords(catalogue.of(item_id), text or profile.text or "", fields)
    return made


def understood(profile: CreativeProfile, language: str) -> dict[str, str]:
    """The fields of a profile that say something, by their names in a language."""
    fields = {}
    for name, names in _UNDERSTOOD.items():
        value = getattr(profile, name)
        if value is None or value == ():
            continue
        if isinstance(value, bool):
            value = _YES_NO[language][value]
        elif isinstance(value, Word):
            value = getattr(value, language)
        elif isinstance(value, tuple):
            value = (" - " if name == "label" else _COMMA[language]).join(value)
        fields[names[language]] = value
    return fields


_UNDERSTOOD: Mapping[str, Mapping[str, str]] = {
    "label": {"zh": "类别", "en": "about"},
    "object_type": {"zh": "主体", "en": "shows"},
    "person": {"zh": "人物", "en": "person"},
    "text_type": {"zh": "文案类型", "en": "copy"},
    "text_key_words": {"zh": "关键词", "en": "key words"},
    "color": {"zh": "主色", "en": "colour"},
    "tone": {"zh": "色调", "en": "tone"},
    "screen_orientation": {"zh": "画面", "en": "format"},
}
"""What a creative's text tells of its profile, in this order: what it is about before how it looks."""
_YES_NO = {"zh": ("无", "有"), "en": ("no", "yes")}
_COMMA = {"zh": "、", "en": ", "}


def _table(tables: Path, name: TableName) -> pl.DataFrame:
    return pl.read_parquet(tables / name / "part-*.parquet")


def _column(frame: pl.DataFrame, name: str, language: str) -> pl.Expr:
    """The column in this language, else as it is, else nulls."""
    found = [pl.col(each).cast(pl.String) for each in (f"{name}_{language}", name) if each in frame.columns]
    return pl.coalesce(found) if found else pl.lit(None, dtype=pl.String)
