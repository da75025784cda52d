"""The steps that label: what a creative says as one text and its vector, the light classifier, a language model."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from plait.content.labelling.evidence import mean_tags
from plait.content.labelling.label_model import LabelModel
from plait.content.labelling.linear import Floats
from plait.content.labelling.sight import READ, Shown
from plait.content.labelling.strategy import Described, LabelAnswer, Likely, Strategy
from plait.content.vision.layout import FEATURES, OUTLINE
from plait.content.workflow import Answer, BatchStep, Failed, Outcome
from plait.content.workflow.vectors import decoded, encoded
from plait.llm.encode import TextEncoder

MOST_CHARACTERS = 2_000
"""Of what a creative says, as far as its label depends on it."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def described(inputs: Mapping[str, Any]) -> str:
    """What a creative says: its copy, what is written and said in it, and what the item it advertises is called.

    Each part once, cut to `MOST_CHARACTERS` together, on one line.
    """
    item = inputs["item"] or {}
    read, heard = inputs["text"], inputs.get("transcript")
    parts = (
        inputs["copy"],
        read and read["fields"].get("text"),
        heard and heard.get("said"),
        item.get("name"),
        item.get("description"),
    )
    lines = [" ".join(_SURROGATES.sub(" ", str(part)[:MOST_CHARACTERS]).split()) for part in parts if part]
    return " ".join(dict.fromkeys(line for line in lines if line))[:MOST_CHARACTERS]


def meaning_step(encoder: TextEncoder, heard: bool) -> BatchStep:
    """What a creative says as one text, and the text's vector.

    Args:
        encoder: gives the vector.
        heard: there is a step `transcript`.
    """

    def work(batch: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        texts = [described(inputs) for inputs in batch]
        vectors_ND = encoder.encode([text[:READ] for text in texts])
        for place, (text, vector_D) in enumerate(zip(texts, vectors_ND, strict=True)):
            yield place, {"text": text, "vector": encoded(vector_D)}

    return BatchStep(
        name="meaning",
        version=1,
        inputs=("copy?", "text?", "item?", *(("transcript?",) if heard else ())),
        outputs=("text", "vector"),
        model=f"{encoder.name} {encoder.version}",
        work=work,
        batch=64,
    )


def light_step(
    name: str, threshold: float, opened: Callable[[], tuple[LabelModel, Mapping[str, Floats]]], likely: int = 0
) -> BatchStep:
    """The label by the light classifier.

    Args:
        name: of the classifier, with its version.
        threshold: less sure levels are unknown.
        opened: gives the classifier, and the vector of every tag of pictures.
        likely: so many of the likeliest labels go with each answer, for a language model to choose among.
    """

    def work(batch: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        model, tags = opened()
        yield from enumerate(map(label_answer, model.answers(shown_of(batch, tags), threshold, likely)))

    return BatchStep(
        name="label",
        version=2,
        inputs=("meaning", "things?"),
        outputs=("label",),
        model=name,
        settings={"threshold": threshold} | ({"likely": likely} if likely else {}),
        work=work,
    )


def model_step(strategy: Callable[[], Strategy], model: str, threshold: float, *, rest: bool) -> BatchStep:
    """The label by a language model.

    Args:
        strategy: gives how it is asked, with the model.
        model: the model's name with its version, and the prompt's.
        threshold: less sure levels are unknown.
        rest: ask only for creatives whose whole path the light classifier is not sure of, and only among the labels
            that it finds likeliest.
    """

    def work(batch: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        sure = [rest and answer_of(inputs["label"]).is_sure for inputs in batch]
        yield from ((place, {"fields": {}, "confidence": {}}) for place, known in enumerate(sure) if known)
        asked = [
            Described(str(place), batch[place]["meaning"]["text"], likely_of(batch[place]["label"]) if rest else ())
            for place, known in enumerate(sure)
            if not known
        ]
        for creative, found in zip(asked, strategy().label(asked) if asked else (), strict=True):
            answer = Failed(found.failure, passing=True) if found.failure else label_answer(found)
            yield int(creative.creative_id), answer

    return BatchStep(
        name="label_model",
        version=2,
        inputs=("meaning", "label") if rest else ("meaning",),
        outputs=("label",),
        model=model,
        settings={"threshold": threshold},
        work=work,
        batch=32,
    )


def label_answer(found: LabelAnswer) -> Answer:
    """A strategy's answer as a step's: the path that is sure enough, how sure, and the whole path that was likeliest.

    The confidence of an unknown label is that of the best guess at its first level.
    """
    sure = found.confidence[max(len(found.path), 1) - 1]
    fields = {"label": list(found.path)} if found.path else {}
    answer = {"fields": fields, "confidence": {"label": sure}, "best": list(found.best)}
    answer["levels"] = list(found.confidence)
    return answer | ({"likely": [[list(path), share] for path, share in found.likely]} if found.likely else {})


def answer_of(step: Answer) -> LabelAnswer:
    """The strategy's answer that `label_answer` made a step's of."""
    path, confidence = tuple(step["fields"].get("label", ())), tuple(step["levels"])
    return LabelAnswer(path, confidence, tuple(step["best"]), likely=likely_of(step))


def likely_of(step: Answer) -> Likely:
    """The likeliest labels that the step's answer has."""
    return tuple((tuple(path), share) for path, share in step.get("likely", ()))


def shown_of(batch: Sequence[Mapping[str, Any]], tags: Mapping[str, Floats]) -> Shown:
    """What a classifier sees of creatives, from the answers of `meaning` and `things`."""
    vector_ND = np.stack([decoded(inputs["meaning"]["vector"]) for inputs in batch])
    pictured = [bool(inputs["things"] and inputs["things"]["features"]) for inputs in batch]
    picture_NP = np.full((len(batch), FEATURES), np.nan, np.float32)
    outline_NO = np.full((len(batch), OUTLINE), np.nan, np.float32)
    tag_ND = np.full((len(batch), vector_ND.shape[1]), np.nan, np.float32)
    for row, inputs in enumerate(batch):
        if pictured[row]:
            picture_NP[row] = decoded(inputs["things"]["features"])
            outline_NO[row] = decoded(inputs["things"]["outline"])
            names, weight_K = zip(*inputs["things"]["tags"], strict=True)
            share_1K = np.array([weight_K], np.float32) / max(sum(weight_K), 1e-9)
            tag_ND[row] = mean_tags(share_1K, np.stack([tags[name] for name in names]))[0]
    texts = [inputs["meaning"]["text"] for inputs in batch]
    return Shown(texts, vector_ND, picture_NP, tag_ND, outline_NO) if any(pictured) else Shown(texts, vector_ND)
