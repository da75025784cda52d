"""Which of the five tables each found table is, and what its columns are called there."""

from dataclasses import dataclass
from typing import Any

from plait.data.inspection.files import FoundTable
from plait.data.inspection.words import COLUMN_WORDS, TABLE_WORDS, says, squash
from plait.schema import TABLES, TableName
from plait.schema import Columns as C

_NEEDED: dict[TableName, tuple[str, ...]] = {
    TableName.EXPOSURES: (C.USER_ID, C.ITEM_ID, C.TIME),
    TableName.BEHAVIOURS: (C.USER_ID, C.ITEM_ID, C.TIME, C.ACTION),
    TableName.CREATIVES: (C.CREATIVE_ID, C.ITEM_ID),
    TableName.ITEMS: (C.ITEM_ID,),
    TableName.USERS: (C.USER_ID,),
}
"""Without these a table is not recognised; other required columns that lack are pointed out."""
_EXCLUDED: dict[TableName, tuple[str, ...]] = {
    TableName.CREATIVES: (C.USER_ID,),
    TableName.ITEMS: (C.USER_ID, C.CREATIVE_ID),
    TableName.USERS: (C.ITEM_ID,),
}
_NAMED = 10.0
"""What a telling file name weighs against matching columns."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A found table taken for one of the five."""

    table: FoundTable
    columns: dict[str, str]
    """Plait's column name -> the file's."""
    named: bool
    """The file's name says so too."""

    @property
    def rename(self) -> dict[str, str]:
        """The columns that are called otherwise in the file."""
        return {ours: theirs for ours, theirs in self.columns.items() if ours != theirs}

    @property
    def extra(self) -> list[str]:
        """The file's columns that Plait gives no meaning of its own."""
        known = set(self.columns.values())
        return [name for name in self.table.sample.columns if name not in known]

    def column(self, ours: str) -> Any:
        """The sample of Plait's column `ours`."""
        return self.table.sample[self.columns[ours]]


def recognise(found: list[FoundTable]) -> dict[TableName, Recognised]:
    """The best table of the found ones for each of the five, where there is one; none is taken twice."""
    candidates = []
    for place, table in enumerate(found):
        for name in TableName:
            columns = match_columns(name, table)
            if all(column in columns for column in _NEEDED[name]) and not _holds_excluded(name, table):
                named = _table_of(table.words) is name
                score = named * _NAMED + len(columns)
                candidates.append((-score, place, name, Recognised(table, columns, named)))
    chosen: dict[TableName, Recognised] = {}
    taken: set[int] = set()
    for _, place, name, recognised in sorted(candidates, key=lambda candidate: candidate[:3]):
        if name not in chosen and place not in taken:
            chosen[name] = recognised
            taken.add(place)
    return {name: chosen[name] for name in TableName if name in chosen}


def match_columns(name: TableName, table: FoundTable) -> dict[str, str]:
    """Plait's column name -> the file's, for the columns of table `name` that `table` has under some known name.

    An exact name comes first, then the synonyms in the order of `COLUMN_WORDS`.
    """
    present = {squash(column): column for column in reversed(table.sample.columns)}
    matched: dict[str, str] = {}
    for spec in TABLES[name].columns:
        words = [squash(spec.name), *COLUMN_WORDS.get(spec.name, ())]
        if spec.name == TABLES[name].key:
            words += ["id", "编号"]
        if spec.name in table.sample.columns:
            matched[spec.name] = spec.name
            continue
        theirs = next((present[word] for word in words if word in present), None)
        if theirs is not None and theirs not in matched.values() and theirs not in _exact(name, table):
            matched[spec.name] = theirs
    return matched


def _exact(name: TableName, table: FoundTable) -> set[str]:
    return {spec.name for spec in TABLES[name].columns} & set(table.sample.columns)


def _holds_excluded(name: TableName, table: FoundTable) -> bool:
    present = {squash(column) for column in table.sample.columns}
    return any(present & {squash(column), *COLUMN_WORDS[column]} for column in _EXCLUDED.get(name, ()))


def _table_of(words: str) -> TableName | None:
    return next((name for name, known in TABLE_WORDS.items() if says(words, known)), None)
