"""From rows of tables to the columns of a batch: the code that training and requests have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plait.errors import ArtifactError
from plait.features.bags import Bags, offsets_of
from plait.features.entities import EntityTable
from plait.features.groups import FeatureGroup, load_groups
from plait.features.history import HistoryFacts, HistoryNumbers
from plait.features.match import MatchNumbers
from plait.features.spec import ENTITY_SOURCES, FIELD_SOURCES, NUMBER_SOURCES, EntitySource, FeatureSpec, as_slice
from plait.features.store import SPEC_FILE, TABLES_FOLDER

ScalarT = TypeVar("ScalarT", np.int32, np.int64, np.float32)

_LIMIT = np.float32(8.0)


@dataclass(frozen=True, slots=True)
class References:
    """Rows of users, items and creatives: of B candidates, or of users and times one that all share (R = 1)."""

    user_R: NDArray[np.int32]
    item_B: NDArray[np.int32]
    creative_B: NDArray[np.int32]
    time_R: NDArray[np.int64]
    """Of the exposures or of the request, epoch milliseconds."""

    def __len__(self) -> int:
        return len(self.item_B)

    def of(self, source: EntitySource) -> NDArray[np.int32]:
        """The rows of one table."""
        return {"user": self.user_R, "item": self.item_B, "creative": self.creative_B}[source]


@dataclass(frozen=True, slots=True)
class ContextRows:
    """Context fields and numbers of R requests or exposures, as codes and standardised numbers."""

    codes_RF: NDArray[np.int32]
    numbers_RG: NDArray[np.float32]
    bags: Bags
    """Of the multi-valued fields, row by row."""


@dataclass(frozen=True)
class FeatureTables:
    """A specification and the encoded tables that its user, item and creative columns are read from."""

    spec: FeatureSpec
    users: EntityTable
    items: EntityTable
    creatives: EntityTable
    match: MatchNumbers
    groups: tuple[FeatureGroup, ...] = ()

    @classmethod
    def load(cls, folder: Path, groups: Sequence[Path] = ()) -> "FeatureTables":
        """The tables of an encoded folder, with the columns of derived groups behind their own.

        Args:
            folder: that `encode_samples` filled.
            groups: folders of the feature groups to read.

        Raises:
            ArtifactError: a folder is missing, unfinished or damaged, or a group is of other tables.
        """
        path = folder / SPEC_FILE
        if not path.exists():
            raise ArtifactError(f"{folder}: found no {SPEC_FILE}, expected a finished encoded dataset; encode again")
        spec = FeatureSpec.from_json(path.read_text(encoding="utf-8"))
        tables = folder / TABLES_FOLDER
        try:
            users, items, creatives = (EntityTable.load(tables, source) for source in ENTITY_SOURCES)
            loaded = cls(spec, users, items, creatives, MatchNumbers.load(tables, spec))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{tables}: not whole: {error}; encode the samples again") from error
        for group in load_groups(groups):
            loaded = loaded.extended(group)
        return loaded

    def extended(self, group: FeatureGroup) -> "FeatureTables":
        """These tables with the columns of `group` behind their own.

        Raises:
            ArtifactError: the group was made for tables of other rows.
        """
        spec = group.extend(self.spec)
        tables: dict[EntitySource, EntityTable] = {"user": self.users, "item": self.items, "creative": self.creatives}
        for source, columns in group.columns.items():
            if len(columns.codes_RF) != len(tables[source]):
                raise ArtifactError(
                    f"feature group '{group.name}' has {len(columns.codes_RF)} rows of {source}s, the encoded samples "
                    f"{len(tables[source])}; remove the group's folder and train again"
                )
            firsts = [
                first
                for first, each in zip(spec.first_tokens, spec.multi_fields, strict=True)
                if each.group == group.name and each.source == source
            ]
            bags_P = [
                Bags(bags.offsets_J1, bags.codes_N + np.int32(first))
                for bags, first in zip(columns.bags_P, firsts, strict=True)
            ]
            tables[source] = tables[source].extended(columns.codes_RF, columns.numbers_RG, bags_P)
        return FeatureTables(
            spec, tables["user"], tables["item"], tables["creative"], self.match, (*self.groups, group)
        )

    def table(self, source: EntitySource) -> EntityTable:
        """The table of users, items or creatives."""
        return {"user": self.users, "item": self.items, "creative": self.creatives}[source]

    @cached_property
    def item_fields_VI(self) -> NDArray[np.int32]:
        """Codes of the item fields and of what their lists hold, by item code; row 0 is the unknown item.

        A row is as in `item_rows_RI`.
        """
        return self.items.by_id_code(self.item_rows_RI)

    @cached_property
    def item_rows_RI(self) -> NDArray[np.int32]:
        """Codes of the item fields by row of the items, then those of each multi-valued item field, with 0 behind."""
        fields = [self.spec.multi_fields[index] for index in self.spec.multi_columns("item")]
        return self.items.codes_and_tokens([field.most for field in fields])

    @cached_property
    def history(self) -> HistoryNumbers:
        """How this specification's history numbers are computed."""
        return HistoryNumbers.of(self.spec)

    def categorical(self, references: References, context: ContextRows) -> NDArray[np.int32]:
        """`categorical_BF` of B candidates; users and contexts have B rows, or one that all share (R = 1)."""
        blocks = [self.table(source).codes_RF[references.of(source)] for source in ENTITY_SOURCES]
        columns = [self.spec.columns(source) for source in FIELD_SOURCES]
        return _arranged([*blocks, context.codes_RF], columns, len(references))

    def numeric(
        self,
        references: References,
        context: ContextRows,
        facts: HistoryFacts,
        *,
        match_BG: NDArray[np.float32],
        preference_BG: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """`numeric_BG` of B candidates; users and contexts have B rows, or one that all share (R = 1)."""
        blocks = [
            *(self.table(source).numbers_RG[references.of(source)] for source in ENTITY_SOURCES),
            context.numbers_RG,
            self.standard_history(facts),
            np.clip(match_BG, -_LIMIT, _LIMIT),
            *(self.vectors(source, references) for source in ENTITY_SOURCES),
            preference_BG,
        ]
        columns = [self.spec.number_columns(source) for source in NUMBER_SOURCES]
        return _arranged(blocks, columns, len(references))

    def vectors(self, source: EntitySource, references: References) -> NDArray[np.float32]:
        """The dated vectors of one source, those of all groups side by side."""
        found = [
            group.vectors[source].at(references.of(source), references.time_R)
            for group in self.groups
            if source in group.vectors
        ]
        return np.concatenate(found, axis=1) if found else np.zeros((1, 0), np.float32)

    @cached_property
    def answers(self) -> FeatureGroup | None:
        """The group that knows how users answered to creatives; None where none does."""
        return next((group for group in self.groups if group.preference is not None), None)

    def multi(self, references: References, context: ContextRows) -> tuple[NDArray[np.int64], Bags]:
        """`bag_BP` of B candidates, and the bags; users and contexts have B rows, or one that all share (R = 1)."""
        rows = [references.of(source) for source in ENTITY_SOURCES]
        of_tables = (self.table(source).bags_of(each) for source, each in zip(ENTITY_SOURCES, rows, strict=True))
        parts = [*of_tables, context.bags]
        if not any(len(bags) for bags in parts):
            return np.zeros((len(references), 0), np.int64), Bags.empty()
        starts = offsets_of(np.array([len(bags) for bags in parts]))
        sizes = [*(len(each) for each in rows), len(context.codes_RF)]
        columns = [self.spec.multi_columns(source) for source in FIELD_SOURCES]
        blocks = [
            start + np.arange(len(bags)).reshape(size, len(places))
            for start, bags, size, places in zip(starts, parts, sizes, columns, strict=False)
        ]
        return _arranged(blocks, columns, len(references)), Bags.join([bags for bags in parts if len(bags)])

    def standard_history(self, facts: HistoryFacts) -> NDArray[np.float32]:
        """The history numbers, standardised and cut to -8..8."""
        mean_G, std_G = self._history_scale
        standard_BG = self.history.numbers(facts)
        standard_BG -= mean_G
        standard_BG /= std_G
        return np.clip(standard_BG, -_LIMIT, _LIMIT, out=standard_BG)

    @cached_property
    def _history_scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        numbers = [self.spec.numbers[index] for index in self.spec.number_columns("history")]
        mean_G = np.array([number.mean for number in numbers], np.float32)
        return mean_G, np.array([number.std for number in numbers], np.float32)


def _arranged(blocks: Sequence[NDArray[ScalarT]], columns: Iterable[Sequence[int]], size: int) -> NDArray[ScalarT]:
    """Blocks in one array of `size` rows, each in its own columns; a block of one row is repeated."""
    joined = np.empty((size, sum(block.shape[1] for block in blocks)), blocks[0].dtype)
    for block, places in zip(blocks, columns, strict=True):
        joined[:, as_slice(places)] = block
    return joined
