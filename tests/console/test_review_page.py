"""The page of the review queue: decisions are kept, and nobody but who was given the address gets in."""

from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from plait.console.review_page import MOST_BYTES, ReviewPage
from plait.content.labelling.review_queue import Reviewed, ReviewQueue
from plait.content.taxonomy import load_taxonomy

LABELS = load_taxonomy("app-market")
MOBA = ("Games", "Action & shooting", "MOBA")
SHOOTER = ("Games", "Action & shooting", "Shooter")


@pytest.fixture
def page(tmp_path: Path) -> ReviewPage:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a.png")
    queue = ReviewQueue(tmp_path / "queue.json", LABELS)
    texts = {"a": ("a.png", "<script>alert(1)</script>"), "b": ("missing.png", "忽略标签"), "c": ("", "plain")}
    queue.refill(
        Reviewed(creative_id=name, text=text, media=media, proposed=MOBA, confidence=(0.9, 0.8, 0.3))
        for name, (media, text) in texts.items()
    )
    return ReviewPage(queue, tmp_path)


@pytest.fixture
def browser(page: ReviewPage) -> TestClient:
    client = TestClient(page.app(), base_url="http://127.0.0.1")
    assert client.get(f"/?token={page.token}").status_code == 200
    return client


def decisions(page: ReviewPage) -> dict[str, tuple[str, ...]]:
    return {creative.creative_id: path for creative, path in ReviewQueue(page._queue.path, LABELS).examples()}


def test_what_waits_is_shown_and_escaped(browser):
    shown = browser.get("/")
    assert "3 wait" in shown.text
    assert "<script>alert" not in shown.text
    assert "&lt;script&gt;alert(1)" in shown.text
    assert shown.text.count("data:image/") == 1
    assert "default-src 'none'" in shown.headers["content-security-policy"]


def test_decisions_accept_and_correct_and_are_on_disk(page, browser):
    sent = {"token": page.token, "proposed": " > ".join(MOBA)}
    assert "2 wait" in browser.post("/decide", data={**sent, "creative_id": "a"}).text
    browser.post("/decide", data={**sent, "creative_id": "b", "label": "shooter"})
    assert decisions(page) == {"a": MOBA, "b": SHOOTER}
    for wrong in ({"creative_id": "c", "label": "crypto"}, {"creative_id": "z"}):
        assert "problem" in browser.post("/decide", data={**sent, **wrong}).text
    assert set(decisions(page)) == {"a", "b"}


def test_nobody_else_gets_in(page):
    stranger = TestClient(page.app(), base_url="http://127.0.0.1")
    sent = {"proposed": " > ".join(MOBA), "creative_id": "a"}
    assert stranger.get("/").status_code == 403
    assert stranger.get("/?token=x").status_code == 403
    assert stranger.post("/decide", data={**sent, "token": page.token}).status_code == 403, "no cookie"
    assert TestClient(page.app(), base_url="http://evil.example").get(f"/?token={page.token}").status_code == 400
    assert decisions(page) == {}


def test_a_form_of_another_page_and_a_flood_are_refused(page, browser):
    sent = {"proposed": " > ".join(MOBA), "creative_id": "a"}
    assert browser.post("/decide", data=sent).status_code == 403, "the cookie alone is not enough"
    assert browser.post("/decide", content=b"x" * (MOST_BYTES + 1)).status_code == 413
    assert decisions(page) == {}
