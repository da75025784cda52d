"""Encoders from the Hugging Face hub or a local folder: sentence-transformers models, causal models' hidden states."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.config.embedding import Pooling
from plait.data.artifacts import fingerprint_files
from plait.errors import ConfigError
from plait.llm.one_word import prompted
from plait.llm.precision import Precision, as_dtype, resolved

_BATCH = 32


class SentenceTransformerEncoder:
    """A model of the sentence-transformers library, by id or path; weights are safetensors.

    Raises:
        ConfigError: the library is not installed, or the model cannot be loaded.
    """

    def __init__(self, model: str, max_tokens: int) -> None:
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 (an extra, and slow)
        except ImportError as error:
            raise _needs_extra(model, error) from error
        try:
            self._model = SentenceTransformer(model, device="cpu", model_kwargs={"use_safetensors": True})
        except (OSError, ValueError) as error:
            raise _cannot_load(model, error) from error
        self._model.max_seq_length = max_tokens = min(max_tokens, self._model.max_seq_length or max_tokens)
        self.name = _plain(model)
        self.width = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = max_tokens
        self.version = f"{_weights_of(model, _config_of(self._model))}-{max_tokens}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        vectors_ND = self._model.encode(list(texts), batch_size=_BATCH, show_progress_bar=False)
        return np.asarray(vectors_ND, np.float32)


class CausalEncoder:
    """The last hidden states of a causal language model, pooled.

    Args:
        model: id or path; weights are safetensors.
        pooling: how one vector comes of the tokens' states.
        max_tokens: tokens of a text behind these are not read; the prompt around it always is.
        precision: of weights and states.

    Raises:
        ConfigError: the library is not installed, or the model cannot be loaded.
    """

    def __init__(self, model: str, pooling: Pooling, max_tokens: int, *, precision: Precision = "auto") -> None:
        try:
            from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 (an extra, and slow)
        except ImportError as error:
            raise _needs_extra(model, error) from error
        precision = resolved(precision)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model)
            self._model = AutoModel.from_pretrained(model, use_safetensors=True, dtype=as_dtype(precision)).eval()
        except (OSError, ValueError) as error:
            raise _cannot_load(model, error) from error
        self._pooling = pooling
        self.name = _plain(model)
        self.width = int(self._model.config.hidden_size)
        self.max_tokens = max_tokens
        self.version = f"{_weights_of(model, self._model.config)}-{precision}-{pooling}-{max_tokens}"

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        parts = [self._batch(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return torch.cat(parts).numpy() if parts else np.empty((0, self.width), np.float32)

    def _batch(self, texts: Sequence[str]) -> Tensor:
        tokens = [self._tokens(text) for text in texts]
        length = max(map(len, tokens))
        code_BL = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in tokens])
        count_B = torch.tensor([len(ids) for ids in tokens])
        valid_BL = torch.arange(length) < count_B[:, None]
        state_BLD: Tensor = self._model(input_ids=code_BL, attention_mask=valid_BL.long()).last_hidden_state.float()
        if self._pooling == "mean":
            return (state_BLD * valid_BL[..., None]).sum(dim=1) / count_B[:, None]
        return state_BLD[torch.arange(len(tokens)), count_B - 1]

    def _tokens(self, text: str) -> list[int]:
        """The tokens that the model reads; at least one."""
        kept: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(kept) > self.max_tokens:
            text = str(self._tokenizer.decode(kept[: self.max_tokens]))
        ids: list[int] = self._tokenizer(prompted(text, self._pooling))["input_ids"]
        return ids or [0]


def _weights_of(model: str, config: object) -> str:
    """What names the weights: the files' content of a local folder, the commit of a hub's model."""
    folder = Path(model)
    if folder.is_dir():
        return fingerprint_files(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    return str(getattr(config, "_commit_hash", None) or "unknown")


def _config_of(model: Any) -> Any:
    """The configuration of a sentence-transformers model's first part, where it has one."""
    return getattr(getattr(model[0], "auto_model", None), "config", None)


def _plain(model: str) -> str:
    return Path(model).name if Path(model).is_dir() else model


def _needs_extra(model: str, error: ImportError) -> ConfigError:
    return ConfigError(f"encoder {model}: needs `pip install plait[huggingface]` ({error})")


def _cannot_load(model: str, error: Exception) -> ConfigError:
    return ConfigError(f"encoder {model}: cannot be loaded, expected a hub id or a folder with safetensors ({error})")
