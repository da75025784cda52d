"""States of tokens on disk: what a batch is given, and that a killed run goes on."""

import numpy as np
import pytest
import torch

from plait.embedding import token_states
from plait.embedding.token_states import read_states, write_states
from plait.errors import PlaitError
from plait.testing.encoders import LayeredWords

TEXTS = ["one", "two three", "", "four five six", "one two"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(token_states, "CHUNK", 2)


def test_a_batch_reads_its_own_texts_once(tmp_path):
    encoder = LayeredWords(4)
    write_states(tmp_path, "item", TEXTS, encoder, 1)
    stored = read_states(tmp_path, "item", len(TEXTS))
    batch = stored.of(np.array([4, 0, 2, 4, 5, 0]))
    assert batch.length_U.tolist() == [2, 3, 2], "texts 2, 4 and 5 in their order; 0 is none"
    assert batch.place_B.tolist() == [1, -1, 0, 1, 2, -1]
    expected_ND = np.concatenate(encoder.states([TEXTS[1], TEXTS[3], TEXTS[4]], 1))
    torch.testing.assert_close(batch.state_ND, torch.from_numpy(expected_ND.astype(np.float32)), atol=0, rtol=0)
    nothing = stored.of(np.array([0, 0]))
    assert (len(nothing.length_U), nothing.place_B.tolist(), nothing.state_ND.shape) == (0, [-1, -1], (0, 4))


def test_a_killed_run_goes_on(tmp_path):
    class Dies(LayeredWords):
        def states(self, texts, layers):
            if "four" in texts[-1]:
                raise KeyboardInterrupt
            self.asked += texts
            return super().states(texts, layers)

    with pytest.raises(KeyboardInterrupt):
        write_states(tmp_path, "item", TEXTS, Dies(4), 1)
    encoder = LayeredWords(4)
    states, asked = encoder.states, []
    encoder.states = lambda texts, layers: asked.extend(texts) or states(texts, layers)
    write_states(tmp_path, "item", TEXTS, encoder, 1)
    assert asked == TEXTS[2:], "the first file was there"
    assert read_states(tmp_path, "item", len(TEXTS)).of(np.arange(1, 6)).length_U.tolist() == [1, 2, 1, 3, 2]


def test_states_that_do_not_fit(tmp_path):
    encoder = LayeredWords(4)
    encoder.states = lambda texts, layers: [np.full((1, 4), np.inf, np.float16) for _ in texts]
    with pytest.raises(PlaitError, match="do not fit 16 bits"):
        write_states(tmp_path, "item", TEXTS, encoder, 1)
    assert not list(tmp_path.iterdir())
