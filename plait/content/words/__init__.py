"""Word lists as files: cues of copy, classes of the image model, what they show."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def word_file(name: str) -> dict[str, Any]:
    """A TOML file of this folder; shared, so read it only."""
    return tomllib.loads(files("plait.content.words").joinpath(name).read_text(encoding="utf-8"))


@cache
def word_list(name: str) -> tuple[str, ...]:
    """The lines of a text file of this folder."""
    return tuple(files("plait.content.words").joinpath(name).read_text(encoding="utf-8").splitlines())
