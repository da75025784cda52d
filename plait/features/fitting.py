"""What is fitted before anything is encoded: vocabularies, scales and actions, from what training can see.

Training sees the exposures of the train split and, of each user, the events before the last of these. Nothing else
enters: an id that occurs only later has code 0, because no weight was ever trained for it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import FeatureSettings, Workspace
from plait.errors import DataError
from plait.features.bags import Bags
from plait.features.context import CLOCK_FIELDS
from plait.features.entities import EntityTable
from plait.features.scaling import fit_number, standardise
from plait.features.selection import ENTITY_TABLES, ID_COLUMNS, SelectedColumns, select_columns
from plait.features.spec import Action, FeatureSpec, Field, FieldSource, MultiField, Number
from plait.features.tokens import MultiKind, value_lists
from plait.features.vocabulary import Vocabulary
from plait.schema import Columns as C
from plait.schema import Split
from plait.telemetry import progress

_NUMBERS_PER_PART = 65_536
"""How many values of a context number each part contributes to its scale."""


@dataclass(frozen=True, slots=True)
class SamplePart:
    """One part of the samples: the same users' exposures and events."""

    exposures: Path
    users: Path

    @property
    def name(self) -> str:
        return self.exposures.stem


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it stands in the checked data."""

    source: FieldSource
    frame: pl.DataFrame
    columns: SelectedColumns
    ids: Vocabulary


@dataclass(frozen=True, slots=True)
class Fitted:
    """Everything that encoding a part needs."""

    spec: FeatureSpec
    """Without the history numbers, whose scale is fitted on what is encoded."""
    tables: dict[FieldSource, EntityTable]
    vocabularies: dict[str, Vocabulary]
    """By field name."""
    multi_vocabularies: dict[str, Vocabulary]
    """By name of the multi-valued field."""
    context: SelectedColumns
    """Extra columns of the exposures."""
    events_per_part: dict[str, int]
    exposures_per_part: dict[str, int]
    bags_per_part: dict[str, int]
    """How many distinct values of multi-valued columns the exposures of each part have."""
    tokens_per_part: dict[str, int]
    """How many values these hold."""


def sample_parts(samples: Path) -> list[SamplePart]:
    """The parts of a samples folder, in order.

    Raises:
        DataError: there are none, or exposures and users do not come in pairs.
    """
    exposures = sorted((samples / "exposures").glob("part-*.parquet"))
    users = sorted((samples / "users").glob("part-*.parquet"))
    if not exposures or [path.name for path in exposures] != [path.name for path in users]:
        raise DataError(
            f"{samples}: found {len(exposures)} parts of exposures and {len(users)} of users, expected the same "
            "(one or more) under both; run `plait samples` again"
        )
    return [SamplePart(*pair) for pair in zip(exposures, users, strict=True)]


def fit(parts: Sequence[SamplePart], tables: Path, workspace: Workspace) -> Fitted:
    """Fit vocabularies, scales and actions on what training can see.

    Args:
        parts: of the samples.
        tables: folder of the checked tables.
        workspace: meanings of columns, scenarios, objectives, actions.
    """
    raw = [_read_table(tables, workspace, source) for source in ENTITY_TABLES]
    context = select_columns(workspace, "context", pl.read_parquet_schema(parts[0].exposures).keys())
    seen = _Seen(raw, context, workspace.features.max_values)
    with progress("fitting features", len(parts)) as advance:
        for part in parts:
            seen.add(part)
            advance()
    builder = _Builder(workspace.features)
    entity_tables = {table.source: builder.table(table, seen.rows[table.source]) for table in raw}
    builder.context(workspace.scenario_names(), context, seen)
    spec = FeatureSpec(
        objectives=tuple(workspace.objective_names()),
        scenarios=tuple(workspace.scenario_names()),
        actions=_actions(workspace, seen.actions),
        fields=tuple(builder.fields),
        numbers=tuple(builder.numbers),
        multi_fields=tuple(builder.multi_fields),
        parents=workspace.objective_parents(),
    )
    return Fitted(
        spec=spec,
        tables=entity_tables,
        vocabularies=builder.vocabularies,
        multi_vocabularies=builder.multi_vocabularies,
        context=context,
        events_per_part=seen.events,
        exposures_per_part=seen.exposures,
        bags_per_part=seen.bags,
        tokens_per_part=seen.tokens,
    )


class _Seen:
    """Counts what training sees, part by part."""

    def __init__(self, tables: Sequence[RawTable], context: SelectedColumns, max_values: int) -> None:
        self._tables = {table.source: table for table in tables}
        self._context = context
        self._max_values = max_values
        self.rows = {table.source: np.zeros(table.ids.size, np.int64) for table in tables}
        self.values: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self.numbers: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        self.actions: set[str] = set()
        self.events: dict[str, int] = {}
        self.exposures: dict[str, int] = {}
        self.bags: dict[str, int] = {}
        self.tokens: dict[str, int] = {}

    def add(self, part: SamplePart) -> None:
        exposures = pl.read_parquet(part.exposures, columns=self._exposure_columns(part))
        self.exposures[part.name] = len(exposures)
        train = exposures.filter(pl.col(C.SPLIT) == Split.TRAIN.value)
        for source in self._tables:
            if ID_COLUMNS[source] in train.columns:
                self._count_rows(source, train[ID_COLUMNS[source]])
        for name in (C.POSITION, *self._context.categories):
            if name in train.columns:
                self.values[name].append(train[name].alias("value").drop_nulls().value_counts(name="count"))
        for name in self._context.numbers:
            step = max(len(train) // _NUMBERS_PER_PART, 1)
            self.numbers[name].append(_floats(train[name].gather_every(step)))
        self._add_lists(part, exposures)
        self._add_events(part, train.group_by(C.USER_ID).agg(pl.col(C.BEFORE).max().alias("visible")))

    def _add_lists(self, part: SamplePart, exposures: pl.DataFrame) -> None:
        """Count the multi-valued columns' values in train exposures, and how many distinct lists the part has."""
        self.bags[part.name] = self.tokens[part.name] = 0
        shown = pl.col(C.SPLIT) == Split.TRAIN.value
        for name, kind in self._context.multi.items():
            counted = exposures.group_by(name, maintain_order=True).agg(shown.sum().alias("count"))
            counted = counted.filter(pl.col(name).is_not_null())
            lists = value_lists(counted[name], kind, self._max_values)
            self.bags[part.name] += len(lists)
            self.tokens[part.name] += int(lists.list.len().sum())
            self.values[name].append(_flat_counts(lists, counted["count"]))

    def _add_events(self, part: SamplePart, visible: pl.DataFrame) -> None:
        """Count the items and actions among the events that some training exposure can see."""
        users = pl.read_parquet(part.users, columns=[C.USER_ID, C.ITEM_ID, C.ACTION])
        self.events[part.name] = int(users[C.ITEM_ID].list.len().sum())
        users = users.join(visible, on=C.USER_ID, how="inner", maintain_order="left")
        for column in (C.ITEM_ID, C.ACTION):
            values = users.select(pl.col(column).list.head(pl.col("visible")))[column]
            flat = values.explode(empty_as_null=False, keep_nulls=False)
            if column == C.ITEM_ID:
                self._count_rows("item", flat)
            else:
                self.actions.update(flat.drop_nulls().unique().to_list())

    def _count_rows(self, source: FieldSource, ids: pl.Series) -> None:
        rows = self._tables[source].ids.encode(ids)
        self.rows[source] += np.bincount(rows, minlength=len(self.rows[source]))

    def _exposure_columns(self, part: SamplePart) -> list[str]:
        wanted = {C.USER_ID, C.ITEM_ID, C.CREATIVE_ID, C.POSITION, C.SPLIT, C.BEFORE}
        wanted |= {*self._context.categories, *self._context.numbers, *self._context.multi}
        return [name for name in pl.read_parquet_schema(part.exposures) if name in wanted]


