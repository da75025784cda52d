"""The benches of understanding on data made by hand: colours of photographs, copies of creatives, naive calls."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")
pytest.importorskip("jieba")
pytest.importorskip("rapidocr")
from creative_market import market
from media_files import png
from PIL import Image

from plait.content.steps import creative_steps
from plait.content.taxonomy import Label, make_taxonomy
from plait.content.workflow import Workflow
from plait.errors import DataError
from plait.llm.generate import ChatModel
from plait.pipelines.bench_understand_colors import measure_colors
from plait.pipelines.bench_understand_fields import measure_fields
from plait.pipelines.bench_understand_speed import SpeedBench, _copied, _Naive, _Unshared, measure_understand_speed

SHOP = [("Navy Blue", (20, 30, 160)), ("Red", (220, 20, 20)), ("Red", (30, 160, 40)), ("Maroon", (120, 0, 0))]
"""What a shop says of four products, and their RGB: the third is wrong, the fourth has no basic term."""


def shop(folder: Path) -> Path:
    (folder / "fashion").mkdir()
    with zipfile.ZipFile(folder / "fashion" / "images.zip", "w") as archive:
        for name, (_, color) in enumerate(SHOP):
            pixels = np.full((80, 60, 3), 255, np.uint8)
            pixels[15:65, 10:50] = color
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            archive.writestr(f"images/{name}.jpg", file.getvalue())
    rows = "".join(f"{name},{said}\n" for name, (said, _) in enumerate(SHOP))
    with gzip.open(folder / "fashion" / "styles.csv.gz", "wt", encoding="utf-8") as file:
        file.write("id,baseColour\n" + rows)
    return folder


def test_colours_are_compared_where_the_shop_names_a_basic_term(tmp_path: Path):
    metrics, path = measure_colors(shop(tmp_path), write=False)
    assert path is None
    assert metrics["agreement"].value == pytest.approx(2 / 3)
    assert metrics["agreement.blue"].value == 1.0
    assert metrics["agreement.red"].value == 0.5
    assert set(metrics) == {"agreement", "agreement.blue", "agreement.red"}


def test_colours_say_where_photographs_were_looked_for(tmp_path: Path):
    with pytest.raises(DataError, match=r"fashion: found no images\.zip"):
        measure_colors(tmp_path, write=False)


def test_fields_are_measured_on_simulated_worlds_only(tmp_path: Path):
    with pytest.raises(DataError, match="no simulated world here"):
        measure_fields([market(tmp_path / "m", ["a"]).root], write=False)


def test_copies_have_own_ids_and_texts_over_the_same_files(tmp_path: Path):
    folder = tmp_path / "m"
    folder.mkdir()
    png(folder / "a.png", np.zeros((8, 8, 3), np.uint8))
    project = market(folder, ["one", "two"], ["a.png", "a.png"])
    copy = _copied(project, tmp_path / "copy", 5, of=2)
    rows = pl.read_parquet(copy.root / "creatives.parquet")
    assert rows["creative_id"].to_list() == [0, 1, 2, 3, 4]
    assert rows["text"].to_list() == ["one 0", "two 0", "one 1", "two 1", "one 2"]
    assert set(rows["media"]) == {str(folder / "a.png")}
    assert copy.workspace.content.label.strategy == "light"
    assert _copied(project, tmp_path / "asked", 2, of=2, model=tmp_path / "m.gguf").workspace.content.asked_fields


def test_the_naive_version_asks_once_per_field_and_keeps_nothing(tmp_path: Path):
    bodies = []

    def ask(body):
        bodies.append(body)
        schema = body["response_format"]["json_schema"]["schema"]
        names = next((one["enum"] for one in schema.get("$defs", {}).values()), None)
        said = {"label": names[0]} if names else {"key_words": ["a"]}
        message = {"message": {"content": json.dumps(said)}}
        return {"choices": [message], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}

    png(tmp_path / "a.png", np.full((64, 64, 3), 200, np.uint8))
    labels = make_taxonomy("t", [Label(("games", "cards")), Label(("finance", "loans"))])
    naive = _Naive(Workflow(creative_steps(1, 1_000)), ChatModel("m", _Unshared(ask)), labels)
    for _ in range(2):
        naive.understand({"text": "win gold"}, tmp_path / "a.png")
    assert len(bodies) == 2 * (3 + labels.depth), "text type, key words, object type and each level, every time"
    assert all(body["cache_prompt"] is False for body in bodies)
    assert naive.tokens.total == 6 * len(bodies)
    assert {"ask text type", "ask category of level 2"} <= set(naive.seconds)


def test_speed_is_measured_where_every_creative_has_media(tmp_path: Path) -> None:
    project = market(tmp_path / "m", ["甲", "乙"], ["a.png", None])
    with pytest.raises(DataError, match="found media for 1 of 2 creatives"):
        measure_understand_speed(project, SpeedBench(model=tmp_path / "none.gguf"))
