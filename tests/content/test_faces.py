"""Faces: found on blurred pictures and at several sizes, and not on things; without CenterFace by OpenCV's cascade."""

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("skimage")
from PIL import Image, ImageFilter
from skimage import data

from plait.content.steps import FACE_FROM
from plait.content.vision import faces
from plait.content.vision.faces import face_model, face_score

THINGS = ("chelsea", "coffee", "rocket", "coins", "moon", "hubble_deep_field")
needs_centerface = pytest.mark.skipif(face_model() != "centerface", reason="CenterFace is not installed")


def photo(name: str, side: int, blur: float = 0) -> np.ndarray:
    square = Image.fromarray(getattr(data, name)()).convert("RGB").resize((side, side))
    return np.asarray(square.filter(ImageFilter.GaussianBlur(blur)))


@needs_centerface
@pytest.mark.parametrize("side", [90, 160, 400, 900])
def test_a_face_is_found_at_any_size(side):
    assert face_score(photo("astronaut", side)) > 2 * FACE_FROM


@needs_centerface
@pytest.mark.parametrize(("name", "side", "blur"), [("astronaut", 100, 4), ("camera", 160, 4), ("camera", 96, 1.6)])
def test_a_blurred_picture_is_sharpened_before_it_is_looked_at(name, side, blur):
    picture = photo(name, side, blur)
    assert face_score(picture) < FACE_FROM < face_score(picture, blur)


@needs_centerface
@pytest.mark.parametrize("blur", [0, 1.6, 4])
@pytest.mark.parametrize("name", THINGS)
def test_things_are_no_faces(name, blur):
    assert face_score(photo(name, 130, blur), blur) < FACE_FROM


@needs_centerface
def test_the_blur_of_a_large_picture_counts_at_the_size_it_is_looked_at(monkeypatch):
    blurs = []
    monkeypatch.setattr(faces, "sharpened", lambda pixels, blur: blurs.append(blur) or pixels)
    face_score(photo("astronaut", 512), 4.0)
    face_score(photo("astronaut", 512), 2.0)
    assert blurs == [2.0], "2 of 512 pixels are 1 of 256: sharp"


def test_without_centerface_the_cascade_looks(monkeypatch):
    monkeypatch.setattr(faces, "_centerface_file", lambda: None)
    assert face_model() == "haar"
    assert face_score(photo("astronaut", 400), 1.6) == 1
    assert face_score(photo("chelsea", 130)) == 0
