"""The steps that come with Plait: from a media file and a copy to the fields of a profile.

Every answer holds `fields` (values of the profile's fields), `confidence` (of the inferred ones among them), and what
later steps read. The functions below are thin: what they measure stands in `measures/`, `vision/` and `text/`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from plait.content.measures import color as colors
from plait.content.measures.light import brightness_of, light_level, tone_of, warmth
from plait.content.measures.regions import Pixels, Regions, split_regions
from plait.content.measures.shape import orientation_of, ratio_of
from plait.content.measures.sharpness import SCREEN_SIDE, blur_of, clarity_of
from plait.content.media.opened import OpenedMedia
from plait.content.text.copy_type import copy_type
from plait.content.text.keywords import key_words
from plait.content.vision.faces import face_model, face_score
from plait.content.vision.layout import layout_of
from plait.content.vision.reading import Line, join_lines, lines_of_frames, read_lines, reader_model
from plait.content.vision.things import MODEL, class_objects, tag_names
from plait.content.workflow import Answer, BatchStep, FileStep, Step, one_by_one
from plait.content.workflow.vectors import encoded
from plait.errors import ContentError
from plait.schema import ObjectType

FACE_FROM = 0.3
"""Face scores from here on count as a person."""
PLAIN_BELOW = 0.01
"""A picture region smaller than this share of the whole shows nothing: the ground is plain."""
NAMED_FROM = 0.15
"""Probability from which a named object type wins over "any other thing", which has the most classes."""
SHOWN_TAGS = 5


def creative_steps(shots: int, text_bytes: int) -> tuple[Step, ...]:
    """All steps, in order.

    Args:
        shots: frames that are looked at of a moving picture.
        text_bytes: longer texts (UTF-8) are refused.
    """
    return (*_steps_on_files({"shots": shots}), *_steps_on_texts(text_bytes))


def _steps_on_files(seen: dict[str, Any]) -> tuple[FileStep, ...]:
    """What looks at the media."""
    on_picture, on_frames = ("media", "probe", "reading?"), ("media", "probe", "pixels")
    fields = ("color", "brightness", "tone", "clarity")
    return (
        FileStep(
            name="probe", version=1, inputs=("media",), outputs=("screen_orientation", "duration", "ratio"), look=probe
        ),
        FileStep(
            name="reading",
            version=7,
            inputs=("media", "probe"),
            outputs=("text_color",),
            model=reader_model(),
            settings=seen,
            look=reading,
        ),
        FileStep(name="pixels", version=4, inputs=on_picture, outputs=fields, settings=seen, look=pixels),
        FileStep(
            name="faces",
            version=2,
            inputs=on_frames,
            outputs=("person",),
            model=face_model(),
            settings=seen,
            look=faces,
        ),
        FileStep(
            name="things",
            version=2,
            inputs=(*on_frames, "faces?"),
            outputs=("object_type",),
            model=MODEL,
            settings=seen,
            look=things,
        ),
    )


def _steps_on_texts(most_bytes: int) -> tuple[BatchStep, ...]:
    """What reads the words on the media, or the copy."""
    return (
        BatchStep(
            name="text",
            version=3,
            inputs=("media?", "reading?", "copy?"),
            outputs=("text", "text_length"),
            settings={"bytes": most_bytes},
            work=one_by_one(lambda inputs: text(inputs, most_bytes)),
        ),
        BatchStep(name="copy_type", version=1, inputs=("text",), outputs=("text_type",), work=one_by_one(kind_of_copy)),
        BatchStep(
            name="key_words",
            version=1,
            inputs=("text",),
            outputs=("text_key_words",),
            model="jieba",
            work=one_by_one(words),
        ),
    )


def probe(media: OpenedMedia, known: Mapping[str, Any]) -> Answer:
    """Size, length and kind, from the file's header."""
    found = media.probe
    fields = {
        "screen_orientation": orientation_of(found.width, found.height).value,
        "duration": round(found.seconds, 3),
        "ratio": ratio_of(found.width, found.height),
    }
    return {"fields": fields, **asdict(found)}


def reading(media: OpenedMedia, known: Mapping[str, Any]) -> Answer:
    """The lines of text on each frame, and the colour of their letters."""
    frames = [read_lines(frame.pixels) for frame in media.frames]
    answer: Answer = {"frames": [[asdict(line) for line in lines] for lines in frames], "fields": {}, "confidence": {}}
    first = next((place for place, lines in enumerate(frames) if lines), None)
    if first is not None:
        found = colors.letter_color(media.frames[first].pixels, [line.box for line in frames[first]], 1.0)
        if found is not None:
            answer["fields"]["text_color"], answer["confidence"]["text_color"] = found[0].value, found[1]
    return answer


def pixels(media: OpenedMedia, known: Mapping[str, Any]) -> Answer:
    """Colour, brightness, tone and clarity: the verdict that most of the time shown agrees on."""
    lines = known["reading"]["frames"] if known["reading"] else [[] for _ in media.frames]
    parts = [
        split_regions(frame.pixels, [line["box"] for line in found])
        for frame, found in zip(media.frames, lines, strict=True)
    ]
    votes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    blurs = [blur_of(frame.pixels, regions) for frame, regions in zip(media.frames, parts, strict=True)]
    for frame, regions, blur in zip(media.frames, parts, blurs, strict=True):
        for field, (value, sure) in _measured(frame.pixels, regions, blur).items():
            votes[field][value] += frame.share * sure
    total = sum(frame.share for frame in media.frames)
    best = {field: max(found, key=lambda value: found[value]) for field, found in votes.items()}
    return {
        "fields": best,
        "confidence": {field: votes[field][value] / total for field, value in best.items()},
        "plain": all(bool(regions.picture.mean() < PLAIN_BELOW) for regions in parts),
        "boxes": [_picture_box(regions) for regions in parts],
        "blurs": [0.0 if blur is None else blur for blur in blurs],
    }


