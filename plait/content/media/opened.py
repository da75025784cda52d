"""One media file, opened by what it holds rather than by its name, and decoded once for all who look at it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from plait.content.media.sampling import Frame, FrameSampler
from plait.errors import ConfigError, ContentError

ANALYSIS_SIDE = 960
"""Longer side in pixels to which larger pictures are reduced before anything is measured."""
LONG_VIDEO_SECONDS = 60.0
"""Of longer videos only key frames are decoded: encoders put one at every cut."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What a file may cost."""

    file_bytes: int = 200_000_000
    pixels: int = 50_000_000
    """Width times height."""
    video_seconds: float = 600.0
    step_seconds: float = 60.0
    """Of any one step on the file."""
    shots: int = 3
    """Frames looked at of a moving picture: the middle ones of its longest shots."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the header says."""

    kind: str
    """"image", "animation" or "video"."""
    width: int
    height: int
    """As shown: a rotation that the file asks for is applied."""
    frames: int
    """0 where the file does not say."""
    seconds: float
    """0 for a still image."""
    format: str


class OpenedMedia:
    """A media file; a context manager. Nothing is read before it is asked for.

    Args:
        path: of the file.
        limits: files beyond them are refused with a ContentError, before they are decoded.
    """

    def __init__(self, path: Path, limits: MediaLimits) -> None:
        self.limits = limits
        self._path = path
        self._video: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for opened in (self._video, self.__dict__.get("_image")):
            if opened is not None:
                opened.close()

    @cached_property
    def probe(self) -> Probe:
        """Size, length and kind, from the header.

        Raises:
            ContentError: the file is missing, empty, damaged, too large, or no media.
        """
        _check_bytes(self._path, self.limits)
        image = self._image
        found = self._probe_video() if image is None else _probe_image(image, self.limits)
        if found.seconds > self.limits.video_seconds:
            raise ContentError(
                f"runs {found.seconds:.0f} s, at most {self.limits.video_seconds:g} s (content.max_video_seconds)"
            )
        return found

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The picture, or one frame of each of the longest shots; longer side at most `ANALYSIS_SIDE` pixels.

        Raises:
            ContentError: as for `probe`, or the content is damaged.
        """
        kind = self.probe.kind
        sampler = FrameSampler(self.limits.shots)
        with _decoding():
            for picture in self._still() if kind == "image" else self._moving(kind):
                sampler.see(picture)
        chosen = sampler.chosen()
        if not chosen:
            raise ContentError("holds no frame that can be decoded")
        return chosen

    @cached_property
    def _image(self) -> Any:
        """The file as Pillow opens it; None where it is none of Pillow's formats."""
        image_module = _pillow()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return image_module.open(self._path)
        except image_module.DecompressionBombError as error:
            raise ContentError(f"far too many pixels: {error}") from error
        except (OSError, ValueError, SyntaxError):
            return None

    def _probe_video(self) -> Probe:
        container = self._open_video()
        if not container.streams.video:
            raise ContentError("holds no picture: neither an image nor a video")
        stream = container.streams.video[0]
        width, height = _turned(stream)
        _check_pixels(width, height, self.limits)
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = float(container.duration or 0) / 1e6
        return Probe("video", width, height, int(stream.frames), seconds, container.format.name)

    def _open_video(self) -> Any:
        if self._video is None:
            av = _pyav()
            try:
                self._video = av.open(str(self._path))
            except (av.FFmpegError, OSError, ValueError) as error:
                raise ContentError(f"neither an image nor a video that can be read ({_short(error)})") from error
        return self._video

    def _still(self) -> Iterator[NDArray[np.uint8]]:
        from PIL import ImageOps  # noqa: PLC0415 (the `content` extra)

        image = self._image
        image.draft("RGB", (ANALYSIS_SIDE, ANALYSIS_SIDE))
        yield _pixels(ImageOps.exif_transpose(image))

    def _moving(self, kind: str) -> Iterator[NDArray[np.uint8]]:
        if kind == "animation":
            for number in range(self.probe.frames):
                self._image.seek(number)
                yield _pixels(self._image)
            return
        container = self._open_video()
        stream = container.streams.video[0]
        if self.probe.seconds > LONG_VIDEO_SECONDS:
            stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            _check_pixels(frame.width, frame.height, self.limits)
            scale = min(1.0, ANALYSIS_SIDE / max(frame.width, frame.height))
            size = {"width": max(2, round(frame.width * scale)), "height": max(2, round(frame.height * scale))}
            pixels = frame.to_ndarray(format="rgb24", **size) if scale < 1 else frame.to_ndarray(format="rgb24")
            yield np.rot90(pixels, k=-_quarter_turns(frame))


