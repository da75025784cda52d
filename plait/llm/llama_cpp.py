"""Language models in GGUF files, by llama.cpp within this process: schema-constrained, the prompt's beginning kept."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.data.artifacts import fingerprint_files
from plait.errors import ConfigError, PlaitError
from plait.llm.answer_cache import AnswerCache
from plait.llm.generate import ChatModel


class LlamaCpp:
    """A backend of `ChatModel`.

    Args:
        path: the GGUF file.
        context: tokens of prompt and answer together, of each slot.
        slots: calls that are worked on at once.
        threads: None for as many as the process may use.

    Raises:
        ConfigError: there is no such file, it is no model, or the package is not installed.
    """

    def __init__(self, path: Path, *, context: int = 2048, slots: int = 1, threads: int | None = None) -> None:
        try:
            import xllamacpp  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise ConfigError(f"model {path.name}: needs `pip install plait[llm]` ({error})") from error
        if not path.is_file():
            raise ConfigError(f"model {path}: found no such file, expected a GGUF model")
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = context * slots, slots
        params.cache_prompt = True
        params.warmup = params.ui = False
        params.verbosity = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or len(os.sched_getaffinity(0))
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ConfigError(f"model {path}: cannot be loaded ({error})") from error

    @property
    def url(self) -> str:
        """Address of its HTTP interface, on this machine only."""
        return f"{self._server.listening_address}/v1"

    def __call__(self, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """See `plait.llm.generate.Ask`."""
        answer = self._server.handle_chat_completions(dict(body))
        content: dict[str, Any] = json.loads(answer) if isinstance(answer, str | bytes) else answer
        if "error" in content:
            raise PlaitError(f"llama.cpp refused: {content['error'].get('message')}")
        return content


def open_gguf(path: Path, cache: AnswerCache | None = None, *, context: int = 2048, slots: int = 1) -> ChatModel:
    """A model in this process; its answers are kept under the file's content.

    Several slots keep the states of several prompts' beginnings, for callers that go back and forth between them.
    """
    name = f"{path.stem}-{fingerprint_files([path]) if path.is_file() else 'missing'}"
    return ChatModel(name, LlamaCpp(path, context=context, slots=slots), cache)
