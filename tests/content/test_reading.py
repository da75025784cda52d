"""Which of two readings of a picture counts, and lines that stay over frames; the reader itself is replaced."""

from types import SimpleNamespace

import numpy as np
import pytest

from plait.content.vision import reading
from plait.content.vision.reading import Line, join_lines, lines_of_frames, read_lines
from plait.content.vision.script import LimitedDecoder, Script, broken_script

PICTURE = np.zeros((100, 300, 3), np.uint8)


def line(text: str, sure: float, top: float = 0, left: float = 0, width: float = 100) -> Line:
    right, bottom = left + width, top + 20
    return Line(text, sure, ((left, top), (right, top), (right, bottom), (left, bottom)))


def reader_of(read):
    """A reader with the part whose script is set."""

    class Reader:
        text_rec = SimpleNamespace(postprocess_op=SimpleNamespace(script=None))

        def __call__(self, pixels, use_det):
            return read(pixels)

    return Reader()


@pytest.fixture
def looks(monkeypatch):
    """Sets what is seen at once and at twice the size; returns how often it was looked."""
    calls = []

    def see(first: list[Line], second: list[Line]) -> list[int]:
        monkeypatch.setattr(
            reading, "_seen", lambda pixels, times: calls.append(times) or (first if times == 1 else second)
        )
        return calls

    return see


def texts() -> list[str]:
    return [one.text for one in read_lines(PICTURE)]


def test_a_sure_reading_is_not_repeated(looks):
    calls = looks([line("more fun", 0.97)], [line("mare fun", 1.0)])
    assert texts() == ["more fun"]
    assert calls == [1]


def test_a_doubtful_line_gives_way_to_surer_ones_in_its_place(looks):
    looks([line("首单", 1.0), line("D", 0.62, top=30)], [line("首单", 1.0), line("一元购", 0.99, top=30)])
    assert texts() == ["首单", "一元购"]


def test_a_doubtful_line_stays_where_the_second_look_is_no_surer(looks):
    looks([line("立减", 0.80)], [line("立減", 0.81)])
    assert texts() == ["立减"]


def test_a_letter_alone_must_be_seen_twice(looks):
    looks([line("升级", 1.0), line("一", 0.7, top=40)], [line("升级", 1.0)])
    assert texts() == ["升级"]
    looks([line("升级", 1.0), line("减", 0.64, top=40)], [line("升级", 1.0), line("减", 0.56, top=40)])
    assert texts() == ["升级", "减"]


def test_a_digit_alone_is_looked_at_twice_however_sure_it_is(looks):
    calls = looks([line("打车", 1.0), line("8", 0.93, left=120)], [line("打车", 1.0)])
    assert texts() == ["打车"]
    assert calls == [1, 2]
    looks([line("for", 1.0), line("a", 0.99, left=120)], [line("for", 1.0), line("a", 0.98, left=120)])
    assert texts() == ["for", "a"]


def test_a_letter_alone_in_its_row_is_a_thing_but_for_a_word_of_one_letter(looks):
    for letter, sure, kept in (
        ("a", 0.78, ["for", "a"]),
        ("a", 0.7, ["for"]),
        ("8", 0.99, ["for"]),
        ("I", 0.99, ["for"]),
    ):
        looks([line("for", 1.0), line(letter, sure, top=40)], [line("for", 1.0), line(letter, sure, top=40)])
        assert texts() == kept


def test_a_longer_doubtful_line_stays_though_the_second_look_misses_it(looks):
    looks([line("tap to play", 0.8)], [])
    assert texts() == ["tap to play"]


def test_a_line_that_is_hardly_sure_must_be_seen_twice(looks):
    looks([line("play", 1.0), line("Doo", 0.64, top=40)], [line("play", 1.0)])
    assert texts() == ["play"]
    looks([line("play", 1.0), line("now", 0.64, top=40)], [line("play", 1.0), line("now", 0.66, top=40)])
    assert texts() == ["play", "now"]


