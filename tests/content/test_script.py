"""Which characters a reader may find, on decoders of a few characters."""

import numpy as np
import pytest

from plait.content.vision.script import LimitedDecoder, Script, broken_script


@pytest.mark.parametrize(
    ("sure", "doubtful", "script"),
    [
        (["净值全新", "升级"], [], None),
        (["凈值全新", "升级"], [], Script.SIMPLIFIED),
        (["乐谱新人立"], ["減"], Script.SIMPLIFIED),
        (["全新"], ["立減"], Script.SIMPLIFIED),
        (["滿額立減", "優惠"], [], None),
        (["滿額立減", "限时"], [], Script.TRADITIONAL),
        (["more fun", "８折"], [], None),
        (["升级"], ["弾射"], Script.SIMPLIFIED),  # a character that only Japanese has
        (["喆", "升级"], [], None),  # one of names, in the set of neither script
    ],
)
def test_chinese_is_written_in_one_script(sure, doubtful, script):
    assert broken_script(sure, doubtful) is script


class BestOf:
    """Decodes to the likeliest character of every step."""

    character = ("blank", "a", "ä", "减", "減", "弾")

    def __call__(self, probability_LSV):
        return [("".join(self.character[best] for best in line.argmax(1)), line.max(1)) for line in probability_LSV]


def test_what_a_character_that_is_left_out_had_goes_to_the_others():
    decoder = LimitedDecoder(BestOf())
    probability = np.array([[[0, 0.1, 0.9, 0, 0, 0], [0, 0, 0, 0.3, 0.5, 0.2]]], np.float32)
    assert decoder(probability)[0][0] == "a減"
    decoder.script = Script.SIMPLIFIED
    text, sure = decoder(probability)[0]
    assert text == "a减"
    assert sure.tolist() == [1.0, 1.0]
    plain = np.array([[[0, 0.7, 0.3, 0, 0, 0]]], np.float32)
    assert decoder(plain)[0][1].tolist() == [pytest.approx(0.7)], "nothing to leave out, nothing changed"


class Letters(BestOf):
    """Decodes likewise, without the steps at which nothing is."""

    character = ("blank", "r", "a", "一", " ")

    def __call__(self, probability_LSV):
        return [(text.replace("blank", ""), sure) for text, sure in super().__call__(probability_LSV)]


@pytest.mark.parametrize(
    ("before", "space", "after", "text"),
    [(1, 0.28, 2, "r a"), (1, 0.05, 2, "ra"), (3, 0.28, 3, "一一"), (1, 0.28, 3, "r一"), (0, 0.28, 2, "a")],
)
def test_a_likely_space_between_latin_letters_counts(before, space, after, text):
    probability = np.zeros((1, 4, 5), np.float32)
    probability[0, [0, 3], [before, after]] = 1
    probability[0, 1:3, 0] = 1, 1 - space
    probability[0, 2, 4] = space
    kept = probability.copy()
    assert LimitedDecoder(Letters())(probability)[0][0] == text
    assert (probability == kept).all(), "the recogniser's numbers are its own"


@pytest.mark.parametrize(
    ("likely", "letter", "text"),
    [(0.36, 5, "rla"), (0.15, 5, "ra"), (0.36, 1, "ra"), (0.36, 2, "ra"), (0.36, 3, "ra")],
)
def test_a_likely_letter_between_two_others_counts(likely, letter, text):
    """But not one of the two, which may be likely for longer than it is found."""

    class Latin(Letters):
        character = ("blank", "r", "a", "一", " ", "l")

    probability = np.zeros((1, 3, 6), np.float32)
    probability[0, [0, 2], [1, 2]] = 1
    probability[0, 1, [0, letter]] = 1 - likely, likely
    assert LimitedDecoder(Latin())(probability)[0][0] == text


class Strokes(BestOf):
    """Decodes likewise."""

    character = ("", "一", "—", "-", "目")


@pytest.mark.parametrize(
    ("steps", "text", "sure"),
    [
        ([(0, 0, 0, 0, 1), (0, 0.4, 0.5, 0.1, 0), (0, 0.04, 0.9, 0.06, 0)], "目一一", [1, 1, 1]),
        ([(0, 0.04, 0.9, 0.06, 0), (0, 0.01, 0.9, 0.09, 0)], "——", [0.9, 0.9]),  # a true dash
        ([(0, 0.3, 0.6, 0.1, 0), (0, 0, 0, 0, 1), (0, 0.04, 0.96, 0, 0)], "一目—", [1, 1, 0.96]),  # not in one row
        ([(0, 0.7, 0.3, 0, 0)], "一", [0.7]),
    ],
)
def test_strokes_in_a_row_are_ones_where_one_of_them_may_be(steps, text, sure):
    probability = np.array([[step for one in steps for step in (one, (1, 0, 0, 0, 0))]], np.float32)
    kept = probability.copy()
    found, certain = LimitedDecoder(Strokes())(probability)[0]
    assert found == text
    assert certain[::2].tolist() == pytest.approx(sure)
    assert (probability == kept).all(), "the recogniser's numbers are its own"
