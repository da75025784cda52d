"""What speaks for each label before anybody has labelled anything: its words in the text, likeness of meaning, tags."""

import re
from collections.abc import Sequence

import numpy as np

from plait.content.labelling.linear import Floats
from plait.content.taxonomy import Label, Taxonomy, normalised

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def label_text(label: Label, language: str = "en") -> str:
    """What an encoder reads of a label: its names from the last level up, its other names, its description."""
    names = dict.fromkeys(reversed(label.names(language)))
    return ", ".join([*names, *label.words, *([label.description] if label.description else [])])


class LabelWords:
    """Which labels a text names: by the names of their last level and their other words, singular or plural.

    Of two words where one lies within the other ("dress" in "night dress"), only the longer counts. The last word found
    counts most, since names end with what the thing is ("Shirt Collar T-shirt").
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._leaves = len(taxonomy.leaves)
        self._owners: dict[str, set[int]] = {}
        for place, label in enumerate(taxonomy.leaves):
            for word in {*label.path[-1:], *label.zh[-1:], *label.words}:
                self._owners.setdefault(_stemmed(word), set()).add(place)
        words = sorted((word for word in self._owners if word), key=len, reverse=True)
        self._finder = re.compile("|".join(_bounded(word) for word in words))

    def found(self, text: str) -> list[tuple[int, str]]:
        """(position, word) of every label word in a text, first to last."""
        return [(hit.start(), hit.group()) for hit in self._finder.finditer(_stemmed(text))]

    def without(self, text: str) -> str:
        """The text with every label word removed."""
        return " ".join(self._finder.sub(" ", _stemmed(text)).split())

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Evidence [N, C]: 1 for labels named last, a half for those named before, shared by labels of one name."""
        evidence_NC = np.zeros((len(texts), self._leaves), np.float32)
        for row, text in enumerate(texts):
            hits = self.found(text)
            for place, (_, word) in enumerate(hits):
                owners = list(self._owners[word])
                value = 1.0 if place == len(hits) - 1 else 0.5
                evidence_NC[row, owners] = np.maximum(evidence_NC[row, owners], value)
        return evidence_NC


def cosine(x_ND: Floats, label_CD: Floats) -> Floats:
    """Cosine of every row to every label [N, C]."""
    result: Floats = _unit(x_ND) @ _unit(label_CD).T
    return result


def likeness(text_ND: Floats, label_CD: Floats) -> Floats:
    """Cosine of every text to every label [N, C], a label's mean taken off: some labels lie near every text."""
    cosine_NC = cosine(text_ND, label_CD)
    result: Floats = cosine_NC - cosine_NC.mean(axis=0)
    return result


def mean_tags(tag_NV: Floats, tag_VD: Floats) -> Floats:
    """Mean vector [N, D] of a picture's tags, weighted by their probabilities.

    Args:
        tag_NV: probabilities of V tags.
        tag_VD: vectors of the tags' names.
    """
    return tag_NV @ _unit(tag_VD)


def _unit(x_ND: Floats) -> Floats:
    result: Floats = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-9)
    return result


def _stemmed(text: str) -> str:
    """Normalised, each word without its plural s."""
    return " ".join(_singular(word) for word in normalised(text).split())


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith(("shes", "ches", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _bounded(word: str) -> str:
    """Chinese is found anywhere, other words as whole words, which Chinese may touch ("的MOBA之选")."""
    inside = r"[^\W\u4e00-\u9fff]"
    return re.escape(word) if _CHINESE.search(word) else rf"(?<!{inside}){re.escape(word)}(?!{inside})"
