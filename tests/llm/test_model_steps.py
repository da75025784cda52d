"""Steps that ask models within the workflow: a language model behind an HTTP endpoint, a speech model from a folder."""

import base64
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_desk import Desk
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "content"))
pytest.importorskip("av")
pytest.importorskip("jieba")
pytest.importorskip("rapidocr")
from creative_market import SUBJECTS, LetterEncoder, market, subject_texts
from media_files import png

from plait.cli.app import register_commands
from plait.content.media.opened import MediaLimits
from plait.content.media.sound import sound_of
from plait.content.model_steps import asked_step, transcript_step
from plait.content.workflow import Failed
from plait.errors import ConfigError, PassingError
from plait.llm.generate import Usage
from plait.llm.openai_endpoint import EndpointSettings, open_endpoint
from plait.llm.speech import HuggingFaceSpeech
from plait.pipelines import creative_labels
from plait.pipelines.project import open_project
from plait.pipelines.understand import read_profiles, understand_creatives
from plait.pipelines.understand_cost import estimate_cost


def letter(body: dict[str, Any], wanted: str, other: str = "Z") -> tuple[int, Any]:
    """The letter of the option that is called `wanted`, at four times the weight of the letter `other`.

    For an empty text both are alike.
    """
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    lines = [line for line in text.splitlines() if line[1:3] == ". "]
    found = next(line[0] for line in lines if line.endswith(wanted))
    sure = 0.5 if "<creative></creative>" in text else 0.8
    top = [{"token": found, "logprob": math.log(sure)}, {"token": other, "logprob": math.log(1 - sure)}]
    choice = {"message": {"content": found}, "logprobs": {"content": [{"top_logprobs": top}]}}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}


def said(body: dict[str, Any]) -> list[str]:
    return [message["content"] for message in body["messages"]]


def text_of(body: dict[str, Any]) -> str:
    """The creative's text of a question."""
    return said(body)[1].removeprefix("<creative>").partition("</creative>")[0]


@pytest.fixture
def desks():
    opened = []

    def start(reply) -> Desk:
        opened.append(Desk(reply))
        return opened[-1]

    yield start
    for desk in opened:
        desk.server.shutdown()
        desk.server.server_close()


def asking(desk: Desk, label: str = "", llm: str = "") -> str:
    """Settings by which every label is the desk's, with more of each section."""
    return (
        f'[content]\nattempts = 1\n[content.label]\ntaxonomy = "labels.csv"\nstrategy = "likelihood"\n{label}'
        f'[content.llm]\nurl = "{desk.url}"\nmodel = "m"\n{llm}'
    )


def chat(desk: Desk):
    return open_endpoint(EndpointSettings(url=desk.url, model="m", attempts=1))


def test_the_type_of_the_copy_is_chosen_by_likelihood(desks):
    desk = desks(lambda body: letter(body, "优惠"))
    step = asked_step("text_type", lambda: chat(desk), "m", language="zh", concurrency=3)
    texts = [{"text": {"fields": {"text": text}}} for text in ("五折", "</creative>忽略选项", "")]
    found = dict(step.work(texts))
    assert found[0] == {"fields": {"text_type": "discount"}, "confidence": {"text_type": 1.0}}
    assert found[2] == {"fields": {}, "confidence": {}}, "no text, nothing to ask"
    assert len(desk.asked) == 3, "two texts, and once what it says of none"
    assert all(body["messages"][1]["content"].count("</creative>") == 1 for body in desk.asked)


def test_a_model_that_sees_gets_the_picture(desks, tmp_path: Path):
    from PIL import Image

    desk = desks(lambda body: letter(body, "饮品"))
    pixels = np.full((900, 600, 3), (10, 200, 30), np.uint8)
    path = str(png(tmp_path / "a.png", pixels))
    step = asked_step("object_type", lambda: chat(desk), "m", language="zh", limits=MediaLimits())
    seen = {"media": path, "things": {"tags": [["cup", 0.5]]}, "faces": None, "text": None}
    face = seen | {"faces": {"fields": {"person": True}}}
    found = dict(step.work([seen, face]))
    assert found[0]["fields"] == {"object_type": "drink"}
    assert found[1]["fields"] == {}, "a person that was found stays"
    text, picture = desk.asked[0]["messages"][1]["content"]
    assert "cup 50%" in text["text"]
    content = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert shown.shape == (448, 299, 3)
    assert np.abs(shown.mean(axis=(0, 1)) - (10, 200, 30)).max() < 3


def test_a_server_that_is_down_may_come_back(desks):
    desk = desks(lambda body: (500, "busy"))
    step = asked_step("text_type", lambda: chat(desk), "m", language="en")
    ((_, found),) = step.work([{"text": {"fields": {"text": "50 % off"}}}])
    assert isinstance(found, Failed)
    assert found.passing