def drawn(*things: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> np.ndarray:
    """A green picture with bars [left, top, right, bottom] of some colours."""
    picture = np.full((100, 300, 3), (40, 165, 70), np.uint8)
    for (left, top, right, bottom), color in things:
        picture[top:bottom, left:right] = color
    return picture


@pytest.mark.parametrize(
    ("outside", "read"),
    [
        ([((10, 50, 40, 53), (255, 230, 0))], ["首单", "一"]),  # a stroke of the same ink
        ([((10, 50, 40, 53), (255, 255, 255))], ["首单"]),  # another colour
        ([((10, 50, 12, 51), (255, 230, 0))], ["首单"]),  # a speck
        ([((150, 20, 250, 90), (30, 30, 30)), ((190, 50, 220, 53), (255, 230, 0))], ["首单"]),  # within a picture
        ([], ["首单"]),
    ],
)
def test_a_picture_with_ink_outside_of_its_lines_is_looked_at_twice(looks, outside, read):
    pytest.importorskip("cv2")
    looks([line("首单", 1.0)], [line("首单", 1.0), line("一", 0.99, top=42)])
    picture = drawn(((10, 4, 14, 16), (255, 230, 0)), ((20, 4, 24, 16), (255, 230, 0)), *outside)
    assert [one.text for one in read_lines(picture)] == read


def test_a_second_look_that_reads_on_where_the_first_was_cut_off(looks):
    pytest.importorskip("cv2")
    picture = drawn(((10, 4, 14, 16), (255, 230, 0)), ((70, 8, 95, 11), (255, 230, 0)))
    for longer, width, kept in (("驾考一", 100, "驾考一"), ("驾考.", 62, "驾考"), ("驾校一", 100, "驾考")):
        looks([line("驾考", 1.0, width=60)], [line(longer, 0.999, width=width)])
        assert [one.text for one in read_lines(picture)] == [kept]


@pytest.mark.parametrize(
    ("again", "read"), [(("a", 0.99), ("a", 0.99)), (("ab", 0.99), ("a", 0.5)), (("o", 0.5), ("a", 0.5))]
)
def test_a_doubtful_character_alone_is_read_with_some_ground_around_it(monkeypatch, again, read):
    shapes = []

    def look(pixels):
        shapes.append(pixels.shape)
        whole = {"txts": ["a"], "scores": [0.5], "boxes": [[(20, 20), (40, 20), (40, 40), (20, 40)]]}
        return SimpleNamespace(**(whole if len(shapes) == 1 else {"txts": [again[0]], "scores": [again[1]]}))

    reader = reader_of(look)
    monkeypatch.setattr(reading, "_reader", lambda: reader)
    (seen,) = reading._seen(PICTURE, 1)
    assert (seen.text, seen.sure) == read
    assert shapes == [(100, 300, 3), (28, 28, 3)]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["tap", "to play"], "tap to play"),
        (["登录就送", "礼包"], "登录就送礼包"),
        (["登录就送K", "歌礼包"], "登录就送K歌礼包"),
        (["立即体验", "MOBA"], "立即体验MOBA"),
    ],
)
def test_no_space_beside_chinese_where_lines_are_joined(lines, text):
    assert join_lines(lines) == text


def test_what_the_second_look_adds_must_be_sure(looks):
    looks([line("ab", 0.8)], [line("ab", 0.8), line("new", 0.95, top=50), line("dim", 0.7, top=75)])
    assert texts() == ["ab", "new"]


def test_the_surest_reading_of_a_line_that_stays_over_frames():
    frames = [
        [line("限时五折抢购", 0.8)],
        [line("限时五拆抢购", 0.7), line("马上下载", 0.9, top=40)],
        [line("限时五折抢购", 0.9)],
    ]
    assert [(one.text, one.sure) for one in lines_of_frames(frames)] == [("限时五折抢购", 0.9), ("马上下载", 0.9)]


def test_other_words_in_the_same_place_are_another_line():
    assert len(lines_of_frames([[line("first word", 0.9)], [line("last words", 0.9)]])) == 2


