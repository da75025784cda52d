"""Text in pictures, Chinese and English: PP-OCR through RapidOCR and ONNX Runtime."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from plait.content.measures.regions import Box, Pixels, split_regions
from plait.content.opencv import opencv
from plait.content.vision.ink import between_ink, bounds, lies_on_a_picture, passed_over
from plait.content.vision.script import LimitedDecoder, Script, broken_script
from plait.errors import ConfigError
from plait.evaluation.text_distance import edit_distance

LONGEST_SIDE = 960
"""Pictures are read at their own size, up to this many pixels of the longer side."""
LEAST_SURE = 0.6
"""Lines that the model is less sure of are taken for texture."""
BOX_MARGIN = 2.2
"""How far boxes reach beyond the strokes found (DB's unclip ratio): at the model's own 1.6 last letters are cut off."""
DOUBTFUL = 0.9
"""Where a character may be less sure, the picture is read again at twice its size."""
_SEEN_TWICE = 0.75
"""A line that is less sure must be seen by the second look as well."""
_ROOM = 0.2
"""Of its height, how far around a character alone is looked where it is doubtful: its box holds nothing else."""
_ENLARGED = 2
_CLEARLY = 0.05
"""By how much a second reading must be surer than the first, or less in doubt, to stand in its place."""
_AS_HIGH = 1.5
"""Times the height of another line, up to which a character alone may be of the same text."""
_CROWDED = 0.4
"""Share of the lower one's height up to which lines overlap; where a detector melts rows together, they do by more."""
_ROUNDS = 3
"""How often rows that were passed over are looked for."""
_SHORT = 1.5
"""Heights of a row below which it holds a character or two."""
_WIDER = 0.4
"""Heights of a line by which a box must be wider to hold another character."""
_LIKE_A_LINE = 0.75
"""Readings of one place on two frames that share more of their characters are of one line."""
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u30ff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a picture."""

    text: str
    sure: float
    box: tuple[tuple[float, float], ...]
    """Its four corners (x, y)."""

    @property
    def doubt(self) -> float:
        """The most that one of its characters lacks to be certain: a line is as sure as they are on average."""
        return len(self.text) * (1 - self.sure)

    @property
    def all_sure(self) -> bool:
        """No character of it can be doubtful."""
        return self.doubt <= 1 - DOUBTFUL


def reader_model() -> str:
    """Name and version of the model."""
    try:
        return f"rapidocr {version('rapidocr')}"
    except PackageNotFoundError as error:
        raise ConfigError("text in pictures is read with RapidOCR; pip install plait[content]") from error


def read_lines(pixels: Pixels) -> list[Line]:
    """The lines of text on a picture [height, width, 3], in reading order.

    Small letters and texture make a reader unsure: then a second look, at twice the size, decides about the doubtful
    places where it is clearly surer; a doubtful character alone is first read beside the line next to it. A character
    alone that it does not see was none, nor was a line that is hardly sure; a Latin letter or digit alone, which round
    and straight things look like, is looked at twice however sure it is. So is what stands on a picture, or is larger
    than all else, since things look like letters too. Of large letters the detector melts rows into one: lines that
    reach far into each other are looked at twice, as are pictures where letters seem to stand outside of the lines
    found. Rows of letters that both looks pass over are read as they stand.
    """
    first = _seen(pixels, 1)
    if not first:
        return []
    may_be_a_thing = _thing_test(pixels, first)
    first = [line if may_be_a_thing(line) else _in_context(pixels, line, first) for line in first]
    unsettled = any(
        not line.all_sure or _is_thing_like(line) or may_be_a_thing(line) or _is_crowded(line, first) for line in first
    )
    if not unsettled and not passed_over(pixels, [line.box for line in first]):
        return _in_order(first)
    second = _seen(pixels, _ENLARGED)
    decided = [line for line in _decided(first, second) if not may_be_a_thing(line) or _is_agreed(line, first, second)]
    return _in_order(_completed(pixels, decided, may_be_a_thing))


def lines_of_frames(frames: Sequence[Sequence[Line]]) -> list[Line]:
    """Each line once, in the order of the frames; of one that is read differently over frames, the surest reading."""
    kept: list[Line] = []
    for line in (line for frame in frames for line in frame):
        place = next((place for place, one in enumerate(kept) if _same_line(line, one)), None)
        if place is None:
            kept.append(line)
        elif line.sure > kept[place].sure:
            kept[place] = line
    return kept


def join_lines(texts: Sequence[str]) -> str:
    """Lines as one text: a space between them where neither neighbour is Chinese, Japanese or Korean."""
    joined = ""
    for text in texts:
        glued = not joined or _WIDE.match(joined[-1]) or _WIDE.match(text)
        joined += text if glued else " " + text
    return joined


def _in_order(lines: Sequence[Line]) -> list[Line]:
    rows = _rows([line for line in lines if line.sure >= LEAST_SURE])
    return [line for row in rows if not _is_a_thing(row) for line in row]


def _thing_test(pixels: Pixels, lines: Sequence[Line]) -> Callable[[Line], bool]:
    """Whether a line may be a thing: it lies on a picture, not on the ground around these lines, or is too large.

    Too large is a character alone that stands beside none of nearly its height.
    """
    ground_color = split_regions(pixels, [line.box for line in lines]).ground_color

    def may_be_a_thing(line: Line) -> bool:
        others = [_height(one) for one in lines if not _is_thing_like(one) and not _touch(one, line)]
        too_large = len(line.text) == 1 and _height(line) > _AS_HIGH * max(others, default=0.0)
        return too_large or lies_on_a_picture(pixels, ground_color, line.box)

    return may_be_a_thing


def _is_agreed(line: Line, first: Sequence[Line], second: Sequence[Line]) -> bool:
    """What may be a thing is text where both looks read nearly the same, a character alone surely, or all of it is."""
    if _is_thing_like(line):
        return False
    alone = len(line.text) == 1
    seen = all(
        any(_same_line(one, line) and _touch(one, line) and (one.all_sure or not alone) for one in look)
        for look in (first, second)
    )
    return seen or (line.all_sure and not alone)


def _completed(pixels: Pixels, lines: list[Line], may_be_a_thing: Callable[[Line], bool]) -> list[Line]:
    """With the rows of letters that no look has found: where their place is known, the model reads them surely.

    A row stands in the place of lines that reached into it, which may leave others of their letters to be read.
    """
    for _ in range(_ROUNDS):
        known = [line for line in lines if line.all_sure]
        rows = passed_over(pixels, [line.box for line in lines]) if known else []
        found = [_read_row(pixels, row, known) for row in rows]
        found = [one for one in found if one.text and one.all_sure and not _is_thing_like(one)]
        found = [one for one in found if not may_be_a_thing(one)]
        if not found:
            break
        lines = [line for line in lines if not any(_touch(line, one) for one in found)] + found
    return lines


def _in_context(pixels: Pixels, line: Line, lines: Sequence[Line]) -> Line:
    """A doubtful character alone, read beside the sure line next to it where that makes it clearly surer."""
    known = [one for one in lines if one.all_sure and len(one.text) > 1]
    if len(line.text) != 1 or line.all_sure or not known:
        return line
    text, sure = _read_beside(pixels, line.box, known) or ("", 0.0)
    return replace(line, text=text, sure=sure) if len(text) == 1 and sure > line.sure + _CLEARLY else line


def _read_row(pixels: Pixels, row: Box, known: Sequence[Line]) -> Line:
    """A row of letters; a short one also beside the line next to it, since one thin stroke alone may be anything."""
    left, top, right, bottom = bounds(row)
    text, sure = _read(_cut(pixels, row))
    beside = _read_beside(pixels, row, known) if right - left < _SHORT * (bottom - top) else None
    if beside is not None and (not beside[0] or beside[1] > sure):
        text, sure = beside
    return Line(text, sure, tuple((float(x), float(y)) for x, y in row))


def _read_beside(pixels: Pixels, box: Box, known: Sequence[Line]) -> tuple[str, float] | None:
    """(text, sure) of a box whose pixels are set behind those of the line next to it; None where that is misread."""
    _, top, _, bottom = bounds(box)
    nearest = min(known, key=lambda line: abs(_middle(line) - (top + bottom) / 2))
    text, sure = _read(np.hstack([between_ink(_cut(pixels, one, like=nearest.box)) for one in (nearest.box, box)]))
    if not text.startswith(nearest.text):
        return None
    found = text.removeprefix(nearest.text).strip()
    added = len(text) * (1 - sure) - nearest.doubt
    return found, min(sure, 1 - added / max(1, len(found)))


def _cut(pixels: Pixels, box: Box, like: Box | None = None) -> Pixels:
    """The pixels within a box; as high as those within another where one is given."""
    left, top, right, bottom = bounds(box)
    patch = pixels[top:bottom, left:right]
    height = len(_cut(pixels, like)) if like is not None else len(patch)
    if height == len(patch):
        return patch
    width = max(1, round(patch.shape[1] * height / patch.shape[0]))
    return np.asarray(opencv().resize(patch, (width, height), interpolation=opencv().INTER_CUBIC), dtype=np.uint8)


def _read(patch: Pixels) -> tuple[str, float]:
    """(text, sure) of pixels that are taken for one line; no text where nothing is read."""
    found = _reader()(np.ascontiguousarray(patch[:, :, ::-1]), use_det=False)
    return (found.txts[0].strip(), float(found.scores[0])) if found.txts else ("", 0.0)


def _is_a_thing(row: Sequence[Line]) -> bool:
    """A letter or digit alone in its row is most often a round or straight thing, but "a" is a word."""
    return len(row) == 1 and _is_thing_like(row[0]) and not (row[0].text in "aA" and row[0].sure >= _SEEN_TWICE)


def _is_thing_like(line: Line) -> bool:
    return len(line.text) == 1 and not _WIDE.match(line.text)


def _seen(pixels: Pixels, times: int) -> list[Line]:
    """What the model finds at so many times the picture's size, in one script; boxes are in its own pixels."""
    if times > 1:
        pixels = opencv().resize(pixels, None, fx=times, fy=times, interpolation=opencv().INTER_CUBIC)
    lines = _found(pixels, times, None)
    texts = {sure: [line.text for line in lines if line.all_sure is sure] for sure in (True, False)}
    script = broken_script(texts[True], texts[False])
    return lines if script is None else _found(pixels, times, script)


def _found(pixels: Pixels, times: int, script: Script | None) -> list[Line]:
    reader = _reader()
    reader.text_rec.postprocess_op.script = script
    found = reader(pixels[:, :, ::-1], use_det=True)
    if not found.txts:
        return []
    lines = []
    for text, sure, box in zip(found.txts, found.scores, found.boxes, strict=True):
        corners = tuple((float(x), float(y)) for x, y in box)
        text, sure = _with_room(pixels, Line(text.strip(), float(sure), corners))  # noqa: PLW2901 (the better reading)
        lines.append(Line(text, sure, tuple((x / times, y / times) for x, y in corners)))
    return [line for line in lines if line.text]


def _with_room(pixels: Pixels, line: Line) -> tuple[str, float]:
    """(text, sure) of a line; a doubtful character alone is read once more, with some ground around it."""
    if len(line.text) != 1 or line.sure >= DOUBTFUL:
        return line.text, line.sure
    left, top, right, bottom = bounds(line.box)
    room = _ROOM * _height(line)
    around = ((left - room, top - room), (right + room, bottom + room))
    text, sure = _read(_cut(pixels, around))
    return (text, sure) if len(text) == 1 and sure > line.sure + _CLEARLY else (line.text, line.sure)


def _decided(first: Sequence[Line], second: Sequence[Line]) -> list[Line]:
    """The first reading, its doubtful lines settled by the second, which also adds what is sure and new."""
    chosen = [line for line in second if line.sure >= DOUBTFUL and not any(_touch(line, one) for one in first)]
    for line in first:
        rivals = [one for one in second if _touch(line, one)]
        if not rivals:
            least = _SEEN_TWICE if len(line.text) > 1 else DOUBTFUL
            stays = line.sure >= least and not _is_thing_like(line)
            chosen += [line] if stays else []
        elif longer := [one for one in rivals if one.sure >= DOUBTFUL and _says_more(one, line)]:
            chosen += [one for one in longer if one not in chosen]
        elif line.all_sure:
            replaced = _is_crowded(line, first) and all(one.all_sure for one in rivals)
            chosen += [one for one in rivals if one not in chosen] if replaced else [line]
        else:
            surer = sum(one.doubt for one in rivals) < line.doubt - _CLEARLY
            chosen += [one for one in rivals if one not in chosen] if surer else [line]
    return chosen


def _says_more(one: Line, other: Line) -> bool:
    """It reads the same characters and more in a wider box: that of the other cuts some off."""
    longer = len(one.text) > len(other.text) and other.text in one.text
    return longer and _width(one) - _width(other) > _WIDER * _height(other)


def _is_crowded(line: Line, lines: Sequence[Line]) -> bool:
    """Another box reaches far into its own: neither can be trusted to hold just the letters of one row."""
    return any(
        one is not line
        and _shared(line, one, 0) > 0
        and _shared(line, one, 1) > _CROWDED * min(_height(line), _height(one))
        for one in lines
    )


def _shared(one: Line, other: Line, axis: int) -> float:
    """Pixels that two boxes share across (0) or down (1); negative where there is room between them."""
    spans = [[corner[axis] for corner in line.box] for line in (one, other)]
    return min(max(span) for span in spans) - max(min(span) for span in spans)


def _touch(one: Line, other: Line) -> bool:
    """The middle of one lies within the other."""
    return _covers(one, other) or _covers(other, one)


def _covers(line: Line, other: Line) -> bool:
    across, down = [x for x, _ in line.box], [y for _, y in line.box]
    middle = sum(x for x, _ in other.box) / len(other.box)
    return min(across) <= middle <= max(across) and min(down) <= _middle(other) <= max(down)


def _same_line(one: Line, other: Line) -> bool:
    longer = max(len(one.text), len(other.text))
    alike = 1 - edit_distance(one.text, other.text) / longer
    return alike == 1 or (alike > _LIKE_A_LINE and _touch(one, other))


def _rows(lines: list[Line]) -> list[list[Line]]:
    """Rows from top to bottom, each from left to right; lines that overlap by half their height share a row."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=_middle):
        above = rows[-1][0] if rows else None
        if above is not None and _middle(line) - _middle(above) < 0.5 * min(_height(line), _height(above)):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda one: one.box[0][0]) for row in rows]


def _middle(line: Line) -> float:
    return sum(y for _, y in line.box) / len(line.box)


def _width(line: Line) -> float:
    return max(x for x, _ in line.box) - min(x for x, _ in line.box)


def _height(line: Line) -> float:
    return max(y for _, y in line.box) - min(y for _, y in line.box)


@cache
def _reader() -> Any:
    try:
        from rapidocr import RapidOCR  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("text in pictures is read with RapidOCR; pip install plait[content]") from error
    reader: Any = RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            "Det.limit_type": "max",
            "Det.limit_side_len": LONGEST_SIDE,
            "Det.unclip_ratio": BOX_MARGIN,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    recogniser = reader._load_rec_model()  # it would be loaded with the first picture
    recogniser.postprocess_op = LimitedDecoder(recogniser.postprocess_op)
    return reader
