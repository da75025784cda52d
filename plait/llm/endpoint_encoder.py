"""Embeddings from a server that speaks OpenAI's protocol (vLLM, SGLang, Ollama, llama-server, OpenAI)."""

import os
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from plait.errors import PlaitError

_AT_A_TIME = 64
_ATTEMPTS = 5
_CHARACTERS_PER_TOKEN = 8


class EndpointEncoder:
    """`POST <url>/embeddings`. What fails for a moment (429, 5xx, a lost connection) is tried again, five times in all.

    Args:
        model: its name at the endpoint. Another model under the same name is not noticed: name its version in it.
        url: up to and with `/v1`.
        max_tokens: a text is cut at eight characters for each.
        token_env: environment variable with the bearer token, if one is needed.
        pause_s: before the second attempt; doubles with each further one.
    """

    def __init__(self, model: str, url: str, max_tokens: int, token_env: str, *, pause_s: float = 1.0) -> None:
        self.name = model
        self.version = f"{url}-{max_tokens}"
        self.max_tokens = max_tokens
        self._pause_s = pause_s
        token = os.environ.get(token_env)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=120.0)

    @cached_property
    def width(self) -> int:
        """D, as the endpoint's answer to one word has it."""
        return int(self._ask(["width"]).shape[1])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`.

        Raises:
            PlaitError: the endpoint does not answer, or not as the protocol has it.
        """
        cut = [text[: self.max_tokens * _CHARACTERS_PER_TOKEN] for text in texts]
        parts = [self._ask(cut[start : start + _AT_A_TIME]) for start in range(0, len(cut), _AT_A_TIME)]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        answer = self._post({"model": self.name, "input": list(texts), "encoding_format": "float"})
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors_ND = np.array([row["embedding"] for row in rows], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise PlaitError(f"{self._client.base_url}: no embeddings ({error!r}): {answer!r:.200}") from error
        if vectors_ND.ndim != 2 or len(vectors_ND) != len(texts):
            raise PlaitError(f"{self._client.base_url}: found {len(rows)} vectors, expected {len(texts)} of one width")
        return vectors_ND

    def _post(self, body: dict[str, Any]) -> Any:
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(self._pause_s * 2 ** (attempt - 1))
            try:
                response = self._client.post("embeddings", json=body)
            except httpx.TransportError as error:
                problem = repr(error)
                continue
            if response.status_code == 200:
                return response.json()
            problem = f"status {response.status_code}: {response.text:.200}"
            if response.status_code != 429 and response.status_code < 500:
                break
        raise PlaitError(f"{self._client.base_url}embeddings (model {self.name}): no answer: {problem}")
