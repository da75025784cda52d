"""What the copy of an advertisement does, by the cues in `words/copy.toml`."""

import re
from functools import cache

from plait.content.words import word_file
from plait.schema import TextType


def copy_type(text: str) -> tuple[TextType, float]:
    """The type whose cues weigh the most, and its share of all the weight."""
    if not text.strip():
        return TextType.NONE, 1.0
    weights = {kind: _weight(text, kind) for kind in _cues()}
    best = max(weights, key=lambda kind: weights[kind])
    total = sum(weights.values())
    if not total:
        return TextType.OTHER, 0.5
    return TextType(best), weights[best] / total


def without_cues(text: str) -> str:
    """The text with a bar in the place of every cue."""
    for strong, faint in _cues().values():
        text = strong.sub("|", text)
        text = faint.sub("|", text)
    return text


def _weight(text: str, kind: str) -> int:
    """2 for each strong cue, 1 for each faint one."""
    strong, faint = _cues()[kind]
    return 2 * len(strong.findall(text)) + len(faint.findall(text))


@cache
def _cues() -> dict[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    return {
        kind: (_pattern(lists["zh"], lists["en"]), _pattern(lists["zh_faint"], lists["en_faint"]))
        for kind, lists in word_file("copy.toml").items()
    }


def _pattern(zh: list[str], en: list[str]) -> re.Pattern[str]:
    """Longer expressions first, so that they win over their parts."""
    english = "|".join(sorted(en, key=len, reverse=True))
    chinese = "|".join(sorted(zh, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{english})(?![\w-])|{chinese}", re.IGNORECASE)
