"""What a classifier sees of creatives: blocks of numbers, brought to one scale, side by side."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from plait.content.labelling.linear import Floats
from plait.content.taxonomy import normalised

_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_MOST_TERMS, _COMMONEST = 10_000, 0.3
"""Terms that topics are made of; those that stand in a larger share of the texts say nothing."""
_STEPS = 4
_RIDGE = 6.0
"""Penalty of suggested texts, beside a variance of 1 of each of the pictures' directions."""


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
    def fit(
        cls, x_ND: Floats, weight: float, *, width: int = 256, whitening: float = 0.25, standardise: bool = False
    ) -> Self:
        """From rows without labels.

        Args:
            x_ND: features.
            weight: root mean square length of a row behind it: how much this block counts.
            width: principal directions kept, at most D.
            whitening: power of a direction's variance that it is divided by; 0.5 makes all directions alike.
            standardise: columns are brought to variance 1 first, for features of different kinds.
        """
        mean_D: Floats = x_ND.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread_D = x_ND.std(axis=0) + np.float32(1e-6) if standardise else np.ones_like(mean_D)
        centred_ND: Floats = (x_ND - mean_D) / spread_D
        variance_K, direction_DK = principal_directions(centred_ND, width)
        power_K = np.maximum(variance_K, max(1e-6 * float(variance_K.max()), 1e-12)) ** whitening
        turn_DK = np.asarray(direction_DK / power_K, np.float32)
        length = float(np.sqrt(np.square(centred_ND @ turn_DK).sum(axis=1).mean()))
        return cls(mean_D, np.asarray(turn_DK / spread_D[:, None], np.float32), weight / max(length, 1e-6))

    def __call__(self, x_ND: Floats) -> Floats:
        return np.asarray((x_ND - self.mean_D) @ self.turn_DK * self.scale, np.float32)


def principal_directions(centred_ND: Floats, width: int) -> tuple[Floats, Floats]:
    """(variances [K], directions [D, K]) in which rows differ most, the most first; K is at most `width`."""
    variance_D, direction_DD = np.linalg.eigh(centred_ND.T @ centred_ND / len(centred_ND))
    kept = np.argsort(variance_D)[::-1][: min(width, len(centred_ND))]
    return variance_D[kept], np.asarray(direction_DD[:, kept], np.float32)


def suggested_texts(pictures: Block, picture_NP: Floats, text_NT: Floats, weight: float, *, width: int = 200) -> Block:
    """What the texts beside pictures like these say: a block of pictures' features, learnt from unlabelled pairs.

    Ridge regression of the texts' features on the pictures'. It can only say what many texts agree on, and so leaves
    out what is peculiar to one: a picture's features in the order of what texts find worth a word.

    Args:
        pictures: the block that the pictures' features went through.
        picture_NP: features of the pictures.
        text_NT: features of the texts beside them.
        weight: root mean square length of a row behind it.
        width: principal directions of the suggested texts that are kept.
    """
    seen_NK = pictures(picture_NP)
    scale = float(np.sqrt(np.square(seen_NK).sum(axis=1).mean() / seen_NK.shape[1]))
    seen_NK /= max(scale, 1e-6)
    square_KK = seen_NK.T @ seen_NK / len(seen_NK) + _RIDGE * np.eye(seen_NK.shape[1], dtype=np.float32)
    centred_NT = text_NT - text_NT.mean(axis=0)
    turn_KT = np.linalg.solve(square_KK, seen_NK.T @ centred_NT / len(seen_NK))
    block = Block.fit(seen_NK @ turn_KT, weight, width=width)
    turn_PW = pictures.turn_DK @ (turn_KT @ block.turn_DK) * (pictures.scale / max(scale, 1e-6))
    return Block(pictures.mean_D, np.asarray(turn_PW, np.float32), block.scale)
