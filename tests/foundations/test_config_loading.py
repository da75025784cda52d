"""TOML to settings: what is refused, and how helpfully."""

from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import Field

from plait.config import Settings, load_recipe, load_settings, merge, nearest, parse_settings, read_toml
from plait.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Wheel(Settings):
    spokes: int = 32
    name: str = ""


class Bike(Settings):
    name: str
    gears: int = Field(1, ge=1)
    front: Wheel | None = None
    wheels: list[Wheel] = []
    spares: dict[str, Wheel] = {}
    parts: dict[Colour, Wheel] = {}


def refusal(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_settings(Bike, values, "bike.toml")
    return str(caught.value)


def test_defaults_fill_what_is_not_said():
    assert parse_settings(Bike, {"name": "a"}, "bike.toml") == Bike(name="a", gears=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "geras": 3}, "bike.toml: unknown key 'geras'; did you mean 'gears'?"),
        ({"name": "a", "front": {"spoke": 3}}, "bike.toml: unknown key 'front.spoke'; did you mean 'spokes'?"),
        ({"name": "a", "wheels": [{}, {"spoke": 3}]}, "unknown key 'wheels.2.spoke'; did you mean 'spokes'?"),
        ({"name": "a", "spares": {"x": {"spoke": 3}}}, "unknown key 'spares.x.spoke'; did you mean 'spokes'?"),
        ({"name": "a", "parts": {"red": {"nmae": ""}}}, "unknown key 'parts.red.nmae'; did you mean 'name'?"),
        ({"name": "a", "parts": {"gren": {}}}, "unknown key 'parts.gren'; did you mean 'green'?"),
        ({"name": "a", "parts": {"蓝色": {}}}, "unknown key 'parts.蓝色'; known here: green, red"),
        ({"gears": 2}, "bike.toml: key 'name' is missing"),
        ({"name": "a", "gears": "many"}, "bike.toml: key 'gears': Input should be a valid integer"),
        ({"name": "a", "gears": 0}, "greater than or equal to 1 (found 0)"),
    ],
)
def test_a_refusal_names_file_key_and_what_was_expected(values, message):
    assert message in refusal(values)


def test_every_problem_is_listed():
    lines = refusal({"geras": 3, "gears": "x"}).splitlines()
    assert len(lines) == 3  # name is missing, gears is no number, geras is unknown
    assert all(line.startswith("bike.toml: ") for line in lines)


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        Bike(name="a").gears = 3


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "bike.toml"
    path.write_text('name = "自行车"\n[[wheels]]\nspokes = 16\n', encoding="utf-8")
    assert load_settings(Bike, path) == Bike(name="自行车", wheels=[Wheel(spokes=16)])


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path):
    path = tmp_path / "bike.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "a"\n')
    assert read_toml(path) == {"name": "a"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name = ", "not valid TOML"), ("name = '自行车'".encode("gbk"), "not valid TOML"), (None, "no such file")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content, message):
    path = tmp_path / "bike.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path)


def test_nearest_word():
    assert nearest("clik", ["click", "install"]) == "; did you mean 'click'?"
    assert nearest("xyz", ["b", "a"]) == "; known here: a, b"
    assert nearest("xyz", []) == ""


def test_merge_lays_tables_over_each_other():
    base = {"a": 1, "model": {"width": 8, "layers": {"n": 2, "kind": "mlp"}}, "list": [1, 2]}
    over = {"model": {"width": 16, "layers": {"n": 3}}, "list": [9], "b": 2}
    merged = merge(base, over)
    assert merged == {
        "a": 1,
        "b": 2,
        "model": {"width": 16, "layers": {"n": 3, "kind": "mlp"}},
        "list": [9],
    }
    assert base["model"] == {"width": 8, "layers": {"n": 2, "kind": "mlp"}}


def test_a_value_replaces_a_table_and_a_table_a_value():
    assert merge({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merge({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_a_recipe_stands_on_its_base(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "root.toml").write_text("[model]\nwidth = 8\ndepth = 1\n[training]\nseed = 1\n")
    (tmp_path / "middle.toml").write_text('base = "root.toml"\n[model]\nwidth = 16\n')
    (tmp_path / "sub" / "top.toml").write_text('base = "../middle.toml"\n[training]\nseed = 2\n')
    assert load_recipe(tmp_path / "sub" / "top.toml") == {
        "model": {"width": 16, "depth": 1},
        "training": {"seed": 2},
    }


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ('base = "second.toml"', 'base = "first.toml"', "leads back to itself"),
        ('base = "first.toml"', "", "leads back to itself"),
        ('base = "third.toml"', "", "third.toml: no such file"),
        ("base = 3", "", "'base' is 3, expected the path of another recipe as text"),
    ],
)
def test_a_base_that_leads_nowhere(tmp_path: Path, first, second, message):
    (tmp_path / "first.toml").write_text(first)
    (tmp_path / "second.toml").write_text(second)
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path / "first.toml")
