"""One request's batch, from the same tables, codes and functions as the batches of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plait.config import nearest
from plait.errors import ArtifactError, ServingError
from plait.features.assembly import ContextRows, FeatureTables, References
from plait.features.bags import Bags, offsets_of
from plait.features.batch import FeatureBatch
from plait.features.context import SERVING_POSITION, clock_codes
from plait.features.history import History, gather_window
from plait.features.preference import WINDOW, CreativePreference, Shown
from plait.features.scaling import standardise
from plait.features.spec import FeatureSpec
from plait.features.store import VOCABULARIES_FOLDER
from plait.features.tokens import values_of
from plait.features.vocabulary import Key, Vocabulary
from plait.schema import Columns as C

_CLOCK_NAMES = ("hour", "weekday")
_NO_CODES = np.empty(0, np.int32)


class Event(NamedTuple):
    """One behaviour as codes: what an online store appends to a user's history."""

    item: int
    action: int
    scenario: int
    time: int
    """Epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What is known of one request."""

    scenario: int
    """Index into the specification's scenarios."""
    time: int
    """Epoch milliseconds."""
    rows: ContextRows
    """One row."""


class OnlineFeatures:
    """Builds the `FeatureBatch` of one request."""

    def __init__(
        self, tables: FeatureTables, vocabularies: Mapping[str, Vocabulary], lists: Mapping[int, Vocabulary]
    ) -> None:
        """Prepare for requests.

        Args:
            tables: the encoded users, items and creatives.
            vocabularies: those of the context fields, by field name.
            lists: those of the multi-valued context fields, by index.
        """
        self.tables = tables
        self._vocabularies = vocabularies
        self._lists = lists
        for table in (tables.users, tables.items, tables.creatives):
            table.ids.code(0)  # the index of ids is made on first use: now, not within a request's deadline
        self._scenario_codes = {name: index for index, name in enumerate(tables.spec.scenarios)}
        self._context_fields = [tables.spec.fields[index] for index in tables.spec.columns("context")]
        self._context_numbers = [tables.spec.numbers[index] for index in tables.spec.number_columns("context")]

    @classmethod
    def open(cls, path: Path, trained: FeatureSpec | None = None, *, groups: Sequence[Path] = ()) -> "OnlineFeatures":
        """Read what requests need from an encoded folder: its specification, tables and vocabularies, no arrays.

        Args:
            path: the folder, or a copy of it without `arrays/` and `exposure_ids/`.
            trained: what the model to serve was trained on; the folder must hold the same.
            groups: folders of the derived feature groups that it reads.

        Raises:
            ArtifactError: the folder is missing, unfinished or damaged, or holds other features than `trained`.
        """
        tables = FeatureTables.load(path, groups)
        if trained is not None and tables.spec != trained:
            raise ArtifactError(
                f"{path}: these are other features than the model was trained on (codes would mean other values); "
                "serve it with the encoded data of its training run, or train again"
            )
        vocabularies = {}
        for index in tables.spec.columns("context"):
            name = tables.spec.fields[index].name
            if name not in (C.SCENARIO, *_CLOCK_NAMES):
                vocabularies[name] = Vocabulary.load(path / VOCABULARIES_FOLDER / f"{index:03d}.parquet")
        lists = {
            index: Vocabulary.load(path / VOCABULARIES_FOLDER / f"multi-{index:03d}.parquet")
            for index in tables.spec.multi_columns("context")
        }
        return cls(tables, vocabularies, lists)

    @property
    def spec(self) -> FeatureSpec:
        return self.tables.spec

    @property
    def preference(self) -> CreativePreference | None:
        """How preferences are computed; None where no group of the model reads any."""
        return None if self.tables.answers is None else self.tables.answers.preference

    def scenario(self, name: str | None) -> int | None:
        """Index of a scenario; None for one that the workspace does not know."""
        return None if name is None else self._scenario_codes.get(name)

    def user_row(self, user_id: Key) -> int:
        """The user's row; 0 for a user that the tables do not hold."""
        return self.tables.users.ids.code(user_id)

    def item_row(self, item_id: Key) -> int:
        """The item's row; 0 for an item that the tables do not hold."""
        return self.tables.items.ids.code(item_id)

    def creative_row(self, creative_id: Key) -> int:
        """The creative's row; 0 for one that the tables do not hold."""
        return self.tables.creatives.ids.code(creative_id)

    def item_id(self, item_row: int) -> Key:
        """The id of an item row from 1 on."""
        return self.tables.items.ids.value(item_row)

    def creative_id(self, creative_row: int) -> Key | None:
        """The id of a creative row; None for row 0, no creative."""
        return self.tables.creatives.ids.value(creative_row) if creative_row else None

    def encode_event(self, item_id: Key, action: str, value: float | None, scenario: str | None, time: int) -> Event:
        """One behaviour as codes; unknown items, actions and scenarios are 0.

        Args:
            item_id: the item that the user acted on.
            action: what the user did.
            value: of the action, such as a rating; None where it has none.
            scenario: where it happened; None outside any.
            time: when, epoch milliseconds.
        """
        item = int(self.tables.items.codes_RF[self.item_row(item_id), 0])
        scenario_code = 0 if scenario is None else self._scenario_codes.get(scenario, -1) + 1
        return Event(item, self.spec.action_code(action, value), scenario_code, time)

    def encode_context(self, scenario: str, time: int, context: Mapping[str, object] | None = None) -> RequestContext:
        """Context fields and numbers of one request.

        Args:
            scenario: name of the scenario.
            time: of the request, epoch milliseconds.
            context: values of the extra exposure columns, by name; what is left out is unknown, except `position`,
                which is `SERVING_POSITION` then.

        Raises:
            ServingError: the scenario is not one of the workspace's, or a number is not a number.
        """
        index = self._scenario_codes.get(scenario)
        if index is None:
            raise ServingError(f"unknown scenario '{scenario}'{nearest(scenario, list(self.spec.scenarios))}")
        values: dict[str, object] = {C.POSITION: SERVING_POSITION, **(context or {})}
        codes = [self._context_code(field.name, values) for field in self._context_fields]
        codes_RF = np.array([codes], np.int32)
        codes_RF[0, 0] = index + 1
        codes_RF[0, 2:4] = clock_codes(np.array([time], np.int64))[0]
        numbers_RG = np.zeros((1, len(self._context_numbers)), np.float32)
        for place, number in enumerate(self._context_numbers):
            column = _column(number.name)
            numbers_RG[0, place] = standardise(_as_float(column, values.get(column)), number)[0]
        return RequestContext(index, time, ContextRows(codes_RF, numbers_RG, self._context_bags(values)))

    def batch(
        self,
        user_row: int | None,
        item_rows_K: NDArray[np.integer],
        creative_rows_K: NDArray[np.integer],
        history: History,
        context: RequestContext,
        *,
        length: int | None = None,
        shown: Shown | None = None,
    ) -> FeatureBatch:
        """The batch of K candidates for one user: U = 1, labels all unknown.

        Args:
            user_row: the user's row; None or 0 for an unknown user.
            item_rows_K: rows of the candidates' items.
            creative_rows_K: rows of their creatives, 0 for none.
            history: the user's events that arrived before the request; at least the last `WINDOW` of them (or all)
                for the history numbers to be those of training.
            context: of the request.
            length: how many of the last events the batch holds; None for all.
            shown: what the user was shown before the request, where the model reads preferences; None for nothing.
        """
        time_R = np.array([context.time], np.int64)
        user_R, items_K = np.array([user_row or 0], np.int32), item_rows_K.astype(np.int32)
        references = References(user_R, items_K, creative_rows_K.astype(np.int32), time_R)
        kept = history if length is None else history.last(length)
        window = gather_window(history, np.array([0]), np.array([len(history)]))
        item_fields_KI = self.tables.items.codes_RF[items_K]
        facts = self.tables.history.facts(
            window,
            time_R,
            np.array([context.scenario], np.int32),
            item_fields_KI,
            self.tables.item_fields_VI,
        )
        bag_KP, bags = self.tables.multi(references, context.rows)
        match_KG = self.tables.match.numbers(bags, bag_KP[:, self.spec.multi_columns("context")], item_fields_KI)
        preference_KG = self._preference(shown, references.creative_B, context.time)
        derived = {"match_BG": match_KG, "preference_BG": preference_KG}
        size, objectives = len(items_K), len(self.spec.objectives)
        return FeatureBatch(
            categorical_BF=self.tables.categorical(references, context.rows),
            numeric_BG=self.tables.numeric(references, context.rows, facts, **derived),
            bag_BP=bag_KP,
            token_offsets_J1=bags.offsets_J1,
            token_codes_N=bags.codes_N,
            scenario_B=np.full(size, context.scenario, np.int32),
            time_B=np.full(size, context.time, np.int64),
            user_B=np.zeros(size, np.int64),
            before_B=np.full(size, len(kept), np.int64),
            history_offsets_U1=np.array([0, len(kept)], np.int64),
            history_item_N=kept.item_N,
            history_action_N=kept.action_N,
            history_scenario_N=kept.scenario_N,
            history_time_N=kept.time_N,
            labels_BT=np.zeros((size, objectives), np.float32),
            mask_BT=np.zeros((size, objectives), np.bool_),
        )

    def with_creatives(
        self,
        batch: FeatureBatch,
        rows_R: NDArray[np.integer],
        creative_rows_R: NDArray[np.integer],
        shown: Shown | None = None,
    ) -> FeatureBatch:
        """Rows of a request's batch again, in other creatives: the batch that `batch` makes of them, for less.

        Bags of the batch keep their places; those of the creatives stand behind them.

        Args:
            batch: of the request.
            rows_R: rows of it.
            creative_rows_R: rows of their creatives, 0 for none.
            shown: as for `batch`.
        """
        categorical_RF, numeric_RG = batch.categorical_BF[rows_R], batch.numeric_BG[rows_R]
        references = References(_NO_CODES, _NO_CODES, creative_rows_R.astype(np.int32), batch.time_B[:1])
        categorical_RF[:, self.spec.columns("creative")] = self.tables.creatives.codes_RF[creative_rows_R]
        numeric_RG[:, self.spec.number_columns("creative")] = self.tables.creatives.numbers_RG[creative_rows_R]
        numeric_RG[:, self.spec.number_columns("creative_vector")] = self.tables.vectors("creative", references)
        numeric_RG[:, self.spec.number_columns("preference")] = self._preference(
            shown, creative_rows_R, int(batch.time_B[0])
        )
        bag_RP, bags = batch.bag_BP[rows_R], Bags(batch.token_offsets_J1, batch.token_codes_N)
        if lists := self.spec.multi_columns("creative"):
            bag_RP[:, lists] = len(bags) + np.arange(len(rows_R) * len(lists)).reshape(len(rows_R), -1)
            bags = Bags.join([bags, self.tables.creatives.bags_of(creative_rows_R)])
        return replace(
            batch,
            categorical_BF=categorical_RF,
            numeric_BG=numeric_RG,
            bag_BP=bag_RP,
            token_offsets_J1=bags.offsets_J1,
            token_codes_N=bags.codes_N,
            scenario_B=batch.scenario_B[rows_R],
            time_B=batch.time_B[rows_R],
            user_B=batch.user_B[rows_R],
            before_B=batch.before_B[rows_R],
            labels_BT=batch.labels_BT[rows_R],
            mask_BT=batch.mask_BT[rows_R],
        )

    def _preference(self, shown: Shown | None, creative_rows_K: NDArray[np.integer], time: int) -> NDArray[np.float32]:
        if self.preference is None:
            return np.zeros((1, 0), np.float32)
        known = (shown or Shown.empty()).last(WINDOW)
        start_1, stop_1, time_1 = np.array([0]), np.array([len(known)]), np.array([time], np.int64)
        return self.preference.at(known, start_1, stop_1, time_1, creative_rows_K)

    def _context_bags(self, values: Mapping[str, object]) -> Bags:
        codes: list[NDArray[np.int32]] = []
        for index, vocabulary in self._lists.items():
            field, first = self.spec.multi_fields[index], self.spec.first_tokens[index]
            found = values_of(values.get(_column(field.name)), field.kind, field.most)
            codes.append(np.array([first + vocabulary.code(value) for value in found], np.int32))
        return Bags(offsets_of(np.array([len(each) for each in codes], np.int64)), np.concatenate([*codes, _NO_CODES]))

    def _context_code(self, name: str, values: Mapping[str, object]) -> int:
        vocabulary = self._vocabularies.get(name)
        return 0 if vocabulary is None else vocabulary.code(values.get(_column(name)))


def _column(name: str) -> str:
    """The exposure column behind a context field or number whose name another table had taken."""
    return name.removeprefix("context.")


def _as_float(name: str, value: object) -> NDArray[np.float64]:
    """One number; NaN where there is none."""
    try:
        return np.array([float("nan") if value is None else float(value)])  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ServingError(f"context value '{name}': found {value!r}, expected a number") from None
