"""One text vector per exposure, composed of parts that are encoded once each.

A sample's text is what is said of its user, of its item and of its context. Of E exposures few have a user's text, an
item's or a context to themselves: the distinct ones are encoded, and an exposure holds a row number per part. Memory is
E row numbers and the distinct vectors; the vector of a batch is gathered when it is asked for. Where the encoder's last
layers learn, the states of a text's tokens below them stand in for its vector: they stay on disk, and a batch reads
those of its own texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.embedding.token_states import StoredStates
from plait.models.text_tower import Texts, TokenStates


@dataclass(frozen=True, slots=True)
class TextPart:
    """M distinct texts, and which of them each of E exposures has."""

    vectors_MW: NDArray[np.float32]
    """Row 0 is zero: no text."""
    row_E: NDArray[np.int32]
    source_M: NDArray[np.int64]
    """Where the texts stood among those that the part was made of; -1 for no text."""
    states: StoredStates | None = None
    """What a batch is given in place of vectors, where the encoder's last layers learn."""

    @classmethod
    def of(cls, vectors_RW: NDArray[np.float32], row_E: NDArray[np.integer]) -> "TextPart":
        """The part whose exposure e has the vector `vectors_RW[row_E[e]]`, or none where `row_E[e]` is -1.

        Equal vectors are one text.
        """
        distinct_MW, source_M, place_R = np.unique(vectors_RW, axis=0, return_index=True, return_inverse=True)
        none_1W = np.zeros((1, vectors_RW.shape[1]), np.float32)
        place_R = np.append(place_R.reshape(-1) + 1, 0)  # -1 finds the last: no text
        return cls(np.concatenate([none_1W, distinct_MW]), place_R[row_E].astype(np.int32), np.append(-1, source_M))

    def batch(self, rows_B: NDArray[np.int64]) -> Tensor | TokenStates:
        """The texts of B exposures."""
        row_B = self.row_E[rows_B]
        return torch.from_numpy(self.vectors_MW[row_B]) if self.states is None else self.states.of(row_B)


@dataclass(frozen=True, slots=True)
class SampleTexts:
    """The parts, side by side."""

    parts: Mapping[str, TextPart]
    """By name, in their order."""

    @property
    def width(self) -> int:
        """W, the width of an exposure's vector: that of all parts together."""
        return sum(part.vectors_MW.shape[1] for part in self.parts.values())

    def batch(self, rows_B: NDArray[np.int64]) -> Texts:
        """The texts of B exposures, by part."""
        return [part.batch(rows_B) for part in self.parts.values()]

    def keys(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers that are equal where whole texts are."""
        key_B = np.zeros(len(rows_B), np.int64)
        for part in self.parts.values():
            key_B = key_B * len(part.vectors_MW) + part.row_E[rows_B]
        return key_B

    def distinct(self) -> list[int]:
        """How many texts each part has: what was encoded."""
        return [len(part.vectors_MW) - 1 for part in self.parts.values()]
