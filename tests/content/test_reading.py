"""Which of two readings of a picture counts, and lines that stay over frames; the reader itself is replaced."""

from types import SimpleNamespace

import numpy as np
import pytest

from plait.content.vision import reading
from plait.content.vision.ink import between_ink, lies_on_a_picture, passed_over
from plait.content.vision.reading import Line, join_lines, lines_of_frames, read_lines
from plait.content.vision.script import Script

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
    nothing = SimpleNamespace(txts=None, scores=None)
    monkeypatch.setattr(reading, "_reader", lambda: reader_of(lambda pixels: nothing))

    def see(first: list[Line], second: list[Line]) -> list[int]:
        monkeypatch.setattr(
            reading, "_seen", lambda pixels, times: calls.append(times) or (first if times == 1 else second)
        )
        return calls

    return see


def texts() -> list[str]:
    return [one.text for one in read_lines(PICTURE)]


def test_a_sure_reading_is_not_repeated(looks):
    calls = looks([line("more fun", 0.99)], [line("mare fun", 1.0)])
    assert texts() == ["more fun"]
    assert calls == [1]


def test_a_line_is_looked_at_twice_where_one_of_its_characters_may_be_doubtful(looks):
    """Two sure characters and one that is .88 sure."""
    looks([line("二元购", 0.96)], [line("一元购", 1.0)])
    assert texts() == ["一元购"]
    looks([line("二元购", 0.96)], [line("一元购", 0.97)])
    assert texts() == ["二元购"], "hardly surer"


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


PICTURED = drawn(((10, 4, 14, 16), (255, 230, 0)), ((200, 0, 300, 60), (20, 30, 90)))
"""A stroke of a line, and a picture."""


@pytest.mark.parametrize(
    ("first", "second", "read"),
    [
        (("品", 0.946), None, []),
        (("品", 0.7), ("品", 0.6), []),  # a character alone that no look is sure of
        (("品", 0.95), ("口", 0.97), []),
        (("品", 0.95), ("品", 0.6), []),
        (("品", 0.95), ("品", 0.91), ["品"]),
        (("ap", 0.79), None, []),
        (("ap", 0.79), ("ap", 0.7), ["ap"]),
        (("ap", 0.96), None, ["ap"]),
        (("a", 0.99), ("a", 0.99), []),
    ],
)
def test_on_a_picture_both_looks_must_read_the_same(looks, first, second, read):
    pytest.importorskip("cv2")
    seen = [[line("首单", 1.0), *([line(*one, left=200, top=5)] if one else [])] for one in (first, second)]
    calls = looks(*seen)
    assert [one.text for one in read_lines(PICTURED)] == ["首单", *read]
    assert calls == [1, 2]


def test_what_the_second_look_alone_sees_on_a_picture_must_be_more_than_a_character(looks):
    for text, read in (("品", ["首单"]), ("品牌", ["首单", "品牌"])):
        looks([line("首单", 0.9)], [line("首单", 0.9), line(text, 0.96, left=200, top=5)])
        assert [one.text for one in read_lines(PICTURED)] == read


@pytest.mark.parametrize(
    ("height", "again", "read"),
    [
        (28, 0.5, ["首单", "品"]),
        (32, 0.5, ["首单"]),
        (32, 0.95, ["首单", "品"]),
    ],
)
def test_a_character_alone_that_is_higher_than_all_lines_must_be_sure_in_both_looks(looks, height, again, read):
    pytest.importorskip("cv2")
    corners = ((0, 40), (40, 40), (40, 40 + height), (0, 40 + height))
    seen = [[line("首单", 1.0), Line("品", sure, corners)] for sure in (0.99, again)]
    calls = looks(*seen)
    assert texts() == read
    assert calls == ([1] if height == 28 else [1, 2])


@pytest.mark.parametrize(
    ("top", "again", "read"),
    [
        (11, ("圈一元", 0.99), ["首单", "圈一元"]),
        (13, ("圈一元", 0.99), ["首单", "一元"]),
        (11, ("几一元", 0.8), ["首单", "一元"]),
    ],
)
def test_lines_that_reach_far_into_each_other_give_way_to_sure_ones(looks, top, again, read):
    looks([line("首单", 1.0), line("一元", 0.99, top=top)], [line("首单", 1.0), line(*again, top=20)])
    assert texts() == read


