"""Key words of short copy: what is left between cues and stop words, ranked by how rare it is."""

import logging
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from plait.content.text.copy_type import without_cues
from plait.content.words import word_list
from plait.errors import ConfigError

MOST = 5
"""Key words of one text."""
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_LATIN = re.compile(r"[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*)*", re.UNICODE)
_WHOLE = 4
"""Runs of Chinese characters up to this length are taken as one word; longer ones are cut by jieba."""


def key_words(text: str) -> tuple[str, ...]:
    """The most telling words and phrases of `text`, at most `MOST`, the most telling first.

    Candidates are the runs between cues, stop words and punctuation (RAKE; Rose et al., 2010). They are ranked by
    frequency times rarity (TF-IDF): of Chinese words by jieba's table, of all others by their length.
    """
    counts: dict[str, int] = {}
    for phrase in (*_chinese(text), *_latin(text)):
        counts[phrase] = counts.get(phrase, 0) + 1
    ranked = sorted(counts, key=lambda phrase: -counts[phrase] * _rarity(phrase))
    return tuple(ranked[:MOST])


def _chinese(text: str) -> list[str]:
    found = []
    for run in _CHINESE.findall(without_cues(text)):
        words = [run] if len(run) <= _WHOLE else [word for word in _jieba().lcut(run) if len(word) > 1]
        found += [word for word in words if len(word) > 1]
    return found


def _latin(text: str) -> list[str]:
    stop = frozenset(word_list("stop_en.txt"))
    kept = " ".join(word if word.lower() not in stop else "|" for word in without_cues(text).split(" "))
    return [phrase.lower() for phrase in _LATIN.findall(_CHINESE.sub("|", kept)) if len(phrase) > 1]


def _rarity(phrase: str) -> float:
    if _CHINESE.fullmatch(phrase):
        table, median = _idf()
        return table.get(phrase, median)
    return 4.0 + math.log(len(phrase))


@cache
def _idf() -> tuple[dict[str, float], float]:
    # jieba's own reader leaves the file open.
    listed = Path(_jieba().__file__).parent / "analyse" / "idf.txt"
    rows = (line.split(" ") for line in listed.read_text(encoding="utf-8").splitlines())
    table = {word: float(rarity) for word, rarity in rows}
    return table, sorted(table.values())[len(table) // 2]


@cache
def _jieba() -> Any:
    try:
        import jieba  # noqa: PLC0415 (the `content` extra)
    except ImportError as error:
        raise ConfigError("Chinese is cut into words by jieba; pip install plait[content]") from error
    jieba.setLogLevel(logging.ERROR)
    return jieba
