import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_sample import HOSTILE, OBJECTIVES, RUNGS, SCENARIOS, sample

from plait.console import render_report
from plait.pipelines.report_data import ReportData

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text by section; complains of tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return sample(tmp_path_factory.mktemp("creatives"), rows=2500)


@pytest.fixture(scope="module")
def path(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_report(data, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_tags_match(page: Page):
    assert page.open == []


def test_every_section_is_there(page: Page):
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == [
        "ladder",
        "scenarios",
        "objectives",
        "calibration",
        "learning",
        "texts",
        "served",
        "data",
        "check",
        "creatives",
        "made",
    ]


def test_simulated_is_said_first(page: Page, data: ReportData, tmp_path: Path):
    assert page.text.index("Simulated data.") < page.text.index("345,678")
    real = render_report(replace(data, simulated=False), tmp_path / "report.html")
    assert "Simulated data." not in real.read_text(encoding="utf-8")


def test_nothing_is_loaded_and_nothing_runs(page: Page, path: Path):
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "srcset", "poster", "action", "data", "background"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import", text)
    policy = next(attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_hostile_text_is_text(page: Page, path: Path):
    # Recent behaviour, item, JSON of the response (as JSON text), example of a finding, caption, field.
    assert page.text.count(HOSTILE) >= 5
    assert "<script" not in path.read_text(encoding="utf-8")


def test_both_languages(page: Page):
    assert "应用 0 · Puzzle Garden" in page.text
    assert "首页 feed" in page.text


def test_every_rung_scenario_objective_and_creative_is_named(page: Page):
    for name in (*RUNGS, *SCENARIOS, *OBJECTIVES, "oracle", "素材 0"):
        assert name in page.text, name


def test_numbers_are_written_as_people_read_them(page: Page, data: ReportData):
    last = data.ladder[-1]
    auc, gain = last.metrics["auc"], last.to_first
    assert f"{auc.value:.4f}" in page.text
    assert f"{auc.low:.4f} to {auc.high:.4f}" in page.text
    assert f"+{gain.difference:.4f}" in page.text
    assert "0.42 s" in page.text  # training of the first rung
    assert "12 min 34 s" in page.text  # 754 s, of the last
    assert "12.3 ms" in page.text
    assert "0.12 %" in page.text  # 1,234 of 1,000,000 rows in quarantine
    assert "in all 3 min 24 s" in page.text  # 20 + 4.2 + 180
    assert "nan" not in page.text.lower().split()


def test_pictures_travel_inside_and_missing_ones_are_said_to_be(page: Page):
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 5
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    assert "no picture" in page.text


def test_one_plot_per_objective_and_per_learning_curve(page: Page):
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert [label for label in labels if label.startswith("Reliability")] == [
        f"Reliability of {name}: predicted against observed" for name in OBJECTIVES
    ]
    assert [label for label in labels if label.startswith("Learning")] == [
        f"Learning curve of {name}" for name in RUNGS
    ]


def test_texts_have_a_plot_over_d_and_one_before_and_after_alignment(page: Page, data: ReportData):
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert "AUC by the width of the feature; the dashed line is without it" in labels
    assert [label for label in labels if label.startswith("Rows and texts")] == [
        "Rows and texts before alignment",
        "Rows and texts after alignment",
    ]
    for point in data.sweep.points:
        assert f"{point.auc.value:.4f}" in page.text
    assert "+.0050" in page.text or "+0.0050" in page.text


def test_the_json_twin_says_the_same(path: Path, data: ReportData):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    twin = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert twin["title"] == data.title
    assert [row["name"] for row in twin["ladder"]] == list(RUNGS)
    assert twin["ladder"][-1]["metrics"]["auc"]["value"] == data.ladder[-1].metrics["auc"].value
    assert twin["models"]["hstu"]["overall"]["auc"]["value"] == data.model("hstu").overall.auc.value
    assert twin["oracle"]["overall"]["auc"]["value"] == data.oracle.overall.auc.value
    assert twin["check"]["tables"][1]["rows_quarantined"] == 1234
    assert [point["width"] for point in twin["sweep"]["points"]] == [0, 8, 32, 128]
    assert twin["alignment"]["after"]["found"] == 1
    assert twin["creatives"][0]["path"] == "0.png"


def test_what_is_not_there_leaves_its_section_out(data: ReportData, tmp_path: Path):
    bare = replace(
        data,
        ladder=data.ladder[:1],
        models=data.models[:1],
        featured="popularity",
        oracle=None,
        check=None,
        curves=(),
        served=None,
        creatives=(),
        sweep=None,
        alignment=None,
    )
    page = Page(render_report(bare, tmp_path / "bare.html").read_text(encoding="utf-8"))
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == ["ladder", "scenarios", "objectives", "calibration", "data", "made"]
    assert "oracle" not in page.text
    assert "What each rung adds" not in page.text


def test_an_unknown_featured_model_is_refused(data: ReportData, tmp_path: Path):
    with pytest.raises(KeyError):
        render_report(replace(data, featured="other"), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
