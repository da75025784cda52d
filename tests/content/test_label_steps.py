"""Labels within the workflow: from creatives to profiles, the review queue and back."""

from pathlib import Path

import numpy as np
import pytest
from creative_market import SUBJECTS, LetterEncoder, market, subject_texts
from PIL import Image
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.content.label_steps import MOST_CHARACTERS, answer_of, described, label_answer
from plait.content.labelling.label_model import LabelModel
from plait.content.labelling.sight import Shown
from plait.content.labelling.strategy import LabelAnswer
from plait.content.taxonomy import load_taxonomy
from plait.content.workflow.vectors import decoded, encoded
from plait.pipelines import creative_labels
from plait.pipelines.creative_labels import review_queue, workspace_taxonomy
from plait.pipelines.project import Project
from plait.pipelines.understand import read_profiles, understand_creatives

pytest.importorskip("jieba")
pytest.importorskip("rapidocr")
LIGHT = '[content.label]\ntaxonomy = "labels.csv"\n'
EACH = 8


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    monkeypatch.setattr(creative_labels, "open_encoder", lambda *_: LetterEncoder())


def label_rows(project) -> list[tuple[str | None, str | None, float, str]]:
    """(first level, second level, confidence, step) of every creative."""
    profiles = read_profiles(understand_creatives(project).folder)
    return [
        (row["label_1"], row["label_2"], row["confidence"]["label"], (row["provenance"]["label"] or {}).get("step"))
        for row in profiles.iter_rows(named=True)
    ]


def test_what_a_creative_says_is_each_part_once_and_bounded():
    item = {"name": "组队英雄", "description": None}
    inputs = {"copy": "五折\n 今天", "text": {"fields": {"text": "五折 今天"}}, "item": item}
    assert described(inputs) == "五折 今天 组队英雄"
    heard = inputs | {"transcript": {"said": "快来 \ud800"}}
    assert described(heard) == "五折 今天 快来 组队英雄"
    assert len(described({"copy": "长" * 100_000, "text": None, "item": None})) == MOST_CHARACTERS


def test_an_answer_goes_through_a_step_and_back():
    for path, sure in (((), 0.4), (("a",), 0.9), (("a", "b"), 0.6)):
        found = LabelAnswer(path, (0.9 if path else 0.4, 0.6), ("a", "b"))
        assert answer_of(label_answer(found)) == found
        assert label_answer(found)["confidence"]["label"] == sure
    vector = np.array([0.5, -2.0], np.float32)
    assert decoded(encoded(vector)).tolist() == vector.tolist()


def test_a_label_model_answers_as_before_once_it_is_loaded(tmp_path: Path):
    (tmp_path / "labels.csv").write_text("l1\n" + "\n".join(SUBJECTS), encoding="utf-8")
    taxonomy, encoder, texts = load_taxonomy(tmp_path / "labels.csv"), LetterEncoder(), subject_texts(20)
    draw = np.random.default_rng(0)
    picture = draw.normal(size=(60, 5)).astype(np.float32)
    picture[::7] = np.nan
    tags = np.where(np.isnan(picture[:, :4]), np.nan, 1).astype("f4")
    shown = Shown(texts, encoder.encode(texts), picture, tags, picture[:, 1:])
    labels = [(list(SUBJECTS)[row % 3],) for row in range(6)]
    model = LabelModel.taught(shown, taxonomy, encoder.encode(list(SUBJECTS)), np.arange(6), labels)
    model.save(tmp_path)
    answers = model.answers(shown, 0.5)
    assert LabelModel.load(tmp_path, taxonomy).answers(shown, 0.5) == answers
    assert len(model.answers(Shown(texts, encoder.encode(texts)), 0.5)) == 60, "none of a batch may have a picture"
    right = [said.best == (list(SUBJECTS)[row % 3],) for row, said in enumerate(answers)]
    assert np.mean(right) > 0.9


def test_profiles_hold_labels_and_a_second_run_finds_them(tmp_path: Path):
    project = market(tmp_path / "m", subject_texts(EACH), content=LIGHT)
    found = label_rows(project)
    assert [row[1] for row in found] == list(SUBJECTS) * EACH
    assert {row[3] for row in found} == {"label"}
    assert all(0.5 <= row[2] <= 1 for row in found)
    assert understand_creatives(project).tallies == {}


