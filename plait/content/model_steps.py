"""Steps that ask models on request: what the copy does, what is shown (language models), what is said (speech)."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Literal

from plait.content.media.opened import MediaLimits, OpenedMedia
from plait.content.media.sound import sound_of
from plait.content.prompts import Language, load_prompt
from plait.content.weighing import Weigher
from plait.content.workflow import Answer, BatchStep, Outcome
from plait.content.workflow.step import attempt
from plait.errors import ContentError, PassingError, PlaitError
from plait.llm.generate import ChatModel
from plait.llm.openai_endpoint import image_part
from plait.llm.speech import SAMPLE_RATE, Transcriber
from plait.schema import ObjectType, TextType, Word

AskedField = Literal["text_type", "object_type"]
_PICTURE_SIDE = 448
"""Longer side in pixels of a picture that a language model sees."""
_OPTIONS: Mapping[str, tuple[Word, ...]] = {
    "text_type": tuple(kind for kind in TextType if kind is not TextType.NONE),
    "object_type": tuple(kind for kind in ObjectType if kind not in (ObjectType.NONE, ObjectType.PERSON)),
}
_NOTHING: Answer = {"fields": {}, "confidence": {}}


def asked_step(
    field: AskedField,
    model: Callable[[], ChatModel],
    name: str,
    *,
    language: Language,
    limits: MediaLimits | None = None,
    concurrency: int = 1,
) -> BatchStep:
    """A field by the likelihood of its values' letters: nothing is decoded.

    The field keeps what the steps before it say where there is nothing to ask about: no text, a plain ground, a face.

    Args:
        field: which one.
        model: gives the language model.
        name: of the model, with its version.
        language: of the prompt.
        limits: of media, for a model that sees pictures; None for one that only reads their tags.
        concurrency: calls under way at once.
    """
    prompt = load_prompt(field, language)
    values = _OPTIONS[field]

    @cache
    def weigher() -> Weigher:
        return Weigher(model(), prompt)

    def ask(inputs: Mapping[str, Any]) -> Answer:
        about = _about(field, inputs)
        if not about:
            return _NOTHING
        picture = None
        if limits is not None and field == "object_type":
            picture = _picture(inputs["media"], limits)
        try:
            found = weigher().weigh([getattr(value, language) for value in values], about, picture=picture)
        except PlaitError as error:
            raise PassingError(str(error)) from error
        if found.failure:
            raise ContentError(found.failure)
        best = max(range(len(values)), key=lambda place: found.probability_K[place])
        return {"fields": {field: values[best].value}, "confidence": {field: found.probability_K[best]}}

    def work(batch: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        weigher()  # opened once, before there are threads
        with ThreadPoolExecutor(concurrency) as pool:
            yield from enumerate(pool.map(lambda inputs: attempt(lambda: ask(inputs)), batch))

    return BatchStep(
        name=f"asked_{field}",
        version=2,
        inputs=("text",) if field == "text_type" else ("media", "things", "faces?", "text?"),
        outputs=(field,),
        model=f"{name} {field}.v{prompt.version}",
        settings={"language": language, "sees": limits is not None},
        work=work,
        batch=32,
    )


def transcript_step(transcriber: Callable[[], Transcriber], name: str, seconds: float) -> BatchStep:
    """What is said in videos.

    Args:
        transcriber: gives the speech model.
        name: of the model.
        seconds: of the sound, from its beginning.
    """

    def hear(inputs: Mapping[str, Any]) -> Answer:
        if inputs["probe"]["kind"] != "video":
            return {"said": ""}
        sound = sound_of(Path(inputs["media"]), rate=SAMPLE_RATE, seconds=seconds)
        return {"said": transcriber().transcribe([sound])[0] if len(sound) else ""}

    def work(batch: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        for place, inputs in enumerate(batch):
            yield place, attempt(lambda inputs=inputs: hear(inputs))  # type: ignore[misc]

    return BatchStep(
        name="transcript",
        version=1,
        inputs=("media", "probe"),
        outputs=("said",),
        model=name,
        settings={"seconds": seconds},
        work=work,
    )


def _about(field: AskedField, inputs: Mapping[str, Any]) -> str:
    """What the model is told of a creative; empty where there is nothing to ask about."""
    read = inputs["text"]
    text = str((read and read["fields"].get("text")) or "")
    if field == "text_type":
        return text
    if not inputs["things"]["tags"] or (inputs["faces"] and inputs["faces"]["fields"]["person"]):
        return ""
    seen = ", ".join(f"{name} {share:.0%}" for name, share in inputs["things"]["tags"])
    return f"{seen}. {text}".strip()


def _picture(path: str, limits: MediaLimits) -> dict[str, Any]:
    """The frame that most of the time looks like, as a part of a message."""
    from PIL import Image  # noqa: PLC0415 (the `content` extra)

    with OpenedMedia(Path(path), limits) as media:
        frame = max(media.frames, key=lambda one: one.share)
        picture = Image.fromarray(frame.pixels)
        picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=85)
    return image_part(file.getvalue(), "image/jpeg")
