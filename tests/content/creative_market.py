"""A workspace of a few creatives, written by hand, and an encoder that anybody can follow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from plait.pipelines.project import Project, open_project

SUBJECTS = {"足球": "射门进球联赛球队", "音乐": "听歌歌单歌手旋律", "理财": "基金股票收益投资"}
"""Leaves, and the characters that their texts are made of."""
LABELS = "l1,l2\n" + "\n".join(f"应用,{name}" for name in SUBJECTS)
_TOML = """
name = "tiny"
[tables]
users = { path = "users.parquet" }
items = { path = "items.parquet" }
creatives = { path = "creatives.parquet" }
exposures = { path = "exposures.parquet" }
behaviours = { path = "behaviours.parquet" }
[[scenarios]]
name = "home"
[[objectives]]
name = "click"
action = "click"
"""


class LetterEncoder:
    """Counts the letters of each subject in a text: a stand-in that proves wiring, not quality."""

    name, version, width, max_tokens = "letters", "1", len(SUBJECTS) + 1, 100

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [
            [sum(letter in letters or letter in name for letter in text) for name, letters in SUBJECTS.items()]
            for text in texts
        ]
        return np.array([[*row, 0.1] for row in rows], np.float32)


def market(
    folder: Path, texts: Sequence[str | None], media: Sequence[str | None] | None = None, content: str = ""
) -> Project:
    """A workspace whose creatives have these texts and files; `content` is the end of its `plait.toml`."""
    folder.mkdir(exist_ok=True)
    time = [1_700_000_000_000]
    pl.DataFrame({"user_id": [1]}).write_parquet(folder / "users.parquet")
    pl.DataFrame({"item_id": [1], "name": ["x"]}).write_parquet(folder / "items.parquet")
    shown = {"exposure_id": [1], "time": time, "user_id": [1], "item_id": [1], "scenario": ["home"]}
    pl.DataFrame(shown).write_parquet(folder / "exposures.parquet")
    behaviour = {"time": time, "user_id": [1], "item_id": [1], "action": ["click"]}
    pl.DataFrame(behaviour).write_parquet(folder / "behaviours.parquet")
    creatives = {
        "creative_id": list(range(len(texts))),
        "item_id": [1] * len(texts),
        "text": list(texts),
        "media": list(media or [None] * len(texts)),
    }
    types = {"text": pl.String, "media": pl.String}
    pl.DataFrame(creatives, schema_overrides=types).write_parquet(folder / "creatives.parquet")
    (folder / "labels.csv").write_text(LABELS, encoding="utf-8")
    (folder / "plait.toml").write_text(_TOML + content, encoding="utf-8")
    return open_project(folder)


def subject_texts(each: int) -> list[str]:
    """`each` texts of every subject in turn, no two alike, none with a label's name."""
    return [
        "".join(letters[(row + step * 3) % 8] for step in range(3 + row % 4)) + f" {row}"
        for row in range(each)
        for letters in SUBJECTS.values()
    ]
