"""What a classifier sees of creatives: blocks of numbers, brought to one scale, side by side."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from plait.content.labelling.linear import Floats
from plait.content.taxonomy import normalised

_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_MOST_TERMS, _COMMONEST = 10_000, 0.3
"""Terms that topics are made of; those that stand in a larger share of the texts say nothing."""
_STEPS = 4


def terms(text: str) -> list[str]:
    """Words of a text; of Chinese every character and every pair of neighbours."""
    found = [word for word in normalised(text).split() if not _CHINESE.search(word)]
    for run in _CHINESE.findall(text):
        found += [*run, *(run[place : place + 2] for place in range(len(run) - 1))]
    return found


@dataclass(frozen=True)
class TermWeights:
    """tf-idf of the terms that stand in enough texts: (1 + ln tf) ln(N / df), each row of length 1."""

    place: dict[str, int]
    weight_V: Floats

    @classmethod
    def fit(cls, texts: Sequence[str], fewest: int = 5, most: int = 1_500, commonest: float = 1.0) -> Self:
        """Of the `most` commonest terms that stand in `fewest` texts or more, and in a share of `commonest` at most."""
        counts = Counter(term for text in texts for term in set(terms(text)))
        able = (term for term in counts if fewest <= counts[term] <= commonest * len(texts))
        kept = sorted(able, key=lambda term: (-counts[term], term))[:most]
        weight_V = np.array([np.log(len(texts) / counts[term]) for term in kept], np.float32)
        return cls({term: place for place, term in enumerate(kept)}, weight_V)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Rows [N, V]; zeros for a text without known terms."""
        weighted_NV = np.zeros((len(texts), len(self.place)), np.float32)
        for row, text in enumerate(texts):
            for term, count in Counter(terms(text)).items():
                if (place := self.place.get(term)) is not None:
                    weighted_NV[row, place] = (1 + np.log(count)) * self.weight_V[place]
        length_N1 = np.linalg.norm(weighted_NV, axis=1, keepdims=True).astype(np.float32)
        result: Floats = weighted_NV / np.maximum(length_N1, 1e-6)
        return result


@dataclass(frozen=True)
class Topics:
    """Latent semantic analysis (Deerwester et al. 1990): which terms go together, learnt from texts without labels.

    Rows of tf-idf, turned to the directions in which texts differ most, each of length 1.
    """

    terms: TermWeights
    turn_VK: Floats

    @classmethod
    def fit(cls, texts: Sequence[str], width: int = 300, seed: int = 0) -> Self:
        """By three steps of subspace iteration from a random start (Halko, Martinsson and Tropp 2011)."""
        weights = TermWeights.fit(texts, fewest=min(4, len(texts)), most=_MOST_TERMS, commonest=_COMMONEST)
        weighted_NV = weights(texts)
        width = min(width, *weighted_NV.shape)
        draw = np.random.default_rng(seed).normal(size=(weighted_NV.shape[1], min(width + 10, *weighted_NV.shape)))
        turn_VK = draw.astype(np.float32)
        for _ in range(_STEPS):
            span_NK, _ = np.linalg.qr(weighted_NV @ turn_VK)
            turn_VK = weighted_NV.T @ span_NK
        if not width:
            return cls(weights, turn_VK)
        _, _, direction_KV = np.linalg.svd(turn_VK.T, full_matrices=False)
        return cls(weights, np.asarray(direction_KV[:width].T, np.float32))

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Rows [N, K]; zeros for a text without known terms."""
        turned_NK = self.terms(texts) @ self.turn_VK
        result: Floats = turned_NK / np.maximum(np.linalg.norm(turned_NK, axis=1, keepdims=True), 1e-6)
        return result


@dataclass(frozen=True)
class Block:
    """One kind of features: centred, turned to `width` principal directions, partly whitened, scaled."""

    mean_D: Floats
    turn_DK: Floats
    scale: float

    @classmethod
    def fit(cls, x_ND: Floats, weight: float, *, width: int = 256, whitening: float = 0.25) -> Self:
        """From rows without labels.

        Args:
            x_ND: features.
            weight: root mean square length of a row behind it: how much this block counts.
            width: principal directions kept, at most D.
            whitening: power of a direction's variance that it is divided by; 0.5 makes all directions alike.
        """
        mean_D: Floats = x_ND.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred_ND: Floats = x_ND - mean_D
        variance_D, direction_DD = np.linalg.eigh(centred_ND.T @ centred_ND / len(x_ND))
        kept = np.argsort(variance_D)[::-1][: min(width, len(x_ND))]
        power_K = np.maximum(variance_D[kept], max(1e-6 * variance_D.max(), 1e-12)) ** whitening
        turn_DK = np.asarray(direction_DD[:, kept] / power_K, np.float32)
        length = float(np.sqrt(np.square(centred_ND @ turn_DK).sum(axis=1).mean()))
        return cls(mean_D, turn_DK, weight / max(length, 1e-6))

    def __call__(self, x_ND: Floats) -> Floats:
        return np.asarray((x_ND - self.mean_D) @ self.turn_DK * self.scale, np.float32)


def standardised(x_ND: NDArray[Any], fit_rows_M: NDArray[np.int64]) -> Floats:
    """Columns with mean 0 and variance 1 over some rows."""
    x = x_ND.astype(np.float32)
    mean_D, spread_D = x[fit_rows_M].mean(axis=0), x[fit_rows_M].std(axis=0)
    result: Floats = (x - mean_D) / (spread_D + np.float32(1e-6))
    return result
