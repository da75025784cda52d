"""`plait init`: what is recognised in folders of tables, and why."""

import datetime

import polars as pl
import pytest

from plait.config import load_workspace
from plait.data.inspection import inspect_folder
from plait.data.inspection.meanings import guess_meaning, time_unit
from plait.errors import ConfigError, DataError
from plait.pipelines.initialise import initialise
from plait.testing.raw_tables import scan_table

NOW_S = 1_700_000_000


def english(folder):
    rows = 200
    pl.DataFrame({"uid": range(50), "age": [20 + n % 60 for n in range(50)], "city": ["A", "B"] * 25}).write_csv(
        folder / "users.csv"
    )
    pl.DataFrame(
        {
            "id": range(30),
            "title": [f"Item {n}" for n in range(30)],
            "category": ["x", "y", "z"] * 10,
            "price": [0.5 * n for n in range(30)],
        }
    ).write_parquet(folder / "items.parquet")
    for day in ("2024-01-01", "2024-01-02"):
        pl.DataFrame(
            {
                "impression_id": [f"{day}-{n}" for n in range(rows)],
                "ts": [NOW_S + n for n in range(rows)],
                "uid": [n % 50 for n in range(rows)],
                "iid": [n % 30 for n in range(rows)],
                "slot": ["home", "search_result", "splash_ads", "game_center"] * (rows // 4),
                "pos": [n % 5 for n in range(rows)],
                "network": ["wifi", "5g"] * (rows // 2),
                "is_click": [0, 1] * (rows // 2),
            }
        ).write_parquet(folder / f"impressions_{day}.parquet")
    clicks = pl.DataFrame(
        {
            "uid": [n % 50 for n in range(100)],
            "iid": range(100),
            "ts": NOW_S,
            "event_type": "click",
            "impression_id": "a",
        }
    )
    downloads = clicks.head(40).with_columns(event_type=pl.lit("download"))
    pays = clicks.head(40).with_columns(event_type=pl.lit("pay"), iid=pl.col("iid") + 1000)
    rare = clicks.head(3).with_columns(event_type=pl.lit("dislike"))
    (folder / "events").mkdir()
    pl.concat([clicks, downloads]).write_parquet(folder / "events" / "a.parquet")
    pl.concat([pays, rare]).write_parquet(folder / "events" / "b.parquet")
    (folder / "notes.txt").write_text("not a table")


def test_english_tables_and_columns(tmp_path):
    english(tmp_path)
    workspace = inspect_folder(tmp_path, "shop").workspace

    assert {str(name): table.path for name, table in workspace.tables.items()} == {
        "users": "users.csv",
        "items": "items.parquet",
        "exposures": "impressions_[0-9]*.parquet",
        "behaviours": "events/*.parquet",
    }
    assert workspace.tables["users"].rename == {"user_id": "uid"}
    assert workspace.tables["items"].rename == {"item_id": "id", "name": "title", "category_1": "category"}
    assert workspace.tables["exposures"].rename == {
        "exposure_id": "impression_id", "time": "ts", "user_id": "uid", "item_id": "iid", "scenario": "slot",
        "position": "pos",
    }  # fmt: skip
    assert workspace.tables["behaviours"].rename["action"] == "event_type"
    assert workspace.time_unit == "s"


def test_meanings_are_proposed_with_reasons(tmp_path):
    english(tmp_path)
    inspection = inspect_folder(tmp_path, "shop")

    # Ages: 50 people, 50 different whole numbers, so codes by the rule of FEW.
    assert inspection.workspace.tables["users"].columns == {"age": "category", "city": "category"}
    assert inspection.workspace.tables["items"].columns == {"price": "number"}
    assert inspection.workspace.tables["exposures"].columns == {"network": "category", "is_click": "ignore"}
    assert inspection.comments["tables.items.columns.price"] == "numbers from 0 to 14.5"
    assert "never be a feature" in inspection.comments["tables.exposures.columns.is_click"]
    assert inspection.missing == ()


def test_scenarios_and_their_kinds(tmp_path):
    english(tmp_path)
    scenarios = inspect_folder(tmp_path, "shop").workspace.scenarios

    assert [(scenario.name, scenario.kind) for scenario in scenarios] == [
        ("game_center", "games"),
        ("home", "recommendation"),
        ("search_result", "search"),
        ("splash_ads", "ads"),
    ]


def test_objectives_follow_the_funnel_and_parents_need_evidence(tmp_path):
    english(tmp_path)
    inspection = inspect_folder(tmp_path, "shop")

    # Every download has its click; no pay has its download; four dislikes and less prove nothing and have no step.
    assert [(goal.name, goal.parent, goal.window // 86_400_000) for goal in inspection.workspace.objectives] == [
        ("click", None, 1),
        ("download", "click", 1),
        ("pay", None, 7),
        ("dislike", None, 1),
    ]
    assert {goal.attribution for goal in inspection.workspace.objectives} == {"exposure_id"}
    assert "100% of its user-item pairs also have 'click'" in inspection.comments["objectives.download"]
    assert "only 0%" in inspection.comments["objectives.pay"]
    assert "negative value" in inspection.comments["objectives.dislike"]


def test_chinese_tables_and_columns(tmp_path):
    pl.DataFrame({"用户ID": ["甲", "乙"], "性别": ["男", "女"], "手机号": ["1", "2"]}).write_csv(tmp_path / "用户.csv")
    pl.DataFrame({"应用ID": [1, 2], "应用名称": ["跑酷", "记账"], "一级分类": ["游戏", "工具"]}).write_csv(
        tmp_path / "应用.csv"
    )
    moment = datetime.datetime(2024, 5, 1)
    shown = {"曝光ID": [1, 2], "用户ID": ["甲", "乙"], "应用ID": [1, 2], "时间": [moment] * 2, "场景": ["搜索", "首页"]}
    pl.DataFrame(shown).write_parquet(tmp_path / "曝光.parquet")
    done = {"用户ID": ["甲", "甲"], "应用ID": [1, 1], "时间": [moment] * 2, "行为": ["下载", "点击"]}
    pl.DataFrame(done).write_parquet(tmp_path / "行为日志.parquet")
    initialise(tmp_path)
    workspace = load_workspace(tmp_path)

    assert workspace.tables["items"].rename == {"item_id": "应用ID", "name": "应用名称", "category_1": "一级分类"}
    assert workspace.tables["users"].columns == {"性别": "category", "手机号": "ignore"}
    assert [(scenario.name, scenario.kind) for scenario in workspace.scenarios] == [
        ("搜索", "search"),
        ("首页", "recommendation"),
    ]
    assert workspace.objective_names() == ["点击", "下载"]
    assert (
        scan_table(tmp_path, workspace, "exposures").select("time").collect().to_series().to_list()
        == [1_714_521_600_000] * 2
    )


def test_the_written_file_reads_the_tables(tmp_path):
    english(tmp_path)
    initialise(tmp_path)
    workspace = load_workspace(tmp_path)
    rows = {
        str(name): scan_table(tmp_path, workspace, name).select(pl.len()).collect().item() for name in workspace.tables
    }

    assert rows == {"users": 50, "items": 30, "exposures": 400, "behaviours": 183}
    text = (tmp_path / "plait.toml").read_text()
    assert "Taken for exposures by its name and columns." in text
    assert "# By the size of the numbers in exposures and behaviours." in text


def test_an_existing_file_is_kept(tmp_path):
    english(tmp_path)
    (tmp_path / "plait.toml").write_text("mine = 1\n")
    with pytest.raises(ConfigError, match="already there; --force"):
        initialise(tmp_path)
    assert (tmp_path / "plait.toml").read_text() == "mine = 1\n"
    initialise(tmp_path, replace=True)
    assert load_workspace(tmp_path).name == tmp_path.name


def test_what_lacks_is_said(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,time,price\na,b,1700000000000,3.5\n")
    inspection = initialise(tmp_path)
    workspace = load_workspace(tmp_path)

    assert inspection.missing == (
        "table users",
        "table items",
        "table behaviours",
        "column exposures.exposure_id",
        "column exposures.scenario",
    )
    assert workspace.time_unit == "ms"
    assert workspace.scenario_names() == ["default"]
    assert "# NOT FOUND. Needs user_id." in (tmp_path / "plait.toml").read_text()


def test_nothing_to_work_with(tmp_path):
    with pytest.raises(DataError, match="no Parquet or CSV file"):
        inspect_folder(tmp_path, "w")
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    with pytest.raises(DataError, match=r"neither exposures nor behaviours found.*weather\.csv \(day, rain\)"):
        inspect_folder(tmp_path, "w")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"broken\.parquet: cannot be read"):
        inspect_folder(tmp_path, "w")


def test_a_table_without_a_telling_name_is_known_by_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("user_id,item_id,ts,event,score\n1,2,1700000000,click,1\n")
    (tmp_path / "b.csv").write_text("exposure_id,user_id,item_id,ts,scene\n1,1,2,1700000000,home\n")
    (tmp_path / "c.csv").write_text("user_id,gender\n1,f\n")
    (tmp_path / "d.csv").write_text("item_id,name\n2,x\n")
    (tmp_path / "e.csv").write_text("ad_id,item_id,bid\n1,2,0.5\n")
    tables = inspect_folder(tmp_path, "w").workspace.tables

    assert {str(name): table.path for name, table in tables.items()} == {
        "users": "c.csv", "items": "d.csv", "creatives": "e.csv", "exposures": "b.csv", "behaviours": "a.csv",
    }  # fmt: skip


def test_a_name_within_a_name_is_no_name(tmp_path):
    (tmp_path / "app_downloads.csv").write_text("uid,app_id,ts,action\n1,2,1700000000,download\n")
    inspection = inspect_folder(tmp_path, "w")

    assert inspection.workspace.tables["behaviours"].path == "app_downloads.csv"


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ([1.5, 2.5], "number"),
        (list(range(100)), "number"),
        ([1, 2, 1], "category"),
        ([True, False], "category"),
        (["a", "b", "a"], "category"),
        ([f"key-{n}" for n in range(100)], "ignore"),
        ([f"a longer sentence about app {n}" for n in range(100)], "text"),
        (["a.jpg", "b.PNG"], "media"),
        ([[1], [2, 3]], "sequence"),
        (["Action|Crime", "Crime", "Action|War", "War|Crime", "Action|Crime|War"], "sequence"),
        (["1, 2", "2, 3", "3, 1", "1, 2, 3"], "sequence"),
        (["棋牌、休闲", "休闲、益智", "益智、棋牌", "棋牌、休闲、益智"], "sequence"),
        (["Health, Beauty", "Tools", "Health, Beauty", "Food"], "category"),
        ([f"The app {n}, which is said to be number {n} of them all" for n in range(100)], "text"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], "time"),
        ([None, None], "ignore"),
        ([7, 7, 7], "ignore"),
        ([{"a": 1}], "ignore"),
    ],
)
def test_meaning_by_values(values, meaning):
    assert guess_meaning("items", pl.Series("column", values))[0] == meaning


@pytest.mark.parametrize(
    ("name", "values", "meaning"),
    [
        ("brand_id", list(range(100)), "category"),
        ("upload_time", [NOW_S + n for n in range(100)], "time"),
        ("email", ["a", "b"], "ignore"),
        ("views", [NOW_S + n for n in range(100)], "number"),
    ],
)
def test_meaning_by_name(name, values, meaning):
    assert guess_meaning("items", pl.Series(name, values))[0] == meaning


@pytest.mark.parametrize(
    ("value", "unit"), [(NOW_S, "s"), (NOW_S * 1_000, "ms"), (NOW_S * 1_000_000, "us"), (1_000, None), (0.5, None)]
)
def test_time_unit_by_size(value, unit):
    assert time_unit(pl.Series([value, value, None])) == unit
