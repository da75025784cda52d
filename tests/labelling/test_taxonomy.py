"""Taxonomies: those that come along, users' own, and what is refused."""

from pathlib import Path

import pytest

from plait.content.taxonomy import Label, load_taxonomy, make_taxonomy
from plait.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("iab-ad-product-2.0", ("Business and Industrial", "Business Services", "Consulting")),
        ("app-market", ("Games", "Action & shooting", "MOBA")),
        ("fashion", ("Footwear", "Shoes", "Heels")),
    ],
)
def test_packaged_taxonomies_hold_their_labels(name: str, path: tuple[str, ...]) -> None:
    assert path in load_taxonomy(name).place


def test_iab_has_all_nodes_without_children_and_no_others() -> None:
    taxonomy = load_taxonomy("iab-ad-product-2.0")
    assert ("Alcohol", "Beer") in taxonomy.place
    assert ("Alcohol",) not in taxonomy.place


def test_app_market_speaks_chinese() -> None:
    taxonomy = load_taxonomy("app-market")
    leaf = taxonomy.leaves[taxonomy.place["Games", "Action & shooting", "MOBA"]]
    assert leaf.names("zh") == ("游戏", "动作射击", "MOBA")
    assert all(len(one.zh) == len(one.path) for one in taxonomy.leaves)
    assert taxonomy.names_below(("Games",), "zh")[0] == "动作射击"


def test_children_and_nodes_follow_the_file() -> None:
    taxonomy = make_taxonomy("t", [Label(("a", "x")), Label(("b",)), Label(("a", "y"))])
    assert taxonomy.children(()) == ("a", "b")
    assert taxonomy.children(("a",)) == ("x", "y")
    assert taxonomy.children(("b",)) == ()
    assert taxonomy.node_of_leaf(1) == [0, 1, 0]


def test_users_files(tmp_path: Path) -> None:
    table, toml = tmp_path / "mine.csv", tmp_path / "mine.toml"
    table.write_text("l1,l2,words\nFood,Tea,brew|leaf\n", encoding="utf-8")
    toml.write_text('[[label]]\npath = ["Food", "Tea"]\nwords = ["brew", "leaf"]\n', encoding="utf-8")
    expected = (Label(("Food", "Tea"), words=("brew", "leaf")),)
    assert load_taxonomy(table).leaves == load_taxonomy(toml).leaves == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("l1\n", "header"),
        ("l1,l2\nA,B\nA,B\n", "twice"),
        ("l1,colour\nA,red\n", "colour"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        load_taxonomy(path)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="app-market, fashion, iab"):
        load_taxonomy("nothing")
