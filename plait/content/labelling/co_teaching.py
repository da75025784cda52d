"""The light classifier and a picture network teach each other (Blum and Mitchell 1998, "Co-training")."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from plait.content.labelling.classifier import (
    ClassifierSettings,
    LightClassifier,
    Rows,
    Seen,
    Space,
    learn_answers,
    spread,
)
from plait.content.labelling.linear import Floats, softmax

_LEAST = np.float32(1e-7)
"""Probability that nothing falls below before its logarithm is taken."""


class Student(Protocol):
    """What learns answers about pictures that it was made for."""

    def learn(self, answer_NC: Floats) -> Floats:
        """Log-probabilities [N, C], after it has learnt these probabilities."""
        ...


Opened = Callable[[Sequence[bytes], int], Student]
"""Makes a student for small pictures and so many labels."""


def teach_beside(
    known: LightClassifier,
    unlabelled: Seen,
    examples: Seen,
    label_N: Rows,
    *,
    settings: ClassifierSettings,
    opened: Opened,
) -> LightClassifier:
    """Let the classifier and a picture network teach each other.

    In turn, the network learns the classifier's answers, and the classifier what both believe: the geometric mean. The
    network is gone after that: answering needs no more than before. The temperature stays, since the network has
    learnt from all examples, and none is left to be held out.

    Args:
        known: taught by `teach` with the same rows.
        unlabelled: rows as in `teach`, with small pictures.
        examples: the few, with small pictures.
        label_N: their leaves.
        settings: how.
        opened: makes the network.
    """
    unlabelled = spread(unlabelled, settings.most_unlabelled)
    small = [one for seen in (examples, unlabelled) if seen.small_N is not None for one in seen.small_N]
    there_M = np.array([row for row, one in enumerate(small) if one is not None], np.int64)
    if not len(there_M):
        return known
    classes = unlabelled.evidence_NC.shape[1]
    target_NC = np.eye(classes, dtype=np.float32)[label_N]
    student, space = opened([small[row] for row in there_M], classes), Space.fit(unlabelled.feature_ND, settings.width)
    if space is not None:
        unlabelled, examples, known = space.seen(unlabelled), space.seen(examples), space.into(known)
    found = known
    for _ in range(settings.lessons):
        said_MC = student.learn(_answers(found, unlabelled, target_NC)[there_M])
        for _ in range(settings.rounds):
            answer_NC = _answers(found, unlabelled, target_NC)
            answer_NC[there_M] = softmax((np.log(answer_NC[there_M] + _LEAST) + said_MC) / 2)
            found = learn_answers(answer_NC[len(label_N) :], unlabelled, examples, target_NC, settings)
    return replace(found if space is None else space.back(found), temperature=known.temperature)


def _answers(found: LightClassifier, unlabelled: Seen, target_NC: Floats) -> Floats:
    """What is believed of all rows: of the examples what was said, of the others what the classifier answers."""
    return np.concatenate([target_NC, softmax(found.logits(unlabelled))]).astype(np.float32)