def faces(media: OpenedMedia, known: Mapping[str, Any]) -> Answer:
    """Whether somebody can be seen: the surest face of all frames, looked for in the part that is a picture."""
    if known["pixels"]["plain"]:
        return {"fields": {"person": False}, "confidence": {"person": 0.99}, "score": 0.0}
    scales = (max(1.0, max(frame.pixels.shape[:2]) / SCREEN_SIDE) for frame in media.frames)
    seen = zip(_pictures(media, known), known["pixels"]["blurs"], scales, strict=True)
    score = max(face_score(picture, blur * scale) for picture, blur, scale in seen)
    person = score >= FACE_FROM
    sure = 0.5 + 0.5 * (score - FACE_FROM) / (1 - FACE_FROM) if person else 1 - 0.5 * score / FACE_FROM
    return {"fields": {"person": person}, "confidence": {"person": sure}, "score": score}


def things(media: OpenedMedia, known: Mapping[str, Any]) -> Answer:
    """What is shown: the image model's classes, and the object type that they add up to."""
    if known["pixels"]["plain"]:
        return _object(ObjectType.NONE, 0.95) | {"tags": [], "features": "", "outline": ""}
    seen = layout_of(_pictures(media, known))
    share_B = np.array([frame.share for frame in media.frames], dtype=np.float32)
    share_B /= share_B.sum()
    probability_V = share_B @ seen.tag_BV
    best = np.argsort(-probability_V, kind="stable")[:SHOWN_TAGS]
    tags = [[tag_names()[place], round(float(probability_V[place]), 4)] for place in best]
    mass: dict[ObjectType, float] = defaultdict(float)
    for kind, probability in zip(class_objects(), probability_V, strict=True):
        mass[kind] += float(probability)
    named = {kind: share for kind, share in mass.items() if kind is not ObjectType.TOOL and share >= NAMED_FROM}
    kind = max(named, key=lambda one: named[one]) if named else ObjectType.TOOL
    found = _object(kind, mass[kind])
    person = known["faces"] and known["faces"]["fields"]["person"]
    if person:
        found = _object(ObjectType.PERSON, known["faces"]["confidence"]["person"])
    shown = {"features": encoded(share_B @ seen.feature_BD), "outline": encoded(share_B @ seen.outline_BO)}
    return found | {"tags": tags, **shown}


def text(inputs: Mapping[str, Any], most_bytes: int) -> Answer:
    """What is written: on the picture, each line once in the order of the frames; without media, the copy."""
    if inputs["media"] is None:
        written, sure = inputs["copy"] or "", 1.0
    elif inputs["reading"] is None:
        return {"fields": {}, "confidence": {}}
    else:
        frames = [[Line(**line) for line in frame] for frame in inputs["reading"]["frames"]]
        lines = lines_of_frames(frames)
        written = join_lines([line.text for line in lines])
        sure = float(np.prod([line.sure for line in lines])) if lines else 0.95
    size = len(written.encode())
    if size > most_bytes:
        raise ContentError(f"a text of {size / 1000:,.0f} kB, at most {most_bytes / 1000:g} kB (content.max_text_kb)")
    return {"fields": {"text": written, "text_length": len(written)}, "confidence": {"text": sure}}


def kind_of_copy(inputs: Mapping[str, Any]) -> Answer:
    """What the copy does."""
    written = inputs["text"]["fields"].get("text")
    if written is None:
        return {"fields": {}, "confidence": {}}
    kind, sure = copy_type(written)
    return {"fields": {"text_type": kind.value}, "confidence": {"text_type": sure}}


def words(inputs: Mapping[str, Any]) -> Answer:
    """The key words, as sure as the text they were read from."""
    written = inputs["text"]["fields"].get("text")
    if written is None:
        return {"fields": {}, "confidence": {}}
    sure = inputs["text"]["confidence"]["text"]
    return {"fields": {"text_key_words": list(key_words(written))}, "confidence": {"text_key_words": sure}}


def _measured(picture: Pixels, regions: Regions, blur: float | None) -> dict[str, tuple[str, float]]:
    """(value, confidence) of each field that pixels decide, on one frame."""
    level = light_level(picture, regions)
    color, share = colors.dominant_color(picture, ~regions.letters, colors.white_of(level))
    brightness, tone = brightness_of(level), tone_of(color, warmth(picture, regions))
    clarity = clarity_of(blur)
    found = {"color": (color, min(0.99, 0.5 + share / 2)), "brightness": brightness, "tone": tone, "clarity": clarity}
    return {field: (str(value), sure) for field, (value, sure) in found.items()}


def _picture_box(regions: Regions) -> list[int]:
    """Left, top, right, bottom of the part that is a picture; of the whole where there is none."""
    height, width = regions.picture.shape
    rows, columns = np.flatnonzero(regions.picture.any(axis=1)), np.flatnonzero(regions.picture.any(axis=0))
    if not len(rows):
        return [0, 0, width, height]
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _pictures(media: OpenedMedia, known: Mapping[str, Any]) -> Sequence[Pixels]:
    """Of every frame, the part that is a picture."""
    boxes = known["pixels"]["boxes"]
    return [
        frame.pixels[top:bottom, left:right]
        for frame, (left, top, right, bottom) in zip(media.frames, boxes, strict=True)
    ]


def _object(kind: ObjectType, sure: float) -> Answer:
    return {"fields": {"object_type": kind.value}, "confidence": {"object_type": sure}}