def _probe_image(image: Any, limits: MediaLimits) -> Probe:
    width, height = image.size
    _check_pixels(width, height, limits)
    with _decoding():
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
            width, height = height, width
        count = int(getattr(image, "n_frames", 1))
        if count <= 1 or image.format == "MPO":
            return Probe("image", width, height, 1, 0.0, str(image.format))
        seconds = 0.0
        for number in range(count):
            image.seek(number)
            if image.format == "WEBP":
                image.load()  # only then does Pillow know how long the frame stays
            seconds += float(image.info.get("duration", 0) or 0) / 1000
            if seconds > limits.video_seconds:
                break
        image.seek(0)
    return Probe("animation", width, height, count, seconds, str(image.format))


def _pixels(image: Any) -> NDArray[np.uint8]:
    """RGB on white, reduced to `ANALYSIS_SIDE`."""
    image_module = _pillow()
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image.thumbnail((ANALYSIS_SIDE, ANALYSIS_SIDE))
        white = image_module.new("RGBA", image.size, (255, 255, 255, 255))
        image = image_module.alpha_composite(white, image)
    image = image.convert("RGB")
    image.thumbnail((ANALYSIS_SIDE, ANALYSIS_SIDE))
    return np.asarray(image)


def _check_bytes(path: Path, limits: MediaLimits) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ContentError(f"the file cannot be read: {_short(error)}") from error
    if not path.is_file():
        raise ContentError("is no file")
    if size == 0:
        raise ContentError("the file is empty (0 bytes)")
    if size > limits.file_bytes:
        limit = limits.file_bytes / 1e6
        raise ContentError(f"has {size / 1e6:,.0f} MB, at most {limit:,.0f} MB (content.max_file_mb)")


def _check_pixels(width: int, height: int, limits: MediaLimits) -> None:
    if width * height > limits.pixels:
        limit = limits.pixels / 1e6
        raise ContentError(f"has {width:,} x {height:,} pixels, at most {limit:,.0f} million (content.max_megapixels)")
    if width < 1 or height < 1:
        raise ContentError(f"neither an image nor a video: {width} x {height} pixels")


@contextmanager
def _decoding() -> Iterator[None]:
    """What decoders raise on damaged content, as a ContentError."""
    av = _pyav()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (av.FFmpegError, OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        raise ContentError(f"the file is damaged or cut off: {_short(error)}") from error


def _quarter_turns(frame: Any) -> int:
    """How often a frame must be turned clockwise by 90 degrees to be shown."""
    return round(-float(getattr(frame, "rotation", 0) or 0) / 90) % 4


def _turned(stream: Any) -> tuple[int, int]:
    width, height = int(stream.codec_context.width), int(stream.codec_context.height)
    matrix = next((data for data in getattr(stream, "side_data", {}).items() if data[0] == "DISPLAYMATRIX"), None)
    return (height, width) if matrix is not None and abs(float(matrix[1])) % 180 == 90 else (width, height)


def _short(error: Exception) -> str:
    """The first line of an error, without the path."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0][:120]


def _pillow() -> Any:
    try:
        from PIL import Image  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("media need Pillow; pip install plait[content]") from error
    return Image


def _pyav() -> Any:
    try:
        import av  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("media need PyAV; pip install plait[content]") from error
    return av
