"""The shape of a picture: how the screen is held, and its ratio."""

from math import gcd

from plait.schema import Orientation

COMMON_RATIOS = (
    (1, 1),
    (16, 9),
    (9, 16),
    (4, 3),
    (3, 4),
    (3, 2),
    (2, 3),
    (5, 4),
    (4, 5),
    (2, 1),
    (1, 2),
    (21, 9),
    (9, 21),
)
"""The ratios of screens, cameras and advertising formats."""
NEAR = 0.02
"""A ratio within this share of a common one is called by its name: sides are whole pixels, encoders want even ones."""


def orientation_of(width: int, height: int) -> Orientation:
    """Square within 2 %, else by the longer side."""
    if abs(width / height - 1) <= NEAR:
        return Orientation.SQUARE
    return Orientation.LANDSCAPE if width > height else Orientation.PORTRAIT


def ratio_of(width: int, height: int) -> str:
    """The nearest common ratio within 2 %, else the sides in lowest terms, such as "1200:627"."""
    across, up = min(COMMON_RATIOS, key=lambda ratio: abs(width * ratio[1] / (height * ratio[0]) - 1))
    if abs(width * up / (height * across) - 1) > NEAR:
        shared = gcd(width, height)
        across, up = width // shared, height // shared
    return f"{across}:{up}"
