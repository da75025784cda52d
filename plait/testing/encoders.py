"""Text encoders for tests: words hashed to directions. They prove wiring; real encoders prove quality."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


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


class LayeredWords(HashedWords):
    """The same vectors out of one layer, which can learn: see `plait.llm.tunable.TunableEncoder`."""

    depth = 1

    def states(self, texts: Sequence[str], layers: int) -> list[NDArray[np.float16]]:
        """The directions of each text's words."""
        if layers != self.depth:
            raise ValueError(f"layers is {layers}, expected {self.depth}")
        none_1D = np.zeros((1, self.width), np.float16)
        return [
            np.stack(list(map(self._direction, words))).astype(np.float16) if (words := text.split()) else none_1D
            for text in texts
        ]

    def top(self, layers: int) -> nn.Module:
        """The identity, and the mean of a text's words, of length 1."""
        if layers != self.depth:
            raise ValueError(f"layers is {layers}, expected {self.depth}")
        return _MeanWord(self.width)


class _MeanWord(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.layer.weight)

    def forward(self, state_NLD: Tensor, length_N: Tensor) -> Tensor:
        valid_NL = torch.arange(state_NLD.shape[1]) < length_N[:, None]
        sum_ND = (self.layer(state_NLD) * valid_NL[..., None]).sum(dim=1)
        return functional.normalize(sum_ND, dim=1)
