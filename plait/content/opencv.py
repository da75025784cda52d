"""OpenCV, which is an extra, on one thread: the processes around it are what uses the cores."""

from functools import cache
from typing import Any

from plait.errors import ConfigError


@cache
def opencv() -> Any:
    """The module `cv2`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import cv2  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("pictures are measured with OpenCV; pip install plait[content]") from error
    cv2.setNumThreads(1)
    return cv2
