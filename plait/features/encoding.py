"""From samples to encoded arrays: codes and numbers by row, written part by part in bounded memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import Workspace
from plait.data.artifacts import write_atomically
from plait.errors import DataError
from plait.features.bags import Bags
from plait.features.context import clock_codes
from plait.features.fitting import Fitted, SamplePart, fit, sample_parts
from plait.features.history import History, HistoryFacts, HistoryNumbers, fit_history_numbers, gather_window
from plait.features.match import MatchNumbers, Shown, match_numbers
from plait.features.scaling import standardise
from plait.features.selection import ID_COLUMNS
from plait.features.spec import FeatureSpec
from plait.features.store import (
    EXPOSURE_IDS_FOLDER,
    SPEC_FILE,
    TABLES_FOLDER,
    VOCABULARIES_FOLDER,
    EncodedArrays,
    StoreSizes,
    StoreWriter,
)
from plait.features.tokens import value_lists
from plait.features.vocabulary import Vocabulary, as_keys
from plait.schema import Columns as C
from plait.schema import Split, label_column, mature_column
from plait.telemetry import progress

_CHUNK = 4_096
"""Exposures whose windows are gathered at a time: small enough for the processor's cache."""
_MATCH_CHUNK = 65_536
"""Exposures whose match numbers are counted or computed at a time."""
_SCALE_SAMPLE = 100_000
"""Training exposures on which the scale of the history numbers is fitted, evenly spaced."""


def encode_samples(samples: Path, tables: Path, workspace: Workspace, out: Path) -> None:
    """Encode samples into `out`, for `EncodedDataset` and `OnlineFeatures`.

    Called again on a folder that a killed run left, it goes on after the last finished part.

    Args:
        samples: folder that `plait samples` wrote.
        tables: folder of checked tables that `plait check` wrote.
        workspace: meanings of columns, scenarios, objectives, actions.
        out: folder to fill.

    Raises:
        DataError: the samples do not fit the tables, the workspace, or each other.
    """
    parts = sample_parts(samples)
    fitted = fit(parts, tables, workspace)
    _write_fitted(out, fitted)
    encoder = _PartEncoder(fitted, out)
    with progress("encoding samples", len(parts)) as advance:
        for part in parts:
            encoder.encode(part)
            advance()
    encoder.encode_match()
    spec = _with_history_numbers(fitted.spec, encoder.history, encoder.arrays)
    spec = replace(spec, numbers=(*spec.numbers, *match_numbers(spec)))
    write_atomically(out / SPEC_FILE, spec.to_json())


