"""Hidden states of a causal language model in a GGUF file, through llama.cpp in this process."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.config.embedding import Pooling
from plait.data.artifacts import fingerprint_files
from plait.errors import ConfigError, PlaitError
from plait.llm.one_word import prompted

_PROMPT_TOKENS = 32
"""Room for the prompt around a text."""
_CHARACTERS_PER_TOKEN = 3
"""Of a text that is cut before it is known how many tokens it has; one that still has too many is cut further."""
_AT_A_TIME = 8


class GgufEncoder:
    """A model for llama.cpp; vectors of length 1.

    Args:
        path: the GGUF file.
        pooling: how one vector comes of the tokens' last hidden states.
        max_tokens: about how many tokens of a text are read.
        threads: None for as many as the process may use.

    Raises:
        ConfigError: there is no such file, it is no model, or the package is not installed.
    """

    def __init__(self, path: Path, pooling: Pooling, max_tokens: int, threads: int | None = None) -> None:
        try:
            import xllamacpp  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise ConfigError(f"encoder {path.name}: needs `pip install plait[llm]` ({error})") from error
        if not path.is_file():
            raise ConfigError(f"encoder {path}: found no such file, expected a GGUF model")
        kind = xllamacpp.llama_pooling_type
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.embedding = True
        params.pooling_type = kind.LLAMA_POOLING_TYPE_MEAN if pooling == "mean" else kind.LLAMA_POOLING_TYPE_LAST
        params.n_ctx = params.n_batch = params.n_ubatch = max_tokens + _PROMPT_TOKENS
        params.n_parallel = 1
        params.warmup = False
        params.ui = False
        params.verbosity = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or len(os.sched_getaffinity(0))
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ConfigError(f"encoder {path}: cannot be loaded ({error})") from error
        self._pooling = pooling
        self.name = path.stem
        self.max_tokens = max_tokens
        self.version = f"{fingerprint_files([path])}-{pooling}-{max_tokens}"
        self.width = self._ask(["width"]).shape[1]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        cut = [text[: self.max_tokens * _CHARACTERS_PER_TOKEN] for text in texts]
        parts = [self._ask(cut[start : start + _AT_A_TIME]) for start in range(0, len(cut), _AT_A_TIME)]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of some texts; one with too many tokens is asked for again with fewer characters.

        Raises:
            PlaitError: llama.cpp refused for another reason.
        """
        answer = self._answer([prompted(text, self._pooling) or " " for text in texts])
        if "error" not in answer:
            return np.array([one["embedding"] for one in answer["data"]], np.float32)
        if answer["error"].get("type") != "exceed_context_size_error":
            raise PlaitError(f"encoder {self.name}: llama.cpp refused: {answer['error'].get('message')}")
        if len(texts) > 1:
            return np.concatenate([self._ask([text]) for text in texts])
        return self._ask([texts[0][: len(texts[0]) * 3 // 4]])

    def _answer(self, texts: Sequence[str]) -> dict[str, Any]:
        answer = self._server.handle_embeddings({"input": list(texts), "model": self.name})
        content: dict[str, Any] = json.loads(answer) if isinstance(answer, str | bytes) else answer
        return content
