"""From rows of tables to the columns of a batch: the code that training and requests have in common."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plait.errors import ArtifactError
from plait.features.bags import Bags, offsets_of
from plait.features.entities import EntityTable
from plait.features.history import HistoryFacts, HistoryNumbers
from plait.features.match import MatchNumbers
from plait.features.spec import FeatureSpec
from plait.features.store import SPEC_FILE, TABLES_FOLDER

ScalarT = TypeVar("ScalarT", np.int32, np.int64, np.float32)

_LIMIT = np.float32(8.0)


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

    @classmethod
    def load(cls, folder: Path) -> "FeatureTables":
        """The tables of an encoded folder.

        Raises:
            ArtifactError: the folder is missing, unfinished or damaged.
        """
        path = folder / SPEC_FILE
        if not path.exists():
            raise ArtifactError(f"{folder}: found no {SPEC_FILE}, expected a finished encoded dataset; encode again")
        spec = FeatureSpec.from_json(path.read_text(encoding="utf-8"))
        tables = folder / TABLES_FOLDER
        try:
            users, items, creatives = (EntityTable.load(tables, source) for source in ("user", "item", "creative"))
            return cls(spec, users, items, creatives, MatchNumbers.load(tables, spec))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{tables}: not whole: {error}; encode the samples again") from error

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

    def categorical(
        self,
        user_R: NDArray[np.int32],
        item_B: NDArray[np.int32],
        creative_B: NDArray[np.int32],
        context: ContextRows,
    ) -> NDArray[np.int32]:
        """`categorical_BF` of B candidates; users and contexts have B rows, or one that all share (R = 1)."""
        blocks = [
            self.users.codes_RF[user_R],
            self.items.codes_RF[item_B],
            self.creatives.codes_RF[creative_B],
            context.codes_RF,
        ]
        return _side_by_side(blocks, len(item_B))

    def numeric(
        self,
        user_R: NDArray[np.int32],
        item_B: NDArray[np.int32],
        creative_B: NDArray[np.int32],
        context: ContextRows,
        facts: HistoryFacts,
        *,
        match_BG: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """`numeric_BG` of B candidates; users and contexts have B rows, or one that all share (R = 1)."""
        blocks = [
            self.users.numbers_RG[user_R],
            self.items.numbers_RG[item_B],
            self.creatives.numbers_RG[creative_B],
            context.numbers_RG,
            self.standard_history(facts),
            np.clip(match_BG, -_LIMIT, _LIMIT),
        ]
        return _side_by_side(blocks, len(item_B))

    def multi(
        self,
        user_R: NDArray[np.int32],
        item_B: NDArray[np.int32],
        creative_B: NDArray[np.int32],
        context: ContextRows,
    ) -> tuple[NDArray[np.int64], Bags]:
        """`bag_BP` of B candidates, and the bags; users and contexts have B rows, or one that all share (R = 1)."""
        size = len(item_B)
        tables = ((self.users, user_R), (self.items, item_B), (self.creatives, creative_B))
        parts = [(table.bags_of(rows), len(rows)) for table, rows in tables] + [(context.bags, len(context.codes_RF))]
        parts = [(bags, rows) for bags, rows in parts if len(bags)]
        if not parts:
            return np.zeros((size, 0), np.int64), Bags.empty()
        starts = offsets_of(np.array([len(bags) for bags, _ in parts]))
        blocks = [
            start + np.arange(len(bags)).reshape(rows, -1) for start, (bags, rows) in zip(starts, parts, strict=False)
        ]
        return _side_by_side(blocks, size), Bags.join([bags for bags, _ in parts])

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


def _side_by_side(blocks: list[NDArray[ScalarT]], size: int) -> NDArray[ScalarT]:
    """Blocks of columns in one array of `size` rows; a block of one row is repeated."""
    widths = [block.shape[1] for block in blocks]
    joined = np.empty((size, sum(widths)), blocks[0].dtype)
    for block, end, width in zip(blocks, np.cumsum(widths), widths, strict=True):
        joined[:, end - width : end] = block
    return joined