class _PartEncoder:
    """Writes the exposures and events of one part after the other into the arrays."""

    def __init__(self, fitted: Fitted, out: Path) -> None:
        self._fitted = fitted
        self._out = out
        self._spec = fitted.spec
        self._scenarios = Vocabulary(pl.Series(list(fitted.spec.scenarios), dtype=pl.String))
        items = fitted.tables["item"]
        self._item_fields_VI = items.by_id_code(items.codes_RF)
        self.history = HistoryNumbers.of(fitted.spec)
        context_fields = len(fitted.spec.columns("context"))
        sizes = StoreSizes(
            exposures=sum(fitted.exposures_per_part.values()),
            events=sum(fitted.events_per_part.values()),
            users=len(fitted.tables["user"]),
            objectives=len(fitted.spec.objectives),
            context_fields=context_fields,
            context_numbers=len(fitted.context.numbers),
            history_counts=len(self.history.count_names),
            history_gaps=len(self.history.gap_names),
            context_lists=len(fitted.spec.multi_columns("context")),
            bags=1 + sum(fitted.bags_per_part.values()),
            tokens=sum(fitted.tokens_per_part.values()),
            matches=len(match_numbers(fitted.spec)),
        )
        self._writer = StoreWriter(out, sizes)
        self._first_exposure = _starts(fitted.exposures_per_part)
        self._first_event = _starts(fitted.events_per_part)
        self._first_bag = _starts(fitted.bags_per_part)
        self._first_token = _starts(fitted.tokens_per_part)

    @property
    def arrays(self) -> EncodedArrays:
        return self._writer.arrays

    def encode(self, part: SamplePart) -> None:
        """Encode one part, unless an earlier run did."""
        if self._writer.has(part.name):
            return
        events = self._encode_events(part)
        self._encode_exposures(part, events)
        self._writer.finish(part.name)

    def encode_match(self) -> None:
        """Fit the match numbers on the training exposures of all parts, and compute them for every exposure."""
        if not self.arrays.match_EG.shape[1]:
            return
        rows_E = np.arange(len(self.arrays.time_E))
        train = np.flatnonzero(self.arrays.split_E == list(Split).index(Split.TRAIN))
        match = MatchNumbers.fit(self._spec, (self._shown(train[chunk]) for chunk in _chunks(len(train), _MATCH_CHUNK)))
        match.save(self._out / TABLES_FOLDER)
        for chunk in _chunks(len(rows_E), _MATCH_CHUNK):
            bags, item_fields_BI = self._shown(rows_E[chunk])
            bag_BQ = np.arange(len(bags)).reshape(len(item_fields_BI), -1)
            self.arrays.match_EG[chunk] = match.numbers(bags, bag_BQ, item_fields_BI)

    def _shown(self, rows_B: NDArray[np.int64]) -> Shown:
        bags = self.arrays.context_bags(rows_B)
        return Shown(bags, self._fitted.tables["item"].codes_RF[self.arrays.item_E[rows_B]])

    def _encode_events(self, part: SamplePart) -> History:
        users = pl.read_parquet(part.users)
        lengths = users[C.ITEM_ID].list.len().fill_null(0).cast(pl.Int64).to_numpy()
        rows = self._user_rows(users[C.USER_ID], part)
        first = self._first_event[part.name]
        self.arrays.event_start_U[rows] = first + np.cumsum(lengths) - lengths
        self.arrays.event_length_U[rows] = lengths
        items = self._fitted.tables["item"]
        events = History(
            item_N=items.codes_RF[items.ids.encode(_flat(users, C.ITEM_ID)), 0],
            action_N=self._action_codes(_flat(users, C.ACTION), _flat(users, C.VALUE)),
            scenario_N=self._scenarios.encode(_flat(users, C.SCENARIO)),
            time_N=_flat(users, C.TIME).to_numpy(),
        )
        here = slice(first, first + len(events))
        self.arrays.event_item_N[here] = events.item_N
        self.arrays.event_action_N[here] = events.action_N
        self.arrays.event_scenario_N[here] = events.scenario_N
        self.arrays.event_time_N[here] = events.time_N
        return events

    def _action_codes(self, actions: pl.Series, values: pl.Series) -> NDArray[np.int32]:
        """As `FeatureSpec.action_code`, for a whole column."""
        known = Vocabulary(pl.Series([action.name for action in self._spec.actions], dtype=pl.String))
        places_N = known.encode(actions)
        firsts = np.array([0, *self._spec.first_action_codes.values()], np.int32)
        codes_N = firsts[places_N]
        values_N = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for place, action in enumerate(self._spec.actions, start=1):
            if action.value_edges:
                given = np.flatnonzero((places_N == place) & ~np.isnan(values_N))
                buckets = np.searchsorted(np.array(action.value_edges), values_N[given], side="right")
                codes_N[given] += 1 + buckets.astype(np.int32)
        return codes_N

    def _encode_exposures(self, part: SamplePart, events: History) -> None:
        frame = pl.read_parquet(part.exposures)
        first, arrays = self._first_exposure[part.name], self.arrays
        here = slice(first, first + len(frame))
        user_B = self._user_rows(frame[C.USER_ID], part)
        self._note_users(user_B, first, part)
        item_B = self._fitted.tables["item"].ids.encode(frame[C.ITEM_ID])
        scenario_B = self._scenario_indices(frame[C.SCENARIO], part)
        arrays.user_E[here] = user_B
        arrays.item_E[here] = item_B
        if C.CREATIVE_ID in frame.columns:
            arrays.creative_E[here] = self._fitted.tables["creative"].ids.encode(frame[C.CREATIVE_ID])
        arrays.time_E[here] = frame[C.TIME].to_numpy()
        arrays.before_E[here] = frame[C.BEFORE].to_numpy()
        self._encode_context(frame, here, scenario_B)
        self._encode_lists(frame, here, part)
        for place, objective in enumerate(self._spec.objectives):
            arrays.labels_ET[here, place] = frame[label_column(objective)].fill_null(0).to_numpy()
            arrays.mature_ET[here, place] = frame[mature_column(objective)].fill_null(value=False).to_numpy()
        arrays.split_E[here] = Vocabulary(pl.Series([split.value for split in Split])).encode(frame[C.SPLIT]) - 1
        self._encode_histories(here, events, part)
        folder = self._out / EXPOSURE_IDS_FOLDER
        folder.mkdir(exist_ok=True)
        as_keys(frame[C.EXPOSURE_ID]).to_frame().write_parquet(folder / f"{part.name}.parquet")

    def _encode_context(self, frame: pl.DataFrame, here: slice, scenario_B: NDArray[np.int32]) -> None:
        codes_BF = self.arrays.context_EF[here]
        codes_BF[:, 0] = scenario_B + 1
        fields = [self._spec.fields[index] for index in self._spec.columns("context")]
        columns = (C.SCENARIO, C.POSITION, "", "", *self._fitted.context.categories)
        for place, (field, column) in enumerate(zip(fields, columns, strict=True)):
            if place != 0 and column in frame.columns:
                codes_BF[:, place] = self._fitted.vocabularies[field.name].encode(frame[column])
        codes_BF[:, 2:4] = clock_codes(frame[C.TIME].to_numpy())
        numbers = [self._spec.numbers[index] for index in self._spec.number_columns("context")]
        for place, (number, column) in enumerate(zip(numbers, self._fitted.context.numbers, strict=True)):
            values = frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            self.arrays.context_numbers_EG[here, place] = standardise(values, number)

    def _encode_lists(self, frame: pl.DataFrame, here: slice, part: SamplePart) -> None:
        """The multi-valued context fields: each distinct list of the part once, exposures by reference to it."""
        bag, token = 1 + self._first_bag[part.name], self._first_token[part.name]
        for place, index in enumerate(self._spec.multi_columns("context")):
            field, column = self._spec.multi_fields[index], list(self._fitted.context.multi)[place]
            distinct = frame[column].drop_nulls().unique(maintain_order=True)
            numbered = distinct.to_frame().with_columns(pl.int_range(bag, bag + pl.len(), dtype=pl.Int32).alias("bag"))
            found = frame.select(column).join(numbered, on=column, how="left", maintain_order="left")["bag"]
            self.arrays.context_bag_EP[here, place] = found.fill_null(0).to_numpy()
            lists, vocabulary = (
                value_lists(distinct, field.kind, field.most),
                self._fitted.multi_vocabularies[field.name],
            )
            bags = Bags.encode(lists, vocabulary, self._spec.first_tokens[index])
            self.arrays.token_offsets_J1[bag + 1 : bag + 1 + len(bags)] = token + bags.offsets_J1[1:]
            self.arrays.token_codes_N[token : token + len(bags.codes_N)] = bags.codes_N
            bag, token = bag + len(bags), token + len(bags.codes_N)

    def _encode_histories(self, here: slice, events: History, part: SamplePart) -> None:
        """Compute the facts behind the history numbers of every exposure of the part."""
        arrays = self.arrays
        user_B, before_B = arrays.user_E[here], arrays.before_E[here].astype(np.int64)
        start_B = arrays.event_start_U[user_B] - self._first_event[part.name]
        if np.any(before_B > arrays.event_length_U[user_B]):
            raise DataError(f"{part.exposures}: an exposure has more behaviours before it than its user has in all")
        item_fields_BI = self._fitted.tables["item"].codes_RF[arrays.item_E[here]]
        for chunk in _chunks(len(user_B)):
            window = gather_window(events, start_B[chunk], start_B[chunk] + before_B[chunk])
            rows = slice(here.start + chunk.start, here.start + chunk.stop)
            scenario_B = arrays.context_EF[rows, 0] - 1
            facts = self.history.facts(
                window, arrays.time_E[rows], scenario_B, item_fields_BI[chunk], self._item_fields_VI
            )
            arrays.history_counts_EC[rows] = facts.counts_BC
            arrays.history_gaps_ED[rows] = facts.gaps_BD

    def _user_rows(self, ids: pl.Series, part: SamplePart) -> NDArray[np.int32]:
        rows = self._fitted.tables["user"].ids.encode(ids)
        if np.any(rows == 0):
            strange = ids.filter(pl.Series(rows == 0))[0]
            raise DataError(f"{part.name}: user {strange!r} is not in the users table; run `plait check` again")
        return rows

    def _scenario_indices(self, names: pl.Series, part: SamplePart) -> NDArray[np.int32]:
        codes = self._scenarios.encode(names)
        if np.any(codes == 0):
            strange = names.filter(pl.Series(codes == 0))[0]
            raise DataError(f"{part.exposures}: scenario {strange!r} is not in plait.toml; declare it there")
        return codes - 1

    def _note_users(self, user_B: NDArray[np.int32], first: int, part: SamplePart) -> None:
        """Remember where each user's exposures are."""
        starts = np.flatnonzero(np.diff(user_B, prepend=-1))
        users = user_B[starts]
        if len(np.unique(users)) < len(users):
            raise DataError(f"{part.exposures}: not sorted by user; run `plait samples` again")
        self.arrays.exposure_start_U[users] = first + starts
        self.arrays.exposure_length_U[users] = np.diff(starts, append=len(user_B))