def test_what_lies_on_a_picture():
    pytest.importorskip("cv2")
    ground, box = np.array([40.0, 165, 70]), line("", 1, top=20, left=20).box
    strokes = drawn(*(((left, 20, left + 3, 40), (0, 0, 0)) for left in range(20, 120, 6)))
    assert not lies_on_a_picture(strokes, ground, box), "half of it is ink, but in strokes"
    for width, on_picture in ((25, False), (35, True)):
        assert lies_on_a_picture(drawn(((20, 0, 20 + width, 80), (0, 0, 0))), ground, box) is on_picture
    assert not lies_on_a_picture(strokes, ground, line("", 1, top=200).box), "outside"


def test_the_columns_between_a_lines_first_and_last_letter():
    pytest.importorskip("cv2")
    inside, above = ((30, 20, 70, 80), (0, 0, 0)), ((5, 0, 200, 20), (0, 0, 0))
    assert between_ink(drawn(inside, above)).shape == (100, 40 + 2 * 6, 3)
    assert between_ink(drawn(((0, 20, 70, 80), (0, 0, 0)))).shape == (100, 70 + 6, 3)
    assert between_ink(drawn(above)).shape == (100, 300, 3), "nothing in its middle"


INK = (255, 230, 0)
ROWS = (((10, 4, 14, 16), INK), ((20, 4, 24, 16), INK))
"""Two letters of a line that is found."""


@pytest.mark.parametrize(
    ("missed", "rows"),
    [
        ([], []),
        ([((10, 40, 14, 52), INK), ((60, 40, 64, 52), INK)], [(8, 38, 66, 54)]),
        ([((10, 45, 24, 47), INK)], [(8, 38, 26, 54)]),  # one thin stroke: as high as a letter
        ([((10, 40, 14, 52), INK), ((10, 60, 14, 72), INK)], [(8, 38, 16, 54), (8, 58, 16, 74)]),
        ([((10, 40, 14, 95), INK)], []),  # higher than letters
        ([((20, 10, 24, 40), INK), ((60, 4, 64, 16), INK)], [(8, 2, 66, 42)]),  # in the row of a line: all of that row
        ([((150, 30, 190, 66), INK)], []),  # no higher than letters, but a picture
        ([((10, 40, 14, 52), INK), ((150, 30, 190, 66), INK)], [(8, 38, 16, 54)]),  # a picture beside a letter
        ([((10, 40, 16, 72), INK)], [(8, 38, 18, 74)]),  # a fat letter, twice as high as the others
    ],
)
def test_rows_of_letters_that_were_passed_over(missed, rows):
    pytest.importorskip("cv2")
    lines = [line("首单", 1, width=width).box for width in (30, 32)]
    found = passed_over(drawn(*ROWS, *missed), lines)
    assert [(*row[0], *row[2]) for row in found] == rows


SHORT, LONG = (10,), (10, 60)
"""Where bars of a row stand."""


@pytest.mark.parametrize(
    ("bars", "alone", "beside", "kept"),
    [
        (LONG, ("图鉴", 0.99), None, ["首单", "图鉴"]),
        (LONG, ("图鉴", 0.9), None, ["首单"]),  # not sure
        (LONG, ("8", 1.0), None, ["首单"]),
        (SHORT, ("二", 0.9), ("首单一", 0.99), ["首单", "一"]),
        (SHORT, ("一", 0.99), ("首单二", 0.95), ["首单", "一"]),
        (SHORT, ("一", 0.99), ("首单", 0.99), ["首单"]),  # beside the line there is nothing
        (SHORT, ("一", 0.99), ("育单二", 1.0), ["首单", "一"]),  # the line is misread
    ],
)
def test_rows_that_both_looks_pass_over_are_read_as_they_stand(looks, monkeypatch, bars, alone, beside, kept):
    pytest.importorskip("cv2")
    looks([line("首单", 1.0, width=60)], [line("首单", 1.0, width=60)])
    shapes = []

    def read(pixels):
        shapes.append(pixels.shape)
        text, sure = alone if pixels.shape[0] == 16 else beside
        return SimpleNamespace(txts=[text], scores=[sure])

    monkeypatch.setattr(reading, "_reader", lambda: reader_of(read))
    picture = drawn(*ROWS, *(((left, 40, left + 2, 52), INK) for left in bars))
    assert [one.text for one in read_lines(picture)] == kept
    read_at_first = [(16, 56, 3)] if bars == LONG else [(16, 6, 3), (20, 16 + 8, 3)]  # the latter from ink to ink
    assert shapes[: len(read_at_first)] == read_at_first