def test_boxes_of_the_enlarged_picture_are_those_of_the_picture(monkeypatch):
    pytest.importorskip("cv2")
    found = type("Found", (), {"txts": ["a b"], "scores": [0.9], "boxes": [[(0, 0), (40, 0), (40, 20), (0, 20)]]})
    shapes = []
    monkeypatch.setattr(reading, "_reader", lambda: reader_of(lambda pixels: shapes.append(pixels.shape) or found))
    (seen,) = reading._seen(PICTURE, 2)
    assert shapes == [(200, 600, 3)]
    assert seen.box[2] == (20.0, 10.0)


def test_a_picture_is_read_again_in_one_script_where_two_are_mixed(monkeypatch):
    pytest.importorskip("cv2")
    reader = reader_of(None)
    first = {"txts": ["语", "立減"], "scores": [0.99, 0.6], "boxes": [[(0, 0), (40, 0), (40, 20), (0, 20)]] * 2}
    again = first | {"txts": ["语", "立减"], "scores": [0.99, 0.95]}
    scripts = []

    def read(pixels):
        scripts.append(reader.text_rec.postprocess_op.script)
        return SimpleNamespace(**(first if scripts[-1] is None else again))

    type(reader).__call__ = lambda self, pixels, use_det: read(pixels)
    monkeypatch.setattr(reading, "_reader", lambda: reader)
    assert [one.text for one in reading._seen(PICTURE, 1)] == ["语", "立减"]
    assert scripts == [None, Script.SIMPLIFIED]


def test_a_line_with_one_character_that_may_be_doubtful_does_not_decide_the_script(monkeypatch):
    """Five sure characters hide one that is .54 sure."""
    pytest.importorskip("cv2")
    reader = reader_of(None)
    scripts = []

    def read(pixels):
        scripts.append(reader.text_rec.postprocess_op.script)
        found = ("美食新人立減", 0.924) if scripts[-1] is None else ("美食新人立减", 1.0)
        box = [(0, 0), (40, 0), (40, 20), (0, 20)]
        return SimpleNamespace(txts=[found[0]], scores=[found[1]], boxes=[box])

    type(reader).__call__ = lambda self, pixels, use_det: read(pixels)
    monkeypatch.setattr(reading, "_reader", lambda: reader)
    assert [one.text for one in reading._seen(PICTURE, 1)] == ["美食新人立减"]
    assert scripts == [None, Script.SIMPLIFIED]


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
    ],
)
def test_chinese_is_written_in_one_script(sure, doubtful, script):
    assert broken_script(sure, doubtful) is script


class BestOf:
    """Decodes to the likeliest character of every step."""

    character = ("blank", "a", "ä", "减", "減")

    def __call__(self, probability_LSV):
        return [("".join(self.character[best] for best in line.argmax(1)), line.max(1)) for line in probability_LSV]


def test_what_a_character_that_is_left_out_had_goes_to_the_others():
    decoder = LimitedDecoder(BestOf())
    probability = np.array([[[0, 0.1, 0.9, 0, 0], [0, 0, 0, 0.4, 0.6]]], np.float32)
    assert decoder(probability)[0][0] == "a減"
    decoder.script = Script.SIMPLIFIED
    text, sure = decoder(probability)[0]
    assert text == "a减"
    assert sure.tolist() == [1.0, 1.0]
    plain = np.array([[[0, 0.7, 0.3, 0, 0]]], np.float32)
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


def test_the_reader_knows_what_it_may_leave_out():
    """The model itself, on words drawn with Pillow's own font."""
    pytest.importorskip("rapidocr")
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (320, 120), "white")
    ImageDraw.Draw(picture).text((20, 30), "Try transfer now", "black", ImageFont.load_default(36))
    assert [one.text for one in read_lines(np.asarray(picture))] == ["Try transfer now"]
    decoder = reading._reader().text_rec.postprocess_op
    names = np.array(decoder._decoder.character, object)
    assert {"ä", "à", "É"} <= set(names[decoder._accented])
    assert {"減", "凈", "優"} <= set(names[decoder._of[Script.TRADITIONAL]])
    assert {"减", "净", "级"} <= set(names[decoder._of[Script.SIMPLIFIED]])
