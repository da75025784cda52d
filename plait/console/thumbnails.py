"""Small pictures of creatives, as data URLs that travel inside the page."""

import base64
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

LONGEST_SIDE = 240
_VIDEOS = {".mp4", ".webm", ".mov", ".gif"}


def thumbnail(path: Path) -> str | None:
    """A JPEG data URL of an image, or of the first frame of a video; None where it cannot be read.

    A video needs PyAV (the extra `simulation`); without it there is no picture, and the page says so.
    """
    try:
        picture = _first_frame(path) if path.suffix.lower() in _VIDEOS else Image.open(path)
    except (OSError, ImportError, UnidentifiedImageError, StopIteration):
        return None
    picture = picture.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    with io.BytesIO() as buffer:
        picture.save(buffer, "JPEG", quality=78)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def is_video(path: Path) -> bool:
    """Whether the file is a moving picture, by its name."""
    return path.suffix.lower() in _VIDEOS


def _first_frame(path: Path) -> Image.Image:
    import av  # noqa: PLC0415 (an extra)

    with av.open(str(path)) as container:
        frame: Image.Image = next(container.decode(video=0)).to_image()  # type: ignore[no-untyped-call]
    return frame