def test_a_block_in_the_colour_of_the_letters_is_no_row_of_them(looks, monkeypatch):
    pytest.importorskip("cv2")
    looks([line("首单", 1.0, width=60)], [line("首单", 1.0, width=60)])
    found = SimpleNamespace(txts=["品牌"], scores=[1.0])
    monkeypatch.setattr(reading, "_reader", lambda: reader_of(lambda pixels: found))
    assert [one.text for one in read_lines(drawn(*ROWS, ((10, 40, 90, 75), INK)))] == ["首单"]


@pytest.mark.parametrize(
    ("known", "beside", "sure", "read"),
    [
        (1.0, "首单一", 0.99, ["首单", "一"]),
        (1.0, "首单二", 0.99, ["首单", "二"]),
        (1.0, "首单一", 0.95, ["首单", "一?"]),  # .15 of doubt more than the line has: .85 sure, no surer
        (0.96, "首单一", 0.95, ["首单", "一"]),  # .07 more
        (1.0, "育单一", 0.99, ["首单", "一?"]),  # the line is misread
        (1.0, "首单一元", 0.99, ["首单", "一?"]),
        (1.0, "首单", 0.99, ["首单", "一?"]),
    ],
)
def test_a_doubtful_character_alone_is_read_beside_the_line_next_to_it(looks, monkeypatch, known, beside, sure, read):
    """A question mark stands for the second look, which is needed where it stays in doubt."""
    pytest.importorskip("cv2")
    far = line("立即体验", 1.0, top=75)
    first = [line("首单", known, width=60), line("一", 0.82, top=30, width=20), far]
    calls = looks(first, [first[0], line("一?", 0.99, top=30, width=20), far])
    shapes = []
    found = SimpleNamespace(txts=[beside], scores=[sure])
    monkeypatch.setattr(reading, "_reader", lambda: reader_of(lambda pixels: shapes.append(pixels.shape) or found))
    assert texts() == [*read, "立即体验"]
    assert calls == ([1] if "?" not in read[1] else [1, 2])
    assert shapes == [(20, 80, 3)]


def test_a_row_that_replaces_a_line_across_two_rows_leaves_the_other_to_be_read(looks, monkeypatch):
    pytest.importorskip("cv2")
    across = Line("本购", 1.0, ((0, 36), (70, 36), (70, 90), (0, 90)))
    seen = [line("首单", 1.0, width=60), across]
    looks(seen, seen)
    answers = iter(["本一元", "立即"])
    read = lambda pixels: SimpleNamespace(txts=[next(answers)], scores=[1.0])  # noqa: E731
    monkeypatch.setattr(reading, "_reader", lambda: reader_of(read))
    letters = ((10, 40), (90, 40), (10, 70), (40, 70))
    picture = drawn(*ROWS, *(((left, top, left + 2, top + 12), INK) for left, top in letters))
    assert [one.text for one in read_lines(picture)] == ["首单", "本一元", "立即"]


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


def test_rows_that_the_detector_melts_into_one_are_read():
    """The model itself: of three rows of large letters it finds the first at its own size and at twice the size."""
    pytest.importorskip("rapidocr")
    pytest.importorskip("mplfonts")
    from PIL import Image, ImageDraw, ImageFont

    from plait.simulation.photographs import package_file

    font = ImageFont.truetype(str(package_file("mplfonts/fonts/NotoSansCJKsc-Regular.otf")), 40)
    picture = Image.new("RGB", (320, 240), (29, 119, 50))
    for number, row in enumerate(("首单图", "鉴一元", "购")):
        ImageDraw.Draw(picture).text((12, 12 + 52 * number), row, "white", font)
    assert [one.text for one in read_lines(np.asarray(picture))] == ["首单图", "鉴一元", "购"]
    assert len(reading._seen(np.asarray(picture), 1)) < 3, "nothing was melted"


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
