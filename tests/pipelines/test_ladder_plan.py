"""Which models the ladder trains, and what is held against what."""

import pytest

from plait.errors import ConfigError
from plait.pipelines.ladder import Rung, Variant, plan, rungs_named

RUNGS = (
    Rung("popularity", "popularity", ""),
    Rung("dnn", "dnn", ""),
    Rung("looks", "dnn", "", ("looks",)),
    Rung("taste", "dnn", "", ("taste",)),
    Rung("hstu", "hstu", ""),
)


def test_rungs_above_a_group_read_it_too():
    assert [step.model for step in plan(RUNGS)] == [
        Variant("popularity"),
        Variant("dnn"),
        Variant("dnn", ("looks",)),
        Variant("dnn", ("looks", "taste")),
        Variant("hstu", ("looks", "taste")),
    ]


def test_alone_is_the_ingredient_by_itself_on_its_base():
    found = [(step.alone, step.base) for step in plan(RUNGS)]
    assert found == [
        (Variant("popularity"), None),
        (Variant("dnn"), Variant("popularity")),
        (Variant("dnn", ("looks",)), Variant("dnn")),
        (Variant("dnn", ("taste",)), Variant("dnn")),
        (Variant("hstu"), Variant("popularity")),
    ]


def test_a_backbone_trained_another_way_is_held_against_the_backbone():
    rungs = (Rung("lr", "lr", ""), Rung("dnn", "dnn", ""), Rung("ctrl", "ctrl-dnn", "", backbone="dnn"))
    last = plan(rungs)[-1]
    assert (last.below, last.base, last.alone) == (Variant("dnn"), Variant("dnn"), Variant("ctrl-dnn"))


def test_cumulative_is_against_the_rung_below():
    steps = plan(RUNGS)
    assert [step.below for step in steps] == [None, *(step.model for step in steps[:-1])]


def test_rungs_are_chosen_by_name_in_the_ladders_order():
    assert [rung.name for rung in rungs_named(["dnn", "popularity"])] == ["popularity", "dnn"]
    with pytest.raises(ConfigError, match="no rung 'dn'; did you mean 'dnn'"):
        rungs_named(["dn"])
