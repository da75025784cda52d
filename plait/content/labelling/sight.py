"""How a classifier sees creatives: features and evidence whose scales were found on rows without labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.content.labelling.classifier import Seen
from plait.content.labelling.evidence import LabelWords, cosine
from plait.content.labelling.features import Block, TermWeights, Topics, suggested_texts
from plait.content.labelling.linear import Floats
from plait.content.taxonomy import Taxonomy

_WORDS, _LIKE, _TAGS = 8.0, 2.0, 1.0
"""Logits of a label that is named, and of one standard deviation of likeness of the text and of the tags."""
_BLOCK = 8.0
TEXT_BESIDE_PICTURES = 4.0
"""A text's blocks count less where pictures say it too; `plait understand evaluate --weigh` compares such weights."""
_OUTLINE, _SUGGESTED = 6.0, 4.0
_BLOCKS = ("pictures", "outlines", "suggested", "vectors")
READ = 300
"""Characters of a text that encoders read: the beginning says what it is about."""
_PICTURE_WIDTH = 768
_OUTLINE_WIDTH, _OUTLINE_WHITENING = 400, 0.15


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to see of N creatives; None where none of them has any of it."""

    texts: Sequence[str] | None
    vector_ND: Floats | None
    """Of the texts."""
    picture_NP: Floats | None = None
    """Features of the pictures; a row of NaN for a creative without one."""
    tag_ND: Floats | None = None
    """Mean vectors of the pictures' tags, weighted by their probabilities; NaN as above."""
    outline_NO: Floats | None = None
    """Outlines of the pictures; NaN as above."""

    def rows(self, chosen: NDArray[np.int64]) -> "Shown":
        parts = (self.vector_ND, self.picture_NP, self.tag_ND, self.outline_NO)
        return Shown(
            None if self.texts is None else [self.texts[row] for row in chosen],
            *(None if part is None else part[chosen] for part in parts),
        )


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosine to every label, each label's mean taken off (some lie near every text), in standard deviations."""

    label_CD: Floats
    mean_C: Floats
    spread: float

    @classmethod
    def fit(cls, x_ND: Floats, label_CD: Floats) -> "Likeness":
        """From rows without labels."""
        cosine_NC = cosine(x_ND[_there(x_ND)], label_CD)
        mean_C: Floats = cosine_NC.mean(axis=0)
        return cls(label_CD, mean_C, max(float((cosine_NC - mean_C).std()), 1e-9))

    def __call__(self, x_ND: Floats) -> Floats:
        """[N, C]; zeros for rows that are not there."""
        result: Floats = (cosine(np.nan_to_num(x_ND), self.label_CD) - self.mean_C) / np.float32(self.spread)
        result[~_there(x_ND)] = 0
        return result