class _Builder:
    """Collects fields, numbers and vocabularies in the order of a batch's columns."""

    def __init__(self, settings: FeatureSettings) -> None:
        self._settings = settings
        self.fields: list[Field] = []
        self.numbers: list[Number] = []
        self.multi_fields: list[MultiField] = []
        self.vocabularies: dict[str, Vocabulary] = {}
        self.multi_vocabularies: dict[str, Vocabulary] = {}

    def table(self, table: RawTable, seen_R: NDArray[np.int64]) -> EntityTable:
        """Fit the fields and numbers of one table and encode its rows."""
        codes_RF = np.zeros((table.ids.size, len(table.columns.categories)), np.int32)
        for place, column in enumerate(table.columns.categories):
            values = table.frame[column]
            codes_RF[1:, place] = self._field(column, table.source, values, seen_R[1:]).encode(values)
        numbers_RG = np.zeros((table.ids.size, len(table.columns.numbers)), np.float32)
        for place, column in enumerate(table.columns.numbers):
            values_R = _floats(table.frame[column])
            number = self._number(column, table.source, values_R, seen_R[1:].astype(np.float64))
            numbers_RG[1:, place] = standardise(values_R, number)
        columns = [self._entity_lists(column, kind, table, seen_R[1:]) for column, kind in table.columns.multi.items()]
        return EntityTable(table.ids, codes_RF, numbers_RG, Bags.interleave(columns, table.ids.size))

    def _entity_lists(self, column: str, kind: MultiKind, table: RawTable, seen_R: NDArray[np.int64]) -> Bags:
        """Fit one multi-valued column of a table; a bag per row, that of row 0 without codes."""
        lists = value_lists(table.frame[column], kind, self._settings.max_values)
        counted = _flat_counts(lists, pl.Series(seen_R))
        most = max(int(lists.list.len().max() or 0), 1)  # type: ignore[arg-type]
        first = self._first_token
        vocabulary = self._multi_field(column, table.source, kind, most, counted)
        return Bags.join([Bags.empty(1), Bags.encode(lists, vocabulary, first)])

    def context(self, scenarios: Sequence[str], columns: SelectedColumns, seen: _Seen) -> None:
        """Fit the context fields: scenario, position, hour, weekday, then the extra columns of the exposures."""
        self.fields.append(Field(C.SCENARIO, "context", len(scenarios) + 1))
        self._seen_values(C.POSITION, seen)
        self.fields.extend(CLOCK_FIELDS)
        for column in columns.categories:
            self._seen_values(column, seen)
        for column in columns.numbers:
            values = np.concatenate(seen.numbers[column])
            self._number(column, "context", values, np.ones(len(values)))
        for column, kind in columns.multi.items():
            self._multi_field(column, "context", kind, self._settings.max_values, pl.concat(seen.values[column]))

    def _seen_values(self, column: str, seen: _Seen) -> None:
        frames = seen.values[column] or [pl.DataFrame({"value": [], "count": []}, schema_overrides={"value": pl.Int64})]
        counted = pl.concat(frames)
        self._field(column, "context", counted["value"], counted["count"].cast(pl.Int64).to_numpy())

    def _field(self, column: str, source: FieldSource, values: pl.Series, counts: NDArray[np.int64]) -> Vocabulary:
        vocabulary = Vocabulary.fit(values, counts, self._settings.min_count)
        name = _free_name(column, source, [field.name for field in self.fields])
        self.fields.append(Field(name, source, vocabulary.size))
        self.vocabularies[name] = vocabulary
        return vocabulary

    @property
    def _first_token(self) -> int:
        """Where the codes of the next multi-valued field begin."""
        return 1 + sum(field.size for field in self.multi_fields)

    def _multi_field(
        self, column: str, source: FieldSource, kind: MultiKind, most: int, counted: pl.DataFrame
    ) -> Vocabulary:
        counts = counted["count"].cast(pl.Int64).to_numpy()
        vocabulary = Vocabulary.fit(counted["value"], counts, self._settings.min_count)
        name = _free_name(column, source, [field.name for field in self.multi_fields])
        self.multi_fields.append(MultiField(name, source, kind, vocabulary.size, most))
        self.multi_vocabularies[name] = vocabulary
        return vocabulary

    def _number(
        self, column: str, source: FieldSource, values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> Number:
        name = _free_name(column, source, [number.name for number in self.numbers])
        self.numbers.append(fit_number(name, source, values, weights))
        return self.numbers[-1]


def _flat_counts(lists: pl.Series, counts: pl.Series) -> pl.DataFrame:
    """Columns `value` and `count`: each list's values with the list's own count."""
    frame = pl.DataFrame({"value": lists, "count": counts})
    return frame.explode("value", empty_as_null=False, keep_nulls=False)


def _free_name(column: str, source: FieldSource, taken: Sequence[str]) -> str:
    """The column's name, with its source before it where another table has a column of that name."""
    return f"{source}.{column}" if column in taken else column


def _actions(workspace: Workspace, seen: set[str]) -> tuple[Action, ...]:
    """The actions that training saw, by name, with the edges of their values."""
    edges = {name: tuple(sorted(settings.value_edges)) for name, settings in workspace.actions.items()}
    return tuple(Action(name, edges.get(name, ())) for name in sorted(seen))


def _read_table(tables: Path, workspace: Workspace, source: FieldSource) -> RawTable:
    """Table of one source; without any column where the workspace has none (only creatives may be missing)."""
    table, key = ENTITY_TABLES[source], ID_COLUMNS[source]
    if table not in workspace.tables:
        return RawTable(source, pl.DataFrame(), SelectedColumns((), ()), EntityTable.absent().ids)
    files = sorted((tables / table).glob("part-*.parquet"))
    if not files:
        raise DataError(f"{tables / table}: found no part-*.parquet there; run `plait check` again")
    columns = select_columns(workspace, source, pl.read_parquet_schema(files[0]).keys())
    wanted = list(dict.fromkeys((*columns.categories, *columns.numbers, *columns.multi)))
    frame = pl.read_parquet(files, columns=wanted).unique(key, keep="first", maintain_order=True)
    return RawTable(source, frame, columns, Vocabulary.of_rows(frame[key]))


def _floats(values: pl.Series) -> NDArray[np.float64]:
    """As Float64 with NaN for null."""
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