def test_review_decides_and_the_next_run_learns(tmp_path: Path):
    """Texts that say nothing wait for a person; what is decided stands as said, and teaches."""
    texts = [*subject_texts(EACH), "甲乙 1", "甲乙 2"]
    project = market(tmp_path / "m", texts, content=LIGHT + "threshold = 0.9\n")
    assert understand_creatives(project).summary.review == len(review_queue(project).waiting()) > 0
    queue = review_queue(project)
    assert "24" in [row.creative_id for row in queue.waiting()]
    asked = [row.creative_id for row in queue.waiting()]
    said = "".join("理财\n" if name == "24" else "-\n" for name in asked)
    done = CliRunner().invoke(register_commands(), ["understand", "review", "-w", str(project.root)], input=said)
    assert done.exit_code == 0, done.output
    before = next(row for row in queue.waiting() if row.creative_id == "25")
    found = label_rows(project)
    assert found[24] == ("应用", "理财", 1.0, "review")
    after = {row.creative_id: row for row in review_queue(project).waiting()}
    assert "24" not in after
    assert found[25][1] == "理财" or after["25"].proposed[-1] == "理财" != before.proposed[-1]


def pictured_market(folder: Path, content: str) -> Project:
    """All creatives show one picture: their texts tell them apart."""
    texts = subject_texts(EACH)
    project = market(folder, texts, ["noise.png"] * len(texts), LIGHT + content)
    noise = np.random.default_rng(0).integers(0, 255, (80, 60, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return project


def test_one_of_every_subject_is_asked_about_first(tmp_path: Path):
    """Nothing is sure here: who decides the first three has labelled each of the three subjects."""
    project = pictured_market(tmp_path / "m", "threshold = 1.0\n")
    assert understand_creatives(project).summary.review == 3 * EACH
    waiting = review_queue(project).waiting()
    assert [row.turn for row in waiting] == list(range(3 * EACH))
    assert sorted(int(row.creative_id) % 3 for row in waiting[:3]) == [0, 1, 2]


def test_turns_are_worked_out_for_so_many_and_know_what_is_decided(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(creative_labels, "ORDERED", 9)
    project = pictured_market(tmp_path / "m", 'threshold = 1.0\nexamples = "mine.csv"\n')
    (project.root / "mine.csv").write_text("creative_id,l1,l2\n0,应用,音乐\n1,应用,音乐\n", encoding="utf-8")
    understand_creatives(project)
    waiting = review_queue(project).waiting()
    ordered = [row for row in waiting if row.turn is not None]
    assert 3 * EACH // 9 <= len(ordered) <= 9
    assert waiting[: len(ordered)] == ordered
    assert int(ordered[0].creative_id) % 3 == 2, "subjects 0 and 1 are stood for already"
    assert not {"0", "1"} & {row.creative_id for row in waiting}


def test_without_pictures_all_are_asked_about_in_a_random_order(tmp_path: Path):
    project = market(tmp_path / "m", subject_texts(EACH), content=LIGHT + "threshold = 1.0\n")
    understand_creatives(project)
    waiting = review_queue(project).waiting()
    assert [row.turn for row in waiting] == list(range(3 * EACH))
    sure = [row.confidence[-1] for row in waiting]
    assert sure not in (sorted(sure), sorted(sure, reverse=True))


def test_examples_of_a_table_teach_too(tmp_path: Path):
    project = market(tmp_path / "m", subject_texts(EACH), content=LIGHT + 'examples = "mine.csv"\n')
    (project.root / "mine.csv").write_text("creative_id,l1,l2\n3,应用,音乐\n", encoding="utf-8")
    assert label_rows(project)[3] == ("应用", "音乐", 1.0, "review")


def test_without_a_name_the_items_categories_are_the_labels():
    import polars as pl

    items = pl.DataFrame(
        {
            "category_1": ["游戏", "游戏", None],
            "category_2": ["射击", None, None],
            "category_2_en": ["Shooting", None, None],
        }
    )
    settings = creative_labels.LabelSettings()
    leaves = workspace_taxonomy(settings, Path(), items).leaves
    assert [(leaf.path, leaf.words) for leaf in leaves] == [(("游戏", "射击"), ("Shooting",))]
    assert workspace_taxonomy(settings, Path(), pl.DataFrame({"item_id": [1]})).name == creative_labels.IAB