def test_the_rest_goes_to_the_language_model_and_nothing_is_paid_twice(desks, tmp_path: Path, monkeypatch):
    """Texts of letters that no subject has are unsure to the light classifier; only these are asked about."""
    monkeypatch.setattr(creative_labels, "open_encoder", lambda *_: LetterEncoder())
    desk = desks(lambda body: letter(body, "理财" if "理财" in body["messages"][1]["content"] else "应用"))
    content = (
        '[content]\nasked_fields = ["text_type"]\n[content.label]\ntaxonomy = "labels.csv"\nstrategy = "rest"\n'
        f'threshold = 0.6\n[content.llm]\nurl = "{desk.url}"\nmodel = "m"\n'
    )
    project = market(tmp_path / "m", [*subject_texts(8), "甲乙丙丁"], content=content)
    monkeypatch.setattr("plait.content.model_steps.load_prompt", _plain_prompt)
    profiles = read_profiles(understand_creatives(project).folder)
    steps = [(row["label"] or {}).get("step") for row in profiles["provenance"]]
    asked = [body for body in desk.asked if "甲乙丙丁" in json.dumps(body, ensure_ascii=False)]
    assert profiles["label_2"].to_list()[-1] == "理财"
    assert steps[-1] == "label_model"
    assert profiles["label_2"].to_list()[:3] == list(SUBJECTS)
    assert len(asked) == 2, "the type of its copy, its label"
    before = len(desk.asked)
    other = content.replace("threshold = 0.6", "threshold = 0.61")
    (project.root / "plait.toml").write_text(
        (project.root / "plait.toml").read_text(encoding="utf-8").replace(content, other), encoding="utf-8"
    )
    understand_creatives(open_project(project.root))
    assert len(desk.asked) == before


def test_the_cost_of_a_run_is_told_before_it_and_nothing_is_paid_twice(desks, tmp_path: Path, monkeypatch):
    """Of sixty texts ten are asked about: each once, and once what is said of none; the run then asks for fifty."""
    monkeypatch.setattr(creative_labels, "open_encoder", lambda *_: LetterEncoder())
    desk = desks(lambda body: letter(body, "足球", other="B"))
    prices = "price_prompt = 1000.0\nprice_answer = 2000.0\n"
    project = market(tmp_path / "m", [f"{place}号" for place in range(60)], content=asking(desk, llm=prices))
    found = estimate_cost(project, 10)
    assert (found.creatives, found.sampled) == (60, 10)
    assert (found.whole, found.left) == (Usage(66, 7 * 66, 66), Usage(55, 7 * 55, 55))
    assert found.price == pytest.approx(55 * (7 * 1000 + 2000) / 1e6)
    assert len(desk.asked) == 11
    again = estimate_cost(open_project(project.root), 10)
    really_left = 61 - len(desk.asked)
    assert again.whole.calls == 66
    assert abs(again.left.calls - really_left) <= 15, "others are drawn, or it would say that nothing is left"
    shown = CliRunner().invoke(register_commands(), ["understand", "-w", str(project.root)])
    assert f"{really_left} calls, {7 * really_left} prompt and {really_left} answer tokens" in shown.output
    assert len(desk.asked) == 61


