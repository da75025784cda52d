"""The encoded arrays on disk: `.npy` files that are mapped, never read as a whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError
from plait.features.bags import Bags

SPEC_FILE = "spec.json"
TABLES_FOLDER = "tables"
VOCABULARIES_FOLDER = "vocabularies"
EXPOSURE_IDS_FOLDER = "exposure_ids"
_ARRAYS_FOLDER = "arrays"
_PARTS_FILE = "encoded_parts.json"


@dataclass(frozen=True, slots=True)
class StoreSizes:
    """What the shapes of the arrays follow from."""

    exposures: int
    events: int
    users: int
    """Rows of the user table, the unknown one included."""
    objectives: int
    context_fields: int
    context_numbers: int
    history_counts: int
    history_gaps: int
    context_lists: int
    """Multi-valued fields of the exposures."""
    bags: int
    """Their distinct lists of codes, the empty one included."""
    tokens: int
    """The codes in these."""
    matches: int
    """Match numbers."""


@dataclass(frozen=True, slots=True)
class EncodedArrays:
    """Exposures by reference (E rows), and the events of all users (N rows) behind one another.

    A user's exposures and events are contiguous: `*_start_U` and `*_length_U` say where, by row of the user table.
    """

    user_E: NDArray[np.int32]
    item_E: NDArray[np.int32]
    creative_E: NDArray[np.int32]
    """Rows of the three tables."""
    time_E: NDArray[np.int64]
    before_E: NDArray[np.int32]
    context_EF: NDArray[np.int32]
    context_numbers_EG: NDArray[np.float32]
    context_bag_EP: NDArray[np.int32]
    """Which of the bags below is the exposure's, per multi-valued field; 0 is the empty one."""
    token_offsets_J1: NDArray[np.int64]
    token_codes_N: NDArray[np.int32]
    labels_ET: NDArray[np.int8]
    mature_ET: NDArray[np.bool_]
    split_E: NDArray[np.int8]
    """Place in `Split`: 0 train, 1 valid, 2 test."""
    history_counts_EC: NDArray[np.uint8]
    history_gaps_ED: NDArray[np.float32]
    """`HistoryFacts` of each exposure."""
    match_EG: NDArray[np.float32]
    """The match numbers of each exposure."""
    event_item_N: NDArray[np.int32]
    event_action_N: NDArray[np.int16]
    event_scenario_N: NDArray[np.int16]
    event_time_N: NDArray[np.int64]
    exposure_start_U: NDArray[np.int64]
    exposure_length_U: NDArray[np.int64]
    event_start_U: NDArray[np.int64]
    event_length_U: NDArray[np.int64]

    def context_bags(self, rows_B: NDArray[np.int64]) -> Bags:
        """The bags of the multi-valued context fields of some exposures, row by row."""
        return Bags(self.token_offsets_J1, self.token_codes_N).take(self.context_bag_EP[rows_B].ravel())

    @classmethod
    def open(cls, folder: Path, *, writable: bool = False) -> "EncodedArrays":
        """Map the arrays of an encoded folder.

        Raises:
            ArtifactError: one is missing or damaged.
        """
        paths = {field.name: folder / _ARRAYS_FOLDER / f"{field.name}.npy" for field in fields(cls)}
        try:
            mode: Literal["r", "r+"] = "r+" if writable else "r"
            return cls(**{name: np.load(path, mmap_mode=mode, allow_pickle=False) for name, path in paths.items()})
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{folder}: not an encoded dataset: {error}; encode the samples again") from error


class StoreWriter:
    """Fills the arrays part by part; what a killed run finished is kept and not made again."""

    def __init__(self, folder: Path, sizes: StoreSizes) -> None:
        self._parts = folder / _PARTS_FILE
        if self._parts.exists():
            self._done = set(json.loads(self._parts.read_text(encoding="utf-8")))
        else:
            _create(folder, sizes)
            self._done = set()
            self._note()
        self.arrays = EncodedArrays.open(folder, writable=True)

    def has(self, part: str) -> bool:
        """Whether an earlier run wrote this part."""
        return part in self._done

    def finish(self, part: str) -> None:
        """Force what was written to disk, then remember the part as done."""
        for field in fields(self.arrays):
            array = getattr(self.arrays, field.name)
            if isinstance(array, np.memmap):
                array.flush()
        self._done.add(part)
        self._note()

    def _note(self) -> None:
        write_atomically(self._parts, json.dumps(sorted(self._done)))


def _create(folder: Path, sizes: StoreSizes) -> None:
    """Make every array at its full size, filled with zeros (sparse on most file systems)."""
    (folder / _ARRAYS_FOLDER).mkdir(parents=True, exist_ok=True)
    for name, (dtype, shape) in _layout(sizes).items():
        np.lib.format.open_memmap(folder / _ARRAYS_FOLDER / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)


def _layout(sizes: StoreSizes) -> Mapping[str, tuple[type[np.generic], tuple[int, ...]]]:
    exposures, events, users = sizes.exposures, sizes.events, sizes.users
    return {
        "user_E": (np.int32, (exposures,)),
        "item_E": (np.int32, (exposures,)),
        "creative_E": (np.int32, (exposures,)),
        "time_E": (np.int64, (exposures,)),
        "before_E": (np.int32, (exposures,)),
        "context_EF": (np.int32, (exposures, sizes.context_fields)),
        "context_numbers_EG": (np.float32, (exposures, sizes.context_numbers)),
        "context_bag_EP": (np.int32, (exposures, sizes.context_lists)),
        "token_offsets_J1": (np.int64, (sizes.bags + 1,)),
        "token_codes_N": (np.int32, (sizes.tokens,)),
        "labels_ET": (np.int8, (exposures, sizes.objectives)),
        "mature_ET": (np.bool_, (exposures, sizes.objectives)),
        "split_E": (np.int8, (exposures,)),
        "history_counts_EC": (np.uint8, (exposures, sizes.history_counts)),
        "history_gaps_ED": (np.float32, (exposures, sizes.history_gaps)),
        "match_EG": (np.float32, (exposures, sizes.matches)),
        "event_item_N": (np.int32, (events,)),
        "event_action_N": (np.int16, (events,)),
        "event_scenario_N": (np.int16, (events,)),
        "event_time_N": (np.int64, (events,)),
        "exposure_start_U": (np.int64, (users,)),
        "exposure_length_U": (np.int64, (users,)),
        "event_start_U": (np.int64, (users,)),
        "event_length_U": (np.int64, (users,)),
    }