@dataclass(frozen=True)
class Sight:
    """What was fitted; calling it gives what a classifier learns from."""

    taxonomy: Taxonomy
    pictures: Block | None = None
    outlines: Block | None = None
    suggested: Block | None = None
    """Of pictures: what texts beside such pictures say."""
    tags: Likeness | None = None
    vectors: Block | None = None
    terms: TermWeights | None = None
    """Of short texts beside pictures."""
    topics: Topics | None = None
    """Of texts that stand alone."""
    likeness: Likeness | None = None
    words: LabelWords = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", LabelWords(self.taxonomy))

    @classmethod
    def fit(cls, shown: Shown, taxonomy: Taxonomy, label_CD: Floats) -> "Sight":
        """From rows without labels.

        Args:
            shown: the rows.
            taxonomy: the labels.
            label_CD: vectors of the labels' texts.
        """
        parts: dict[str, Any] = {}
        if shown.tag_ND is not None:
            parts["tags"] = Likeness.fit(shown.tag_ND, label_CD)
        if shown.texts is not None and shown.vector_ND is not None:
            weight = _BLOCK if shown.picture_NP is None else TEXT_BESIDE_PICTURES
            width = shown.vector_ND.shape[1]
            parts["vectors"] = Block.fit(shown.vector_ND, weight, width=width, whitening=0.0)
            if shown.picture_NP is None:
                parts["topics"] = Topics.fit(shown.texts)
            else:
                parts["terms"] = TermWeights.fit(shown.texts)
            parts["likeness"] = Likeness.fit(shown.vector_ND, label_CD)
        return cls(taxonomy, **(parts | _picture_blocks(shown, parts)))

    def __call__(self, shown: Shown) -> Seen:
        """Features and evidence of any rows."""
        rows = len(next(part for part in (shown.vector_ND, shown.picture_NP) if part is not None))
        evidence_NC = np.zeros((rows, len(self.taxonomy.leaves)), np.float32)
        pairs = (
            (self.pictures, shown.picture_NP),
            (self.outlines, _even(shown.outline_NO)),
            (self.suggested, shown.picture_NP),
        )
        blocks = [_where_there(block, x_ND, rows) for block, x_ND in pairs if block is not None]
        if self.tags is not None and shown.tag_ND is not None:
            evidence_NC += _TAGS * self.tags(shown.tag_ND)
        if self.vectors is not None and shown.texts is not None and shown.vector_ND is not None:
            weight = _BLOCK if self.pictures is None else TEXT_BESIDE_PICTURES
            named_NC = self.words(shown.texts)
            blocks.append(self.vectors(shown.vector_ND))
            if self.topics is not None:
                blocks.append(weight * self.topics(shown.texts))
            if self.terms is not None:
                blocks += [weight * self.terms(shown.texts), _BLOCK * named_NC]
            evidence_NC += _WORDS * named_NC
        if self.likeness is not None and shown.vector_ND is not None:
            evidence_NC += _LIKE * self.likeness(shown.vector_ND)
        return Seen(np.concatenate(blocks, axis=1).astype(np.float32), evidence_NC)

    @property
    def text_columns(self) -> slice:
        """The features whose weight `TEXT_BESIDE_PICTURES` is, where there are pictures: vectors and terms of texts."""
        before = (self.pictures, self.outlines, self.suggested)
        first = sum(block.turn_DK.shape[1] for block in before if block is not None)
        vectors = 0 if self.vectors is None else self.vectors.turn_DK.shape[1]
        return slice(first, first + vectors + (0 if self.terms is None else len(self.terms.place)))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All numbers, for a file; `of_arrays` reads them back."""
        found: dict[str, NDArray[np.float32]] = {}
        for name in _BLOCKS:
            if (block := getattr(self, name)) is not None:
                found |= {f"{name}.mean": block.mean_D, f"{name}.turn": block.turn_DK}
                found[f"{name}.scale"] = np.array([block.scale], np.float32)
        for name in ("tags", "likeness"):
            if (like := getattr(self, name)) is not None:
                found |= {f"{name}.label": like.label_CD, f"{name}.mean": like.mean_C}
                found[f"{name}.spread"] = np.array([like.spread], np.float32)
        if self.terms is not None:
            found["terms.weight"] = self.terms.weight_V
        if self.topics is not None:
            found |= {"topics.weight": self.topics.terms.weight_V, "topics.turn": self.topics.turn_VK}
        return found

    @property
    def vocabulary(self) -> list[str]:
        """The terms that it knows, in order, for a file."""
        known = self.topics.terms if self.topics is not None else self.terms
        return [] if known is None else list(known.place)

    @classmethod
    def of_arrays(cls, taxonomy: Taxonomy, found: Mapping[str, NDArray[np.float32]], terms: Sequence[str]) -> "Sight":
        """The sight that `arrays` wrote; `terms` is its `vocabulary`."""
        parts: dict[str, Any] = {}
        for name in _BLOCKS:
            if f"{name}.mean" in found:
                scale = float(found[f"{name}.scale"][0])
                parts[name] = Block(found[f"{name}.mean"], found[f"{name}.turn"], scale)
        for name in ("tags", "likeness"):
            if f"{name}.label" in found:
                spread = float(found[f"{name}.spread"][0])
                parts[name] = Likeness(found[f"{name}.label"], found[f"{name}.mean"], spread)
        places = {term: place for place, term in enumerate(terms)}
        if "terms.weight" in found:
            parts["terms"] = TermWeights(places, found["terms.weight"])
        if "topics.weight" in found:
            parts["topics"] = Topics(TermWeights(places, found["topics.weight"]), found["topics.turn"])
        return cls(taxonomy, **parts)


def _picture_blocks(shown: Shown, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks of pictures, fitted on the rows that have one.

    Args:
        shown: rows without labels.
        texts: what was fitted of the texts beside them.
    """
    if shown.picture_NP is None:
        return {}
    rows_M = np.flatnonzero(_there(shown.picture_NP))
    there, picture_MP = shown.rows(rows_M), shown.picture_NP[rows_M]
    pictures = Block.fit(picture_MP, _BLOCK, width=_PICTURE_WIDTH, whitening=0.0, standardise=True)
    found = {"pictures": pictures}
    if (outline_MO := _even(there.outline_NO)) is not None:
        found["outlines"] = Block.fit(outline_MO, _OUTLINE, width=_OUTLINE_WIDTH, whitening=_OUTLINE_WHITENING)
    if "terms" in texts and there.texts is not None and there.vector_ND is not None:
        terms_NV = np.float32(TEXT_BESIDE_PICTURES) * texts["terms"](there.texts)
        text_NT = np.concatenate([texts["vectors"](there.vector_ND), terms_NV], axis=1)
        found["suggested"] = suggested_texts(pictures, picture_MP, text_NT, _SUGGESTED)
    return found


def _even(outline_NO: Floats | None) -> Floats | None:
    """Square roots of an outline's counts, so that a few strong edges do not decide who is alike.

    Hellinger's kernel (Arandjelović and Zisserman 2012, "Three things everyone should know to improve object
    retrieval", section 3).
    """
    return None if outline_NO is None else np.sqrt(np.maximum(outline_NO, 0))


def _where_there(block: Block, x_ND: Floats | None, rows: int) -> Floats:
    """The block's features; zeros for rows that are not there, and for all where none is."""
    if x_ND is None:
        return np.zeros((rows, block.turn_DK.shape[1]), np.float32)
    return np.where(_there(x_ND)[:, None], block(np.nan_to_num(x_ND)), np.float32(0))


def _there(x_ND: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(x_ND).all(axis=1), np.bool_)
