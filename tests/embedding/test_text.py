"""Texts as the templates say, within budgets; written out by hand."""

import numpy as np
import pytest

from plait.config import EmbeddingSettings
from plait.embedding.catalogue import Catalogue, understood
from plait.embedding.events import TextEvents
from plait.embedding.templates import (
    ActionList,
    CreativeWords,
    ItemWords,
    NamedApp,
    TextTemplates,
    UserWords,
)
from plait.embedding.user_text import UserTexts
from plait.errors import ConfigError
from plait.schema import CreativeProfile
from plait.schema.creative_words import Color

DAY = 86_400_000
APPS = [
    ItemWords("和平精英", ("动作射击", "吃鸡游戏")),
    ItemWords("王者荣耀", ("动作射击", "MOBA"), "五人对战。"),
    ItemWords("日历"),
]
CATALOGUE = Catalogue(APPS, {10: 0, 11: 1, 12: 2})
# Of one user: downloads 0 (day 0), 0 (1), 1 (2), 2 (3); a click on 1 (day 4).
EVENTS = TextEvents(
    users=[7],
    offsets_U1=np.array([0, 5]),
    action_N=np.array([1, 1, 1, 1, 0], np.int32),
    item_N=np.array([0, 0, 1, 2, 1], np.int32),
    time_N=np.arange(5) * DAY,
    available_N=np.arange(5) * DAY,
)
ZH, EN = TextTemplates("zh"), TextTemplates("en")


def texts(profiles=None, **settings):
    return UserTexts(EmbeddingSettings(**settings), ZH, CATALOGUE, profiles or {}, ["点击", "下载"])


def test_user_in_chinese():
    made = texts({7: {"年龄": "44"}}).at(EVENTS, 0, 5, 5 * DAY)
    assert made == (
        "用户资料：年龄：44。该用户最近的点击序列为王者荣耀，下载序列为日历、王者荣耀、和平精英×2，"
        "其中王者荣耀的分类为动作射击-MOBA；和平精英的分类为动作射击-吃鸡游戏。"
    )


def test_user_in_english():
    words = UserWords(
        {"age": "44"},
        [ActionList("clicks", [NamedApp("Calendar", 1)]), ActionList("downloads", [NamedApp("Run", 3)])],
        [ItemWords("Run", ("Games", "Arcade"))],
    )
    assert EN.user(words) == (
        "User: age 44. Recent clicks: Calendar; recent downloads: Run x3. Categories: Run is Games - Arcade."
    )


def test_only_what_is_known():
    assert (
        texts().at(EVENTS, 0, 1, 5 * DAY) == "该用户最近的下载序列为和平精英，其中和平精英的分类为动作射击-吃鸡游戏。"
    )
    assert texts().at(EVENTS, 0, 0, 5 * DAY) == ""


def test_recency():
    assert "日历" in texts(recency="2d").at(EVENTS, 0, 5, 5 * DAY)
    assert "和平精英" not in texts(recency="2d").at(EVENTS, 0, 5, 5 * DAY)


def test_budget_of_items():
    made = texts(items=1).at(EVENTS, 0, 5, 5 * DAY)
    assert made == "该用户最近的点击序列为王者荣耀，下载序列为日历，其中王者荣耀的分类为动作射击-MOBA。"


def test_budget_of_characters_drops_the_oldest_first():
    whole = texts().at(EVENTS, 0, 5, 5 * DAY)
    shorter = texts(max_characters=len(whole) - 1).at(EVENTS, 0, 5, 5 * DAY)
    assert shorter == "该用户最近的点击序列为王者荣耀，下载序列为日历、王者荣耀，其中王者荣耀的分类为动作射击-MOBA。"
    assert texts(max_characters=40).at(EVENTS, 0, 5, 5 * DAY) == texts(items=1).at(EVENTS, 0, 5, 5 * DAY)[:40]


def test_items_and_creatives():
    assert ZH.item(APPS[1]) == "王者荣耀，分类为动作射击-MOBA。五人对战。"
    assert EN.item(ItemWords("Run", ("Games",), "Fast.")) == "Run, category Games. Fast."
    assert EN.item(ItemWords("Run")) == "Run."
    creative = CreativeWords(ItemWords("Run", ("Games",)), "Play now", {"tone": "warm", "person": "none"})
    assert EN.creative(creative) == "Advertisement for Run, category Games. Text: Play now. tone: warm; person: none."
    profile = CreativeProfile(
        creative_id=1, label=("Games", "Puzzle"), person=False, color=Color.RED, text_key_words=("win", "play")
    )
    in_english = {"about": "Games - Puzzle", "person": "no", "key words": "win, play", "colour": "red"}
    assert understood(profile, "en") == in_english
    assert list(understood(profile, "zh").items())[1:] == [("人物", "无"), ("关键词", "win、play"), ("主色", "红色")]
    assert EN.creative(CreativeWords(ItemWords("Run"), "", in_english)) == (
        "Advertisement for Run. about: Games - Puzzle; person: no; key words: win, play; colour: red."
    )
    assert ZH.creative(CreativeWords(APPS[2], "每天", {"色温": "暖"})) == "日历的广告素材。文案：每天。色温：暖。"


def test_values_are_data():
    """A name that looks like a template is inserted as it stands."""
    assert EN.item(ItemWords("{{ 7 * 7 }}{% raw %}", (), "<b>&")) == "{{ 7 * 7 }}{% raw %}. <b>&"


def test_own_template_in_a_sandbox(tmp_path):
    (tmp_path / "item.txt").write_text("App: {{ item.name }}", encoding="utf-8")
    own = TextTemplates("en", tmp_path)
    assert own.item(ItemWords("Run")) == "App: Run"
    assert own.creative(CreativeWords(ItemWords("Run"))) == "Advertisement for Run."
    assert own.fingerprint != EN.fingerprint
    (tmp_path / "item.txt").write_text("{{ item.__class__.__mro__ }}", encoding="utf-8")
    with pytest.raises(ConfigError, match="unsafe"):
        TextTemplates("en", tmp_path).item(ItemWords("Run"))


@pytest.mark.parametrize("wrong", ["{{ item.price }}", "{% if %}"])
def test_wrong_templates(tmp_path, wrong):
    (tmp_path / "item.txt").write_text(wrong, encoding="utf-8")
    with pytest.raises(ConfigError, match="template"):
        TextTemplates("en", tmp_path).item(ItemWords("Run"))
