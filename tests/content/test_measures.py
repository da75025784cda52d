"""Pixel measures, on known photographs and on synthetic blur, tint and brightness series."""

import io

import numpy as np
import pytest

pytest.importorskip("cv2")
skimage = pytest.importorskip("skimage")
from PIL import Image, ImageFilter  # noqa: E402
from skimage import data  # noqa: E402

from plait.content.measures.color import TERMS, dominant_color, letter_color, name_colors  # noqa: E402
from plait.content.measures.light import brightness_of, light_level, tone_of, warmth  # noqa: E402
from plait.content.measures.regions import split_regions  # noqa: E402
from plait.content.measures.sharpness import blur_of, clarity_of, sharpened  # noqa: E402

CSS = {
    "red": ["red", "crimson", "firebrick"],
    "orange": ["darkorange", "orange"],
    "yellow": ["yellow", "gold"],
    "green": ["green", "lime", "forestgreen", "seagreen"],
    "blue": ["blue", "navy", "royalblue", "steelblue"],
    "purple": ["purple", "indigo", "darkviolet"],
    "pink": ["pink", "hotpink", "deeppink"],
    "brown": ["saddlebrown"],
    "black": ["black"],
    "grey": ["grey", "dimgrey", "silver"],
    "white": ["white", "snow"],
}
"""CSS colours that nobody would call otherwise."""


def astronaut(side: int = 400) -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()).resize((side, side)))


@pytest.mark.parametrize("term", CSS)
def test_css_colours_have_their_names(term):
    from PIL import ImageColor

    for name in CSS[term]:
        found = TERMS[int(name_colors(np.array(ImageColor.getrgb(name))))]
        assert found == term, name


def test_a_dim_picture_keeps_its_colour():
    """Orange at 40 % of its light is brown beside white, and still orange where the picture's white is as dim."""
    orange = np.array([255, 140, 0]) * 0.4
    assert TERMS[int(name_colors(orange, 1.0))] == "brown"
    assert TERMS[int(name_colors(orange, 0.5))] == "orange"


def test_the_dominant_colour_covers_the_most():
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:60] = (0, 0, 255)
    pixels[60:] = (255, 0, 0)
    assert dominant_color(pixels, np.ones((100, 100), bool), 1.0) == ("blue", 0.6)


@pytest.mark.parametrize("radius", [1.5, 2.5, 4.0, 6.0])
def test_blur_is_measured_in_pixels(radius):
    """A step edge under a Gaussian blur of known width."""
    pixels = np.full((200, 300, 3), 60, np.uint8)
    pixels[50:150, 100:200] = 190
    import cv2

    blurred = cv2.GaussianBlur(pixels, (0, 0), radius)
    assert blur_of(blurred, split_regions(blurred)) == pytest.approx(radius, rel=0.25)


@pytest.mark.parametrize("picture", ["astronaut", "camera", "chelsea", "coffee"])
def test_clarity_falls_with_blur_on_photographs(picture):
    photo = Image.fromarray(getattr(data, picture)()).convert("RGB").resize((320, 320))
    blurs = []
    for radius in (0, 2, 5):
        pixels = np.asarray(photo.filter(ImageFilter.GaussianBlur(radius)))
        blurs.append(blur_of(pixels, split_regions(pixels)))
    assert blurs[0] < blurs[1] < blurs[2]
    assert [clarity_of(blur)[0] for blur in blurs] == ["sharp", "soft", "blurry"]


@pytest.mark.parametrize("blur", [1.6, 4.0])
def test_sharpening_brings_a_picture_nearer_to_what_it_was(blur):
    photo = Image.fromarray(astronaut(160))
    sharp, blurred = np.asarray(photo, float), np.asarray(photo.filter(ImageFilter.GaussianBlur(blur)))
    found = sharpened(blurred, blur)
    assert found.shape == blurred.shape
    assert np.abs(found - sharp).mean() < 0.8 * np.abs(blurred - sharp).mean()
    assert blur_of(found, split_regions(found)) < 0.7 * blur_of(blurred, split_regions(blurred))


def test_sharpening_leaves_a_flat_picture_as_it_is():
    flat = np.full((40, 60, 3), 90, np.uint8)
    assert np.array_equal(sharpened(flat, 50.0), flat)


def test_letters_do_not_sharpen_a_blurred_picture():
    pixels = np.array(Image.fromarray(astronaut()).filter(ImageFilter.GaussianBlur(5)))
    pixels[20:60, 20:200:4] = 255
    box = [(20.0, 20.0), (200.0, 20.0), (200.0, 60.0), (20.0, 60.0)]
    assert clarity_of(blur_of(pixels, split_regions(pixels, [box])))[0] == "blurry"


def test_brightness_series():
    found = []
    for factor in (0.2, 0.4, 0.6, 1.0):
        pixels = (astronaut() * factor).astype(np.uint8)
        found.append(brightness_of(light_level(pixels, split_regions(pixels)))[0])
    assert found == ["dark", "dark", "medium", "bright"]


@pytest.mark.parametrize("picture", ["astronaut", "camera", "coins"])
def test_tint_series(picture):
    """Gains on red and blue move the measured light by their log ratio (up to clipping), and change the name."""
    photo = np.asarray(Image.fromarray(getattr(data, picture)()).convert("RGB")).astype(float) * 0.7
    lights = []
    for red, blue in ((0.8, 1.2), (1.0, 1.0), (1.2, 0.8)):
        pixels = np.clip(photo * (red, 1, blue), 0, 255).astype(np.uint8)
        lights.append(warmth(pixels, split_regions(pixels)))
    assert lights[1] - lights[0] == pytest.approx(np.log(1.2 / 0.8), abs=0.05)
    assert lights[2] - lights[1] == pytest.approx(np.log(1.2 / 0.8), abs=0.05)
    assert [tone_of("white", light)[0] for light in lights] == ["cool", "neutral", "warm"]


@pytest.mark.parametrize("ground", [22, 245])
def test_a_tint_is_seen_beside_a_ground_and_after_compression(ground):
    """A tinted photograph in the middle of a black or white ground, with colours at half the resolution (JPEG)."""
    lights = []
    for red, blue in ((0.8, 1.2), (1.0, 1.0), (1.2, 0.8)):
        pixels = np.full((240, 320, 3), ground, np.uint8)
        pixels[60:180, 100:220] = np.clip(astronaut(120) * 0.7 * (red, 1, blue), 0, 255)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=88)
        seen = np.asarray(Image.open(file))
        lights.append(warmth(seen, split_regions(seen)))
    assert lights[1] - lights[0] == pytest.approx(np.log(1.2 / 0.8), abs=0.12)
    assert lights[2] - lights[1] == pytest.approx(np.log(1.2 / 0.8), abs=0.12)
    assert [tone_of("white", light)[0] for light in lights] == ["cool", "neutral", "warm"]


def test_no_light_is_judged_where_there_is_no_picture():
    pixels = np.full((100, 100, 3), 245, np.uint8)
    assert warmth(pixels, split_regions(pixels)) is None


def test_tone_follows_a_chromatic_ground():
    assert tone_of("red", -1.0)[0] == "warm"
    assert tone_of("blue", 1.0)[0] == "cool"
    assert tone_of("black", None)[0] == "neutral"


def test_letter_colour():
    pixels = np.full((60, 200, 3), (40, 90, 220), np.uint8)
    pixels[20:40, 30:170:6] = (255, 230, 0)
    box = [(20.0, 10.0), (180.0, 10.0), (180.0, 50.0), (20.0, 50.0)]
    assert letter_color(pixels, [box], 1.0)[0] == "yellow"
