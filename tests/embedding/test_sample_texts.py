"""Texts of exposures: composed of parts, equal where they are equal, and never from the future."""

import numpy as np
import polars as pl
import torch

from plait.embedding.sample_texts import SampleTexts, TextPart
from plait.pipelines.embed import UserVectors
from plait.pipelines.sample_texts import context_texts, seen_texts


def test_parts_stand_side_by_side():
    """Texts 0 and 2 of the users are equal; the third exposure has no user text."""
    users = TextPart.of(np.array([[1, 2], [3, 4], [1, 2]], np.float32), np.array([0, 1, -1, 2]))
    items = TextPart.of(np.array([[5], [6]], np.float32), np.array([1, 0, 0, 1]))
    texts = SampleTexts({"user": users, "item": items})
    assert texts.width == 3
    assert texts.distinct() == [2, 2]
    rows = np.array([0, 1, 2, 3])
    assert torch.cat(list(texts.batch(rows)), dim=1).tolist() == [[1, 2, 6], [3, 4, 5], [0, 0, 5], [1, 2, 6]]
    assert users.source_M.tolist() == [-1, 0, 1], "where a text was first"
    keys = texts.keys(rows)
    assert keys[0] == keys[3]
    assert len(set(keys.tolist())) == 3


def test_an_exposure_sees_the_last_snapshot_strictly_before_it():
    class Ids:
        @staticmethod
        def encode(ids):
            return ids.to_numpy()

    class Dataset:
        """Users 1 and 2; times 10 to 50."""

        user = np.array([1, 1, 1, 2, 1, 3])
        time = np.array([10, 20, 21, 50, 40, 50])
        tables = type("Tables", (), {"users": type("Users", (), {"ids": Ids})})

        def __len__(self):
            return len(self.user)

        def user_rows(self, rows):
            return self.user[rows]

        def times(self, rows):
            return self.time[rows]

    snapshots = UserVectors(
        users=pl.Series([2, 1]),
        user_R=np.array([1, 0, 1]),
        time_R=np.array([30, 50, 20]),
        text_R=np.array([7, 8, 9]),
        training_R=np.ones(3, bool),
        vectors_MD=np.zeros((10, 1), np.float32),
    )
    assert seen_texts(Dataset(), snapshots).tolist() == [-1, -1, 9, -1, 7, -1]


def test_contexts_in_words():
    frame = pl.DataFrame({"weather": ["sunny", None], "place": ["home", "work"]})
    assert context_texts(frame).to_list() == ["weather: sunny, place: home", "place: work"]
