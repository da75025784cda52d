"""Encoders from the Hugging Face hub or a local folder: sentence-transformers models, causal models' hidden states."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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

    @property
    def depth(self) -> int:
        """See `plait.llm.tunable.TunableEncoder`."""
        return int(self._model.config.num_hidden_layers)

    @torch.inference_mode()
    def states(self, texts: Sequence[str], layers: int) -> list[NDArray[np.float16]]:
        """See `plait.llm.tunable.TunableEncoder`."""
        found = []
        for start in range(0, len(texts), _BATCH):
            code_BL, length_B = self._padded(texts[start : start + _BATCH])
            states = self._states(code_BL, length_B, output_hidden_states=True).hidden_states
            rows = zip(states[-1 - layers].half().numpy(), length_B.tolist(), strict=True)
            found += [state_LD[:length].copy() for state_LD, length in rows]
        return found

    def top(self, layers: int) -> nn.Module:
        """See `plait.llm.tunable.TunableEncoder`.

        Raises:
            ConfigError: the model is not built as Llama and its kin are.
        """
        missing = [name for name in ("layers", "norm", "rotary_emb") if not hasattr(self._model, name)]
        if missing:
            raise ConfigError(
                f"encoder {self.name}: its last layers cannot learn: found a {type(self._model).__name__} without "
                f"{', '.join(missing)}, expected a model built as Llama, Qwen and their kin are; set "
                "align.tuned_layers = 0"
            )
        return _Top(self._model, layers, self._pooling)

    def _batch(self, texts: Sequence[str]) -> Tensor:
        code_BL, length_B = self._padded(texts)
        return _pooled(self._states(code_BL, length_B).last_hidden_state, length_B, self._pooling)

    def _padded(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Codes of the tokens `[B, L]`, and how many each text has `[B]`."""
        tokens = [self._tokens(text) for text in texts]
        length = max(map(len, tokens))
        code_BL = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in tokens])
        return code_BL, torch.tensor([len(ids) for ids in tokens])

    def _states(self, code_BL: Tensor, length_B: Tensor, **options: Any) -> Any:
        valid_BL = torch.arange(code_BL.shape[1]) < length_B[:, None]
        return self._model(input_ids=code_BL, attention_mask=valid_BL.long(), **options)

    def _tokens(self, text: str) -> list[int]:
        """The tokens that the model reads; at least one."""
        kept: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(kept) > self.max_tokens:
            text = str(self._tokenizer.decode(kept[: self.max_tokens]))
        ids: list[int] = self._tokenizer(prompted(text, self._pooling))["input_ids"]
        return ids or [0]


class _Top(nn.Module):
    """The last decoder layers of a Llama or its kin, and the pooling."""

    def __init__(self, model: Any, layers: int, pooling: Pooling) -> None:
        super().__init__()
        self.layers, self.norm = copy.deepcopy(model.layers[-layers:]), copy.deepcopy(model.norm)
        self.rotary_emb = copy.deepcopy(model.rotary_emb)
        self._dtype, self._pooling = model.dtype, pooling

    def forward(self, state_NLD: Tensor, length_N: Tensor) -> Tensor:
        """Vectors `[N, D]` of texts by the states of their tokens, padded at the end."""
        x_NLD, length = state_NLD.to(self._dtype), state_NLD.shape[1]
        position_1L = torch.arange(length)[None]
        rotary = self.rotary_emb(x_NLD, position_1L)
        # Padding stands behind every token that counts: what is causal does not see it.
        hidden_LL = torch.ones(length, length, dtype=torch.bool).triu(1)
        mask_11LL = torch.zeros(length, length, dtype=self._dtype).masked_fill(hidden_LL, float("-inf"))[None, None]
        for layer in self.layers:
            out = layer(x_NLD, attention_mask=mask_11LL, position_ids=position_1L, position_embeddings=rotary)
            x_NLD = out if isinstance(out, Tensor) else out[0]
        return _pooled(self.norm(x_NLD), length_N, self._pooling)


def _pooled(state_BLD: Tensor, length_B: Tensor, pooling: Pooling) -> Tensor:
    """One vector of a text's states: their mean, or the last one."""
    state_BLD = state_BLD.float()
    if pooling != "mean":
        return state_BLD[torch.arange(len(length_B)), length_B - 1]
    valid_BL = torch.arange(state_BLD.shape[1]) < length_B[:, None]
    return (state_BLD * valid_BL[..., None]).sum(dim=1) / length_B[:, None]


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