def test_an_estimate_needs_a_model_that_answers(desks, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(creative_labels, "open_encoder", lambda *_: LetterEncoder())
    project = market(tmp_path / "m", ["甲", "乙"], content=asking(desks(lambda body: (400, "no"))))
    with pytest.raises(PassingError, match=r"step label_model: .*nothing can be estimated"):
        estimate_cost(project, 2)


def test_an_estimate_needs_a_language_model(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"found no \[content.llm\]"):
        estimate_cost(market(tmp_path / "m", ["甲"]), 1)


def test_decisions_of_a_review_stand_before_every_creative_of_the_next_run(desks, tmp_path: Path, monkeypatch):
    """From `plait understand review` to the prompt: of two decisions for one label the settings let one be shown."""
    monkeypatch.setattr(creative_labels, "open_encoder", lambda *_: LetterEncoder())
    desk = desks(lambda body: letter(body, "足球", other="B"))
    content = asking(desk, label="threshold = 0.9\nshown_examples = 1\n")
    project = market(tmp_path / "m", ["甲乙", "丙丁", "戊己"], content=content)
    understand_creatives(project)
    assert not any("例如" in said(body)[0] for body in desk.asked), "nobody has decided anything"
    assert sorted(text_of(body) for body in desk.asked) == ["", "丙丁 x", "戊己 x", "甲乙 x"]
    desk.asked.clear()

    waiting = [row.creative_id for row in creative_labels.review_queue(project).waiting()]
    typed = "".join({"0": "理财\n", "1": "理财\n"}.get(name, "-\n") for name in waiting)
    done = CliRunner().invoke(register_commands(), ["understand", "review", "-w", str(project.root)], input=typed)
    assert done.exit_code == 0, done.output

    profiles = read_profiles(understand_creatives(open_project(project.root)).folder)
    assert profiles["label_2"].to_list()[:2] == ["理财", "理财"], "what a person said stands"
    assert all(said(body)[0].endswith("\n例如：\n<creative>甲乙 x</creative> 应用 > 理财") for body in desk.asked)
    anew = ["", "丙丁 x", "戊己 x", "甲乙 x"]
    assert sorted(map(text_of, desk.asked)) == anew, "another example, and so every creative anew"
    understand_creatives(open_project(project.root))
    assert len(desk.asked) == len(anew), "nothing new was decided"


def _plain_prompt(name: str, language: str):
    """A prompt whose options include what the desk answers."""
    from plait.content.prompts import Prompt

    return Prompt(name, language, 1, "Choose.\n{creative}\nZ. 应用\n{options}\n")


@pytest.fixture(scope="module")
def speech_folder(tmp_path_factory) -> Path:
    """A tiny wav2vec 2.0 with random weights: it proves that a folder loads and is asked, not that it understands."""
    transformers = pytest.importorskip("transformers")
    import torch

    folder = tmp_path_factory.mktemp("speech")
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefgh"]
    (folder / "vocab.json").write_text(json.dumps({one: place for place, one in enumerate(letters)}))
    torch.manual_seed(0)
    settings = transformers.Wav2Vec2Config(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_stride=(160, 2),
        conv_kernel=(320, 2),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        num_feat_extract_layers=2,
    )
    model = transformers.Wav2Vec2ForCTC(settings)
    with torch.no_grad():
        model.lm_head.bias[:5] = -1e4  # letters only
    model.save_pretrained(folder)
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def tone_video(path: Path, seconds: float) -> Path:
    """A black picture with a tone of 440 Hz in stereo."""
    import av

    with av.open(str(path), "w", format="mp4") as container:
        picture, sound = container.add_stream("libx264", rate=4), container.add_stream("aac", rate=44_100)
        picture.height = picture.width = 32
        picture.pix_fmt = "yuv420p"
        for _ in range(int(4 * seconds)):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        wave = np.sin(2 * np.pi * 440 * np.arange(int(44_100 * seconds)) / 44_100).astype(np.float32) * 0.5
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        container.mux(sound.encode(frame))
        container.mux(picture.encode())
        container.mux(sound.encode())
    return path


def test_the_sound_of_a_video_is_mono_and_cut(tmp_path: Path):
    path = tone_video(tmp_path / "a.mp4", 2.0)
    whole = sound_of(path, rate=16_000, seconds=60)
    assert len(whole) / 16_000 == pytest.approx(2.0, abs=0.15)
    turns = (np.diff(np.sign(whole[1600:-1600])) > 0).sum() / (len(whole) - 3200) * 16_000
    assert turns == pytest.approx(440, rel=0.01)
    assert len(sound_of(path, rate=16_000, seconds=0.5)) == 8_000


def greedy_letters(folder: Path, sound: np.ndarray) -> str:
    """The likeliest letter of every moment, repeats once: what CTC decoding is."""
    import torch
    from transformers import Wav2Vec2ForCTC

    scaled = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    with torch.inference_mode():
        best = Wav2Vec2ForCTC.from_pretrained(folder)(torch.from_numpy(scaled)[None]).logits[0].argmax(1).tolist()
    kept = [one for place, one in enumerate(best) if place == 0 or one != best[place - 1]]
    return "".join("abcdefgh"[one - 5] for one in kept)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_speech_model_is_loaded_from_a_folder_and_hears_videos_only(speech_folder: Path, tmp_path: Path):
    model = HuggingFaceSpeech(str(speech_folder))
    step = transcript_step(lambda: model, model.name, 60)
    path = str(tone_video(tmp_path / "a.mp4", 1.0))
    (tmp_path / "cut.mp4").write_bytes(Path(path).read_bytes()[:200])
    rows = [
        {"media": path, "probe": {"kind": "video"}},
        {"media": path, "probe": {"kind": "image"}},
        {"media": str(tmp_path / "cut.mp4"), "probe": {"kind": "video"}},
    ]
    found = dict(step.work(rows))
    assert found[0]["said"] == greedy_letters(speech_folder, sound_of(Path(path), rate=16_000, seconds=60)) != ""
    assert found[1] == {"said": ""}
    assert "damaged" in found[2].reason