def _write_fitted(out: Path, fitted: Fitted) -> None:
    (out / TABLES_FOLDER).mkdir(parents=True, exist_ok=True)
    for source in ID_COLUMNS:
        fitted.tables[source].save(out / TABLES_FOLDER, source)
    for name, vocabulary in fitted.vocabularies.items():
        vocabulary.save(out / VOCABULARIES_FOLDER / f"{fitted.spec.field_index(name):03d}.parquet")
    for index, field in enumerate(fitted.spec.multi_fields):
        fitted.multi_vocabularies[field.name].save(out / VOCABULARIES_FOLDER / f"multi-{index:03d}.parquet")


def _with_history_numbers(spec: FeatureSpec, history: HistoryNumbers, arrays: EncodedArrays) -> FeatureSpec:
    """The specification with the history numbers, their scale fitted on evenly spaced training exposures."""
    train = np.flatnonzero(arrays.split_E == list(Split).index(Split.TRAIN))
    rows = train[:: max(len(train) // _SCALE_SAMPLE, 1)]
    raw_BG = history.numbers(HistoryFacts(arrays.history_counts_EC[rows], arrays.history_gaps_ED[rows]))
    return replace(spec, numbers=(*spec.numbers, *fit_history_numbers(history.names, raw_BG)))


def _flat(users: pl.DataFrame, column: str) -> pl.Series:
    """All users' values of a list column, behind one another."""
    return users[column].explode(empty_as_null=False, keep_nulls=False)


def _starts(lengths: dict[str, int]) -> dict[str, int]:
    """Where each part begins when all stand behind one another."""
    ends = np.cumsum(list(lengths.values()))
    return {name: int(end) - length for (name, length), end in zip(lengths.items(), ends, strict=True)}


def _chunks(size: int, length: int = _CHUNK) -> Iterator[slice]:
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
