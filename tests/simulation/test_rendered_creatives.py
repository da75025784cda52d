"""Rendered creatives: real files that show what their true fields say."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")
pytest.importorskip("PIL")
from PIL import Image  # noqa: E402

from plait.simulation.media_plan import MediaPlan, attribute_matrix, plan_media  # noqa: E402
from plait.simulation.photographs import SUBJECTS, photograph  # noqa: E402
from plait.simulation.rendering import BACKGROUND, FRAMES_PER_SECOND, LEVEL, draw, encode, layout  # noqa: E402

PLANS = plan_media(40, seed=5)
RNG = np.random.default_rng(0)


def decoded(plan: MediaPlan) -> tuple[np.ndarray, int]:
    """(first frame, number of frames) of the plan's file."""
    content = encode(plan, np.random.default_rng(1))
    if plan.duration == 0:
        return np.asarray(Image.open(BytesIO(content)).convert("RGB")), 1
    with av.open(BytesIO(content)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames[0], len(frames)


@pytest.mark.parametrize("plan", PLANS[:20], ids=lambda plan: Path(plan.file).name)
def test_file_shows_its_true_fields(plan: MediaPlan) -> None:
    picture, frames = decoded(plan)
    height, width = picture.shape[:2]
    shape = "landscape" if width > height else "portrait" if height > width else "square"
    assert shape == plan.screen_orientation
    across, up = map(int, plan.ratio.split(":"))
    assert width / height == pytest.approx(across / up, rel=0.02)
    assert frames == max(1, round(plan.duration * FRAMES_PER_SECOND))
    level = 1.0 if plan.color in ("black", "white") else LEVEL[plan.brightness]
    expected = np.array(BACKGROUND[plan.color]) * level
    near = (np.abs(picture - expected) < 24).all(axis=2)
    assert near.mean() > 0.4


def test_plans_vary_in_every_field() -> None:
    plans = plan_media(400, seed=5)
    for field, least in (("screen_orientation", 3), ("color", 8), ("tone", 3), ("clarity", 3), ("object_type", 10)):
        assert len({getattr(plan, field) for plan in plans}) == least
    assert 0.1 < np.mean([plan.duration > 0 for plan in plans]) < 0.3
    assert all(plan.person == (plan.object_type == "person") for plan in plans)
    texts = [plan.text for plan in plans if plan.text]
    assert any(text.isascii() for text in texts)
    assert any(not text.isascii() for text in texts)
    assert all(plan.text_key_words in plan.text for plan in plans)


def test_text_changes_the_pixels_of_its_strip_only() -> None:
    plan = next(plan for plan in PLANS if plan.text and not plan.text.isascii())
    left, top, right, bottom = layout(plan).text
    changed = (draw(plan, None, 0.0) != draw(replace(plan, text=""), None, 0.0)).any(axis=2)
    assert changed[top:bottom, left:right].sum() > 100
    assert changed.sum() == changed[top : bottom + 2, left:right].sum()


def test_blur_removes_detail() -> None:
    plan = replace(PLANS[0], text="", object_type="cat", clarity="sharp")
    detail = [
        np.abs(np.diff(draw(replace(plan, clarity=clarity), SUBJECTS["cat"][0], 0.0).astype(float), axis=1)).mean()
        for clarity in ("sharp", "soft", "blurry")
    ]
    assert detail[0] > detail[1] > detail[2]


def test_tone_moves_red_against_blue() -> None:
    plan = replace(PLANS[0], text="", object_type="coins", clarity="sharp", color="white", brightness="bright")
    balance = []
    for tone in ("warm", "neutral", "cool"):
        picture = draw(replace(plan, tone=tone), SUBJECTS["coins"][0], 0.0).astype(float)
        balance.append((picture[:, :, 0] - picture[:, :, 2]).mean())
    assert balance[0] > balance[1] > balance[2]


def test_every_photograph_is_at_hand() -> None:
    for names in SUBJECTS.values():
        for name in names:
            assert photograph(name).shape == (256, 256, 3)


def test_photographs_are_in_neutral_light() -> None:
    """What is white in them is white: only the planned tone makes them warm or cool."""
    for names in SUBJECTS.values():
        for name in names:
            light = np.percentile(photograph(name), 99, axis=(0, 1))
            assert light.max() / light.min() < 1.05, name


def test_attributes_have_unit_length() -> None:
    matrix = attribute_matrix(PLANS)
    assert np.allclose((matrix**2).sum(axis=1), 1.0)
