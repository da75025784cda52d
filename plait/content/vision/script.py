"""Which characters a reader may find: Latin letters without accents, and Chinese in one script at a time.

The model knows the letters of many languages and both scripts of Chinese, and takes one for its look-alike in another.
Between Latin letters it loses narrow spaces and thin letters, and a row of the Chinese "one" it takes for a dash.
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
LIKELY_LETTER = 0.2
"""From here on a letter between two others counts, though "nothing" is likelier: thin ones that touch the next are lost
at times. In words that are read rightly no other letter has over a tenth between two."""
LIKELY_ONE = 0.1
"""From here on for one of them, strokes in a row are each the Chinese "one", though dashes are likelier: in a true dash
that is two characters wide "one" has next to no probability."""
_ONE = "一"
_DASHES = "-–—―ー－"
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
    Doubtful lines agree with none where they hold characters of neither, such as only Japanese has; in sure ones these
    may be rare characters of a name.
    """
    simplified = _count([*sure, *doubtful], Script.SIMPLIFIED)
    script = Script.TRADITIONAL if _count(sure, Script.TRADITIONAL) > simplified else Script.SIMPLIFIED
    strange = any(_in_neither(character) for text in doubtful for character in text)
    return script if strange or _count([*sure, *doubtful], script.other) else None


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
        self._one = names.index(_ONE) if _ONE in names else None
        self._dash = np.array([len(name) == 1 and name in _DASHES for name in names])
        neither = np.array([_in_neither(name) for name in names])
        self._of = {script: neither | np.array([script.has_alone(name) for name in names]) for script in Script}
        """What only texts in that script may hold."""
        self.script: Script | None = None
        """The only script that may be found; None for both."""

    def __call__(self, probability_LSV: NDArray[np.float32], *args: Any, **settings: Any) -> Any:
        """The decoder's answer."""
        out_V = self._accented | self._of[self.script.other] if self.script else self._accented
        if out_V[probability_LSV.argmax(axis=2)].any():
            kept_LSV = np.where(out_V, np.float32(0), probability_LSV)
            probability_LSV = kept_LSV / np.maximum(kept_LSV.sum(axis=2, keepdims=True), np.float32(1e-9))
        return self._decoder(self._spaced(self._counted(probability_LSV)), *args, **settings)

    def _counted(self, probability_LSV: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where dashes stand in a row and "one" is likely for one of them, "one" in the place of each."""
        best_LS = probability_LSV.argmax(axis=2)
        if self._one is None or not self._dash[best_LS].any():
            return probability_LSV
        counted_LSV = probability_LSV.copy()
        for line, best_S in enumerate(best_LS):
            found = np.flatnonzero(best_S != _NOTHING)
            stroke = self._dash[best_S[found]] | (best_S[found] == self._one)
            for run in np.split(found, np.flatnonzero(np.diff(stroke)) + 1):
                one_R = probability_LSV[line, run, self._one]
                if self._dash[best_S[run]].any() and one_R.max() >= LIKELY_ONE:
                    counted_LSV[line, run, self._one] = one_R + probability_LSV[line, run][:, self._dash].sum(axis=1)
                    counted_LSV[line, run[:, None], np.flatnonzero(self._dash)] = 0
        return counted_LSV

    def _spaced(self, probability_LSV: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where nothing is found between two Latin letters though a space or a letter is likely, that alone."""
        if self._space is None:
            return probability_LSV
        spaced_LSV = probability_LSV
        for line, best_S in enumerate(probability_LSV.argmax(axis=2)):
            found = np.flatnonzero(best_S != _NOTHING)
            for before, after in pairwise(found):
                if after - before < 2 or not (self._latin[best_S[before]] and self._latin[best_S[after]]):
                    continue
                step, likely = self._lost(probability_LSV[line, before + 1 : after], best_S[[before, after]])
                if likely is not None:
                    spaced_LSV = spaced_LSV.copy() if spaced_LSV is probability_LSV else spaced_LSV
                    spaced_LSV[line, before + 1 + step] = 0
                    spaced_LSV[line, before + 1 + step, likely] = probability_LSV[line, before + 1 + step, likely]
        return spaced_LSV

    def _lost(self, gap_GV: NDArray[np.float32], neighbours: NDArray[np.int64]) -> tuple[int, int | None]:
        """(step, character) that was lost between two Latin letters: a likely space, or else a likely other letter."""
        step = int(gap_GV[:, self._space].argmax())
        if gap_GV[step, self._space] >= LIKELY_SPACE:
            return step, self._space
        letter_GV = np.where(self._latin, gap_GV, np.float32(0))
        letter_GV[:, neighbours] = 0  # a letter may be likely for longer than it is found
        step, letter = (int(place) for place in np.unravel_index(letter_GV.argmax(), letter_GV.shape))
        return step, letter if letter_GV[step, letter] >= LIKELY_LETTER else None


def _count(texts: Sequence[str], script: Script) -> int:
    return sum(script.has_alone(character) for text in texts for character in text)


def _in_neither(character: str) -> bool:
    """A Chinese character that is in the sets of neither script."""
    return _is_chinese(character) and not any(_within(character, script) for script in Script)


def _within(character: str, script: Script) -> bool:
    try:
        character.encode(script.value)
    except UnicodeEncodeError:
        return False
    return _is_chinese(character)


def _is_chinese(character: str) -> bool:
    return len(character) == 1 and unicodedata.name(character, "").startswith("CJK UNIFIED")


def _accented(character: str) -> bool:
    """A Latin letter that English does not have."""
    return len(character) == 1 and not character.isascii() and unicodedata.name(character, "").startswith("LATIN")
