"""Which characters a reader may find: Latin letters without accents, and Chinese in one script at a time.

The model knows the letters of many languages and both scripts of Chinese, and takes one for its look-alike in another.
Between Latin letters it loses narrow spaces.
"""

import unicodedata
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIKELY_SPACE = 0.1
"""From here on a space between two Latin letters counts, though "nothing" is likelier: within words it has next to no
probability, in narrow gaps between them often less than half."""
_NOTHING = 0
"""The decoder's name for no character."""


class Script(Enum):
    """The two ways of writing Chinese, with the character set of each."""

    SIMPLIFIED = "gb2312"
    TRADITIONAL = "big5"

    @property
    def other(self) -> "Script":
        return Script.TRADITIONAL if self is Script.SIMPLIFIED else Script.SIMPLIFIED

    def has_alone(self, character: str) -> bool:
        """Only this script writes that character."""
        return _within(character, self) and not _within(character, self.other)


def broken_script(sure: Sequence[str], doubtful: Sequence[str]) -> Script | None:
    """The script of a picture whose lines hold characters of the other one as well; None where all agree.

    A text keeps to one script, and of traditional text a good part is written in no other way: so it is simplified
    unless sure lines have more characters that only traditional script has than all have that only simplified has.
    """
    simplified = _count([*sure, *doubtful], Script.SIMPLIFIED)
    script = Script.TRADITIONAL if _count(sure, Script.TRADITIONAL) > simplified else Script.SIMPLIFIED
    return script if _count([*sure, *doubtful], script.other) else None


class LimitedDecoder:
    """A recogniser's decoder that leaves characters out, whose probability goes to the others, and keeps narrow spaces.

    Args:
        decoder: from probabilities [lines, steps, characters] to texts; its `character` names the last axis.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        names: list[str] = decoder.character
        self._accented = np.array([_accented(name) for name in names])
        self._latin = np.array([len(name) == 1 and name.isascii() and name.isalpha() for name in names])
        self._space = names.index(" ") if " " in names else None
        self._of = {script: np.array([script.has_alone(name) for name in names]) for script in Script}
        self.script: Script | None = None
        """The only script that may be found; None for both."""

    def __call__(self, probability_LSV: NDArray[np.float32], *args: Any, **settings: Any) -> Any:
        """The decoder's answer."""
        out_V = self._accented | self._of[self.script.other] if self.script else self._accented
        if out_V[probability_LSV.argmax(axis=2)].any():
            kept_LSV = np.where(out_V, np.float32(0), probability_LSV)
            probability_LSV = kept_LSV / np.maximum(kept_LSV.sum(axis=2, keepdims=True), np.float32(1e-9))
        return self._decoder(self._spaced(probability_LSV), *args, **settings)

    def _spaced(self, probability_LSV: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where nothing is found between two Latin letters though a space is likely, the space alone."""
        if self._space is None:
            return probability_LSV
        spaced_LSV = probability_LSV
        for line, best_S in enumerate(probability_LSV.argmax(axis=2)):
            found = np.flatnonzero(best_S != _NOTHING)
            for before, after in pairwise(found):
                gap_G = probability_LSV[line, before + 1 : after, self._space]
                latin = self._latin[best_S[before]] and self._latin[best_S[after]]
                if latin and len(gap_G) and gap_G.max() >= LIKELY_SPACE:
                    spaced_LSV = spaced_LSV.copy() if spaced_LSV is probability_LSV else spaced_LSV
                    step = before + 1 + int(gap_G.argmax())
                    spaced_LSV[line, step] = 0
                    spaced_LSV[line, step, self._space] = gap_G.max()
        return spaced_LSV


def _count(texts: Sequence[str], script: Script) -> int:
    return sum(script.has_alone(character) for text in texts for character in text)


def _within(character: str, script: Script) -> bool:
    try:
        character.encode(script.value)
    except UnicodeEncodeError:
        return False
    return len(character) == 1 and unicodedata.name(character, "").startswith("CJK")


def _accented(character: str) -> bool:
    """A Latin letter that English does not have."""
    return len(character) == 1 and not character.isascii() and unicodedata.name(character, "").startswith("LATIN")
