"""Recipes that leave values to the validation window."""

from pathlib import Path

import pytest

from plait.errors import ConfigError
from plait.training import load_recipe_by_name
from plait.training.recipe import parse_recipe

LINEAR = {"model": {"family": "lr"}}


def test_every_combination_is_a_candidate():
    recipe = parse_recipe(LINEAR | {"search": {"training.epochs": [1, 2], "model.unknown_rate": [0.0, 0.5]}}, "mine")
    found = [(one.training.epochs, one.model.unknown_rate) for _, one in recipe.candidates()]
    assert found == [(1, 0.0), (1, 0.5), (2, 0.0), (2, 0.5)]
    assert not any(one.search for _, one in recipe.candidates())


def test_what_cannot_be_tried_is_refused():
    for search, message in (
        ({"training.epohcs": [1]}, "did you mean 'epochs'"),
        ({"training.epochs": [0]}, "epochs"),
        ({"training.epochs": 3}, "expected a list"),
        ({"training": {"epochs": [1]}}, "expected a list of values to try under a quoted key"),
        ({"epochs": [1]}, "expected section.key"),
        ({"search.x": [1]}, "only keys of the other sections"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_recipe(LINEAR | {"search": search}, "mine")


def test_a_value_that_is_said_is_not_searched():
    assert "training.embedding_l2" in load_recipe_by_name("lr", Path()).search
    said = load_recipe_by_name("lr", Path(), {"training": {"embedding_l2": 0.5}})
    assert not said.search
    assert said.training.embedding_l2 == 0.5
