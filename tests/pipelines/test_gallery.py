"""The report's gallery: what was understood of a creative, how sure, and what is true where that differs."""

from types import SimpleNamespace

import polars as pl

from plait.pipelines.gallery import draw_creatives

PROFILES = pl.DataFrame(
    {
        "creative_id": [2, 3],
        "color": ["red", "blue"],
        "person": [True, None],
        "duration": [2.0, 0.0],
        "label_1": ["游戏", None],
        "label_2": ["棋牌", None],
        "label_3": [None, None],
        "confidence": [
            {"color": 0.61, "person": 0.9, "label": 0.7},
            {"color": 0.97, "person": None, "label": 0.2},
        ],
    }
)


def gallery(tmp_path, profiles, **truth):
    creatives = {
        "creative_id": [1, 2, 3, 4],
        "media": ["1.png", "2.mp4", "3.png", None],
        "text": ["", "下棋", None, "x"],
    }
    (tmp_path / "creatives").mkdir()
    pl.DataFrame(creatives).write_parquet(tmp_path / "creatives" / "part.parquet")
    if truth:
        (tmp_path / "truth").mkdir()
        pl.DataFrame(truth).write_parquet(tmp_path / "truth" / "creatives.parquet")
    project = SimpleNamespace(root=tmp_path, workspace=SimpleNamespace(seed=1))
    return {one.path.name: one for one in draw_creatives(project, tmp_path, profiles)}


def test_fields_stand_with_how_sure_they_are(tmp_path):
    shown = gallery(tmp_path, PROFILES)
    assert set(shown) == {"2.mp4", "3.png"}, "only what was looked at"
    assert shown["2.mp4"].caption == "下棋"
    assert shown["2.mp4"].fields == {
        "label": "游戏 > 棋牌 (70 %)",
        "duration": "2.0 s",
        "color": "red (61 %)",
        "person": "yes (90 %)",
    }
    assert shown["3.png"].fields == {"label": "unknown (20 %)", "color": "blue (97 %)"}


def test_truth_stands_where_it_is_something_else(tmp_path):
    shown = gallery(tmp_path, PROFILES, creative_id=[2, 3], color=["pink", "blue"], person=[True, False])
    assert shown["2.mp4"].fields["color"] == "red (61 %; true: pink)"
    assert shown["2.mp4"].fields["person"] == "yes (90 %)"
    assert shown["3.png"].fields == {"label": "unknown (20 %)", "color": "blue (97 %)"}


def test_without_profiles_the_pictures_stand_alone(tmp_path):
    shown = gallery(tmp_path, None)
    assert set(shown) == {"1.png", "2.mp4", "3.png"}
    assert all(one.fields == {} for one in shown.values())
