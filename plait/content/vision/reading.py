"""Text in pictures, Chinese and English: PP-OCR through RapidOCR and ONNX Runtime."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from plait.content.measures.regions import Pixels
from plait.errors import ConfigError

LONGEST_SIDE = 960
"""Pictures are read at their own size, up to this many pixels of the longer side."""
LEAST_SURE = 0.6
"""Lines that the model is less sure of are taken for texture."""
BOX_MARGIN = 2.2
"""How far boxes reach beyond the strokes found (DB's unclip ratio): at the model's own 1.6 last letters are cut off."""
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u30ff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a picture."""

    text: str
    sure: float
    box: tuple[tuple[float, float], ...]
    """Its four corners (x, y)."""


def reader_model() -> str:
    """Name and version of the model."""
    try:
        return f"rapidocr {version('rapidocr')}"
    except PackageNotFoundError as error:
        raise ConfigError("text in pictures is read with RapidOCR; pip install plait[content]") from error


def read_lines(pixels: Pixels) -> list[Line]:
    """The lines of text on a picture [height, width, 3], in reading order."""
    found = _reader()(pixels[:, :, ::-1])
    if not found.txts:
        return []
    lines = [
        Line(text.strip(), float(sure), tuple((float(x), float(y)) for x, y in box))
        for text, sure, box in zip(found.txts, found.scores, found.boxes, strict=True)
    ]
    rows = _rows([line for line in lines if line.text and line.sure >= LEAST_SURE])
    return [line for row in rows if not _is_a_thing(row) for line in row]


def join_lines(texts: Sequence[str]) -> str:
    """Lines as one text: a space between them where neither neighbour is Chinese, Japanese or Korean."""
    joined = ""
    for text in texts:
        glued = not joined or (_WIDE.match(joined[-1]) and _WIDE.match(text))
        joined += text if glued else " " + text
    return joined


def _is_a_thing(row: Sequence[Line]) -> bool:
    """A letter or digit alone in its row is most often a round or straight thing."""
    return len(row) == 1 and len(row[0].text) == 1 and not _WIDE.match(row[0].text)


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


def _height(line: Line) -> float:
    return max(y for _, y in line.box) - min(y for _, y in line.box)


@cache
def _reader() -> Any:
    try:
        from rapidocr import RapidOCR  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("text in pictures is read with RapidOCR; pip install plait[content]") from error
    return RapidOCR(
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
