"""How texts and lists become values: cut by hand."""

import polars as pl
import pytest

from plait.features.tokens import tokenise, value_lists, values_of


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Chess Game", ["chess", "game"]),
        ("下棋", ["下", "下棋", "棋"]),
        ("小游戏", ["小", "小游", "游", "游戏", "戏"]),
        ("棋", ["棋"]),
        ("免费 chess游戏 5v5", ["免", "免费", "费", "chess", "游", "游戏", "戏", "5v5"]),
        ("パズル", ["パ", "パズ", "ズ", "ズル", "ル"]),
        ("ＡＢＣ ﾊﾟｽﾞ", ["abc", "パ", "パズ", "ズ"]),
        ("Straße don't wi-fi a_b", ["strasse", "don", "t", "wi", "fi", "a", "b"]),
        ("🎮 游 ❤️!", ["🎮", "游", "❤"]),
        ("👨‍👩‍👧", ["👨", "👩", "👧"]),
        ("1️⃣", ["1"]),
        ("مرحبا، بالعالم", ["مرحبا", "بالعالم"]),
        ("שלום\u200f game", ["שלום", "game"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("हिन्दी खेल", ["हिन्दी", "खेल"]),
        ("𠮷野家", ["𠮷", "𠮷野", "野", "野家", "家"]),
        ("music MUSIC", ["music", "music"]),
        ("", []),
        (" \t...—!", []),
    ],
)
def test_texts_by_hand(text: str, tokens: list[str]) -> None:
    assert list(tokenise(text)) == tokens


def test_texts_are_read_as_far_as_a_query_may_go() -> None:
    assert len(list(tokenise("棋 " * 2_000))) == 512


def test_values_of_one_row() -> None:
    assert values_of("小游戏", "text", 3) == ["小", "小游", "游"]
    assert values_of(None, "text", 3) == values_of(None, "list", 3) == values_of("", "list", 3) == []
    assert values_of(42, "text", 3) == ["42"]
    assert values_of(["b", None, "a", "c"], "list", 2) == ["b", "a"]
    assert values_of("a | b;c", "list", 8) == ["a", "b", "c"]
    assert values_of(7, "list", 8) == [7]
    assert values_of(0.5, "list", 8) == ["0.5"]


def test_a_column_has_the_values_of_its_rows() -> None:
    texts = pl.Series(["小游戏", None, "", "A b"])
    assert value_lists(texts, "text", 3).to_list() == [["小", "小游", "游"], [], [], ["a", "b"]]
    lists = pl.Series([[3, None, 1, 2], None, []])
    assert value_lists(lists, "list", 2).to_list() == [[3, 1], [], []]
    assert value_lists(pl.Series([None], dtype=pl.String), "text", 3).to_list() == [[]]
