"""Draws the creatives' files: dominant colour, photograph, text. Needs the extra `simulation`."""

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.media_plan import MediaPlan
from plait.simulation.photographs import SUBJECTS, package_file, photograph

LONG_SIDE = 320
"""Pixels of the longer side."""
FRAMES_PER_SECOND = 4
BACKGROUND = {
    "red": (220, 40, 40),
    "orange": (240, 130, 20),
    "yellow": (240, 215, 40),
    "green": (40, 165, 70),
    "blue": (40, 90, 220),
    "purple": (140, 50, 190),
    "black": (22, 22, 22),
    "white": (245, 245, 245),
}
"""RGB of the dominant colours at bright level; black and white have one level each."""
LEVEL = {"dark": 0.45, "medium": 0.72, "bright": 1.0}
"""Factor of each brightness on background and photograph."""
BLUR = {"sharp": 0.0, "soft": 1.6, "blurry": 4.0}
"""Radius in pixels of each clarity's blur, over the whole picture except the text."""
TONE = {"warm": (1.12, 1.0, 0.82), "neutral": (1.0, 1.0, 1.0), "cool": (0.85, 1.0, 1.15)}
"""Gains of each colour temperature on the photograph."""
TEXT_COLOR = {"white": (255, 255, 255), "yellow": (255, 230, 0), "black": (10, 10, 10), "red": (210, 20, 20)}
_FONT = "mplfonts/fonts/NotoSansCJKsc-Regular.otf"
"""A font with Chinese letters."""
_state: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture before its text: where everything goes."""

    width: int
    height: int
    photo: tuple[int, int, int]
    """Left, top and side of the photograph."""
    text: tuple[int, int, int, int]
    """Left, top, right and bottom of the room for text."""


def start_rendering(out: Path, seed: int) -> None:
    """Tell this process where files go; a worker's initialiser."""
    _state.update(out=out, seed=seed)


def render_media(plans: list[MediaPlan]) -> None:
    """Draw the files of `plans` under the folder given to `start_rendering`."""
    for plan in plans:
        path = _state["out"] / plan.file
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(path.name + ".partial")
        aside.write_bytes(encode(plan, generator(_state["seed"], "pixels", plan.file)))
        aside.replace(path)


def encode(plan: MediaPlan, rng: np.random.Generator) -> bytes:
    """The file of `plan`: PNG, JPEG or MP4 by its name."""
    suffix = Path(plan.file).suffix
    if suffix == ".mp4":
        count = round(plan.duration * FRAMES_PER_SECOND)
        return _encode_video([draw(plan, name, frame / count) for name, frame in _storyboard(plan, rng, count)])
    image = _pillow().fromarray(draw(plan, _photo_name(plan, rng), 0.0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if suffix == ".png" else "JPEG", quality=88)
    return buffer.getvalue()


def draw(plan: MediaPlan, photo: str | None, moment: float) -> NDArray[np.uint8]:
    """One picture [height, width, 3]; `moment` in [0, 1) moves the photograph in a video."""
    from PIL import Image, ImageDraw, ImageFilter  # noqa: PLC0415 (the `simulation` extra)

    canvas = layout(plan)
    background = _background(plan)
    picture = Image.new("RGB", (canvas.width, canvas.height), background)
    if photo is not None:
        left, top, side = canvas.photo
        shift = int(moment * 0.1 * side)
        square = Image.fromarray(_toned(photograph(photo), plan)).resize((side, side))
        picture.paste(square, (min(left + shift, canvas.width - side), top))
    picture = picture.filter(ImageFilter.GaussianBlur(BLUR[plan.clarity]))
    if plan.text:
        _write_text(ImageDraw.Draw(picture), plan, canvas)
    return np.asarray(picture)


def layout(plan: MediaPlan) -> Canvas:
    """Even pixel sizes of the plan's ratio; the photograph takes under a third of the area, the text the free strip."""
    across, up = map(int, plan.ratio.split(":"))
    scale = LONG_SIDE / max(across, up)
    width, height = 2 * round(across * scale / 2), 2 * round(up * scale / 2)
    side = int(0.52 * min(width, height))
    margin = int(0.05 * min(width, height))
    if width > height:
        text = (margin, margin, width - side - 3 * margin, height - margin)
        return Canvas(width, height, (width - side - 2 * margin, (height - side) // 2, side), text)
    text = (margin, margin, width - margin, height - side - 3 * margin)
    return Canvas(width, height, ((width - side) // 2, height - side - 2 * margin, side), text)


def _storyboard(plan: MediaPlan, rng: np.random.Generator, count: int) -> list[tuple[str | None, int]]:
    """(photograph, frame) of every frame."""
    name = _photo_name(plan, rng)
    return [(name, frame) for frame in range(count)]


def _photo_name(plan: MediaPlan, rng: np.random.Generator) -> str | None:
    names = SUBJECTS.get(plan.object_type)
    return names[int(rng.integers(len(names)))] if names else None


def _background(plan: MediaPlan) -> tuple[int, int, int]:
    level = 1.0 if plan.color in ("black", "white") else LEVEL[plan.brightness]
    red, green, blue = (round(level * part) for part in BACKGROUND[plan.color])
    return red, green, blue


def _toned(photo: NDArray[np.uint8], plan: MediaPlan) -> NDArray[np.uint8]:
    gains = np.array(TONE[plan.tone]) * LEVEL[plan.brightness]
    return np.asarray(np.clip(photo * gains, 0, 255), dtype=np.uint8)


def _write_text(pen: Any, plan: MediaPlan, canvas: Canvas) -> None:
    """The copy in as large a size as its strip holds, wrapped."""
    left, top, right, bottom = canvas.text
    for size in range(40, 9, -2):
        font = _font(size)
        lines = _wrap(plan.text, font, right - left)
        fits = max(font.getlength(line) for line in lines) <= right - left
        if fits and len(lines) * size * 1.3 <= bottom - top:
            break
    for number, line in enumerate(lines):
        pen.text((left, top + number * size * 1.3), line, font=font, fill=TEXT_COLOR[plan.text_color])


def _wrap(text: str, font: Any, width: int) -> list[str]:
    """Lines no wider than `width`: English breaks at spaces, Chinese anywhere."""
    pieces = [word + " " for word in text.split(" ")] if " " in text else list(text)
    lines = [""]
    for piece in pieces:
        if lines[-1] and font.getlength((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont  # noqa: PLC0415 (the `simulation` extra)

    return ImageFont.truetype(str(package_file(_FONT)), size)


def _pillow() -> Any:
    from PIL import Image  # noqa: PLC0415 (the `simulation` extra)

    return Image


def _encode_video(frames: list[NDArray[np.uint8]]) -> bytes:
    """H.264 in MP4 on one thread, so that equal frames give equal bytes."""
    import av  # noqa: PLC0415 (the `simulation` extra)

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        options = {"preset": "veryfast", "crf": "20"}
        stream: Any = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
