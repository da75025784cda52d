"""A text encoder for tests: words hashed to directions. It proves wiring; real encoders prove quality."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class HashedWords:
    """Mean of one random direction per word, of length 1; remembers every text it was asked for."""

    name = "hashed-words"
    max_tokens = 512

    def __init__(self, width: int = 16, version: str = "1") -> None:
        self.width = width
        self.version = version
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        self.asked += texts
        empty_D = np.zeros(self.width)
        vectors_ND: NDArray[np.float64] = np.stack([sum(map(self._direction, text.split()), empty_D) for text in texts])
        norms_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        unit_ND: NDArray[np.float32] = (vectors_ND / np.maximum(norms_N1, 1e-9)).astype(np.float32)
        return unit_ND

    def _direction(self, word: str) -> NDArray[np.float64]:
        direction_D: NDArray[np.float64] = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self.width)
        return direction_D
