"""Which columns of which table become fields and numbers, by the meanings in the workspace file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from plait.config import Workspace, nearest
from plait.errors import DataError
from plait.features.spec import FieldSource
from plait.features.tokens import MultiKind
from plait.schema import Columns as C
from plait.schema import Meaning, TableName

ENTITY_TABLES: dict[FieldSource, TableName] = {
    "user": TableName.USERS,
    "item": TableName.ITEMS,
    "creative": TableName.CREATIVES,
}
"""The table behind each source; context fields come from the exposures."""

ID_COLUMNS: dict[FieldSource, str] = {"user": C.USER_ID, "item": C.ITEM_ID, "creative": C.CREATIVE_ID}

_OWN_CATEGORIES: dict[TableName, tuple[str, ...]] = {
    TableName.ITEMS: (C.CATEGORY_1, C.CATEGORY_2, C.CATEGORY_3),
    TableName.CREATIVES: (C.ADVERTISER,),
}
"""Columns with a meaning of Plait's own that are categories. A creative's bid is none of a model's business: it
multiplies the prediction afterwards."""

_MULTI_KINDS: Mapping[Meaning, MultiKind] = {Meaning.SEQUENCE: "list", Meaning.TEXT: "text"}
"""Texts of exposures are short, such as queries. Those of items and creatives are not read here."""


@dataclass(frozen=True, slots=True)
class SelectedColumns:
    """The columns of one table that models see."""

    categories: tuple[str, ...]
    """For users, items and creatives, the id first."""
    numbers: tuple[str, ...]
    multi: Mapping[str, MultiKind] = field(default_factory=dict)
    """The multi-valued ones, and what each holds."""


def select_columns(workspace: Workspace, source: FieldSource, present: Collection[str]) -> SelectedColumns:
    """The columns of the table behind `source` that become fields and numbers.

    Users, items and creatives: the id, the category path or the advertiser where there, and every extra column that
    means `category`, `id`, `number` or `sequence`. Exposures: the query where there, and extra columns that mean
    `category`, `number`, `sequence` or `text`; what belongs to the log itself (exposure and request id, propensity) is
    never a feature.

    Raises:
        DataError: a column that the workspace gives a meaning to is not in the table.
    """
    table = ENTITY_TABLES.get(source, TableName.EXPOSURES)
    meanings = workspace.tables[table].columns
    wanted = {Meaning.CATEGORY, Meaning.ID} if source in ID_COLUMNS else {Meaning.CATEGORY}
    kinds = dict(_MULTI_KINDS) if source == "context" else {Meaning.SEQUENCE: _MULTI_KINDS[Meaning.SEQUENCE]}
    read = {*wanted, Meaning.NUMBER, *kinds}
    missing = [name for name, meaning in meanings.items() if meaning in read and name not in present]
    if missing:
        raise DataError(
            f"table {table}: column '{missing[0]}' is given a meaning in plait.toml but is not there"
            f"{nearest(missing[0], list(present))}"
        )
    own = [name for name in _OWN_CATEGORIES.get(table, ()) if name in present]
    extra = [name for name, meaning in meanings.items() if meaning in wanted]
    numbers = [name for name, meaning in meanings.items() if meaning is Meaning.NUMBER]
    ids = [ID_COLUMNS[source]] if source in ID_COLUMNS else []
    multi: dict[str, MultiKind] = {C.QUERY: "text"} if source == "context" and C.QUERY in present else {}
    multi |= {name: kinds[meaning] for name, meaning in meanings.items() if meaning in kinds}
    return SelectedColumns((*ids, *own, *extra), tuple(numbers), multi)
