"""What classifiers see of a picture: the network's tags and maps, and the outline."""

import numpy as np
import pytest

pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("skimage")

from plait.content.vision.layout import FEATURES, OUTLINE, Layout, layout_of
from plait.content.vision.things import tag_names
from plait.simulation.photographs import photograph


@pytest.fixture(scope="module")
def seen() -> Layout:
    cat = photograph("skimage/data/chelsea.png")
    return layout_of([cat, np.ascontiguousarray(cat[::-1]), photograph("skimage/data/coffee.png")])


def test_widths_are_those_that_steps_count_on(seen: Layout) -> None:
    assert seen.feature_BD.shape == (3, FEATURES)
    assert seen.outline_BO.shape == (3, OUTLINE)
    assert np.allclose(seen.tag_BV.sum(axis=1), 1, atol=1e-4)


def test_tags_name_what_is_shown(seen: Layout) -> None:
    named = [tag_names()[place] for place in seen.tag_BV.argmax(axis=1)]
    assert "cat" in named[0].lower()
    assert named[2].lower() in {"espresso", "cup", "coffee mug"}


def test_where_things_are_is_seen_besides_what_they_are(seen: Layout) -> None:
    """Upside down, the cells trade places and the outline changes; the plain means of the last maps change less."""
    cells = seen.feature_BD[:, 1280:].reshape(3, -1, 4, 3)
    upright, turned = cells[0], cells[1]
    assert np.linalg.norm(upright - turned[:, ::-1]) < np.linalg.norm(upright - turned)
    outline = seen.outline_BO
    assert np.corrcoef(outline[0], outline[1])[0, 1] < 0.9
