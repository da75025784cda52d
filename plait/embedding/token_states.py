"""The states of texts' tokens below the layers that learn, on disk: 2 bytes a number, a file for so many texts.

An encoder of width D takes 2 D bytes a token, so the texts of a part of a workspace are gigabytes where their vectors
are megabytes. They are written a chunk of texts at a time, so a killed run goes on where it was, and read
memory-mapped: a batch reads those of its own texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plait.data.arrays import load_arrays, save_arrays
from plait.errors import PlaitError
from plait.llm.tunable import CutEncoder
from plait.models.text_tower import TokenStates
from plait.telemetry import progress

CHUNK = 512
"""Texts of one file."""


@dataclass(frozen=True, slots=True)
class StoredStates:
    """The states of M texts."""

    chunks: Sequence[tuple[NDArray[np.float16], NDArray[np.int64]]]
    """`CHUNK` texts each: the states of their tokens `[N, D]`, and where each text begins and the last ends."""

    def of(self, row_B: NDArray[np.integer[Any]]) -> TokenStates:
        """The distinct texts among those of B rows, by their place from 1; 0 is no text."""
        distinct_U, place_B = np.unique(row_B, return_inverse=True)
        none = int(len(distinct_U) > 0 and distinct_U[0] == 0)
        texts = [self._text(row) for row in (distinct_U[none:] - 1).tolist()]
        state_ND = np.concatenate([self.chunks[0][0][:0], *texts]).astype(np.float32)
        length_U = torch.tensor([len(text) for text in texts], dtype=torch.long)
        return TokenStates(torch.from_numpy(state_ND), length_U, torch.from_numpy(place_B.reshape(-1) - none))

    def _text(self, row: int) -> NDArray[np.float16]:
        state_ND, offset_M1 = self.chunks[row // CHUNK]
        place = row % CHUNK
        return state_ND[offset_M1[place] : offset_M1[place + 1]]


def write_states(folder: Path, name: str, texts: Sequence[str], encoder: CutEncoder, layers: int) -> None:
    """Write the states of texts below the encoder's last layers; what is there already is not made again.

    Raises:
        PlaitError: the encoder's states are larger than half precision holds.
    """
    with progress(f"reading {name} texts ({encoder.name})", len(texts)) as advance:
        for chunk, start in enumerate(range(0, len(texts), CHUNK)):
            part = texts[start : start + CHUNK]
            if not (folder / f"{_offsets(name, chunk)}.npy").exists():
                states = encoder.states(part, layers)
                if not all(np.isfinite(state_LD).all() for state_LD in states):
                    raise PlaitError(
                        f"encoder {encoder.name}: states below its last {layers} layers do not fit 16 bits, expected "
                        "numbers within +-65,504; set align.tuned_layers = 0 or another number"
                    )
                offset_M1 = np.cumsum([0, *map(len, states)])
                save_arrays(folder, **{_states(name, chunk): np.concatenate(states)})
                save_arrays(folder, **{_offsets(name, chunk): offset_M1})
            advance(len(part))


def read_states(folder: Path, name: str, texts: int) -> StoredStates:
    """What `write_states` wrote of so many texts.

    Raises:
        ArtifactError: a file is damaged.
    """
    names = [(_states(name, chunk), _offsets(name, chunk)) for chunk in range(-(-texts // CHUNK))]
    arrays = load_arrays(folder, *(each for pair in names for each in pair))
    return StoredStates([(arrays[states], arrays[offsets]) for states, offsets in names])


def _states(name: str, chunk: int) -> str:
    return f"{name}-{chunk:05d}-states"


def _offsets(name: str, chunk: int) -> str:
    return f"{name}-{chunk:05d}-offsets"
