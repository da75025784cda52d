"""`plait scaling`: the fit against a law that is known, the count of operations by hand, the grid on a small log."""

from pathlib import Path

import numpy as np
import pytest
from next_item_worlds import sequences, write_club
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.console.scales import logarithmic
from plait.console.scaling_page import scaling_page
from plait.errors import ConfigError
from plait.evaluation.power_law import effects, fit_frontier, frontier, power_law
from plait.pipelines.project import open_project
from plait.pipelines.scaling import Cell, ScalingOptions, epoch_flops, measure_scaling
from plait.training import load_recipe_by_name

COMPUTES = np.geomspace(1.0, 1e4, 9)


def test_a_law_without_noise_is_recovered():
    law = power_law([(compute, 8.0 * compute**-0.07) for compute in COMPUTES])
    assert (law.scale, law.exponent, law.r2) == pytest.approx((8.0, 0.07, 1.0))
    assert law.at(100.0) == pytest.approx(8.0 * 100**-0.07)
    with pytest.raises(ValueError, match="found 1 points"):
        power_law([(1.0, 2.0)])


def test_r2_by_hand():
    """Logarithms (0, 0), (1, 1), (2, 0): the line is flat at 1/3 and explains nothing."""
    law = power_law([(1.0, 1.0), (np.e, np.e), (np.e**2, 1.0)])
    assert (law.exponent, law.r2, law.scale) == pytest.approx((0.0, 0.0, np.exp(1 / 3)), abs=1e-12)


def test_the_frontier_holds_what_nothing_cheaper_comes_up_to():
    small, large = [(1.0, 5.0), (2.0, 4.0), (4.0, 3.9)], [(2.0, 6.0), (4.0, 3.0), (8.0, 3.5)]
    assert frontier([small, large]) == [(1.0, 5.0), (2.0, 4.0), (4.0, 3.0)]


def test_the_law_of_noisy_curves_is_found():
    """Models of growing size: each falls towards the law until its own compute and stays there."""
    rng = np.random.default_rng(3)
    curves = []
    for own in np.geomspace(2.0, 1e4, 12):
        computes = own * np.array([0.25, 0.5, 1.0, 2.0])
        losses = 8.0 * np.minimum(computes, own) ** -0.07 * np.exp(rng.normal(0.0, 0.005, 4)) * 1.01
        curves.append(list(zip(computes.tolist(), losses.tolist(), strict=True)))
    found = fit_frontier(curves, bootstrap=300)
    low, high = found.exponent_interval
    assert 0.065 < low < found.law.exponent < high < 0.075
    assert found.law.exponent == pytest.approx(0.07, abs=0.005)
    assert found.law.r2 > 0.99
    assert fit_frontier(curves, bootstrap=0).exponent_interval is None


def test_effects_of_doubling():
    """loss = 3 width^-0.5 share^0.1: doubling the width leaves 2^-0.5 of it, doubling the share 2^0.1."""
    sizes = np.array([[16, 0.25], [64, 0.25], [16, 1.0], [64, 1.0]])
    loss = 3.0 * sizes[:, 0] ** -0.5 * sizes[:, 1] ** 0.1
    np.testing.assert_allclose(effects(sizes, loss), [2**-0.5 - 1, 2**0.1 - 1])


def test_a_logarithmic_axis():
    scale = logarithmic([1.0, 100.0])
    assert scale.ticks == (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    assert scale.place(10.0) == pytest.approx(0.5)
    close = logarithmic([6.1, 6.9])
    assert len(close.ticks) > 1
    assert all(close.low <= tick <= close.high for tick in close.ticks)


@pytest.fixture(scope="module")
def club(tmp_path_factory):
    return write_club(tmp_path_factory.mktemp("club"))


def test_operations_of_an_epoch_by_hand(tmp_path):
    """60 users have 14 events, two of them held out; the last of the others is a target only: 11 inputs, 10 are seen.

    Width 4, one head of 4, one block: 3 * 2 * (4 * 16 + 4 * 4) a token for the projections, 14 * 4 a pair, and
    3 * 2 * 4 for each of 4 scores; 10 tokens and 55 pairs a user.
    """
    found = sequences(tmp_path, [(f"user {user}", f"item {day}", day, 3) for user in range(60) for day in range(14)])
    overrides = Cell(4, 1, 10, 1.0).overrides(ScalingOptions(epochs=1))
    overrides["training"]["next_item"] = {"negatives": 3}
    recipe = load_recipe_by_name("hstu-next", Path(), overrides)
    per_user = 10 * 6 * (4 * 16 + 4 * 4) + 55 * 14 * 4 + 10 * 6 * 4 * 4
    assert epoch_flops(found, recipe) == 60 * per_user
    overrides["training"]["share"] = 0.25
    assert epoch_flops(found, load_recipe_by_name("hstu-next", Path(), overrides)) == 15 * per_user
    with pytest.raises(ConfigError, match="next-item HSTUs with validation items"):
        epoch_flops(found, load_recipe_by_name("sasrec-next", Path()))


def test_the_grid_on_a_small_log(club):
    options = ScalingOptions(
        widths=(4, 8), depths=(1,), lengths=(10,), shares=(0.5, 1.0), epochs=3, batch_size=16, bootstrap=20
    )
    project = open_project(club)
    found = measure_scaling(project, options)
    assert [one.cell.name for one in found.models] == [
        "w4-b1-l10-u0.5",
        "w4-b1-l10-u1",
        "w8-b1-l10-u0.5",
        "w8-b1-l10-u1",
    ]
    assert all(len(one.points) == 3 for one in found.models)
    assert set(found.doubling) == {"width", "data"}
    half, whole = found.models[:2]
    assert 1.5 < whole.epoch_flops / half.epoch_flops < 2.5
    assert whole.curve[2] == (pytest.approx(3 * whole.epoch_flops / 1e9), whole.points[2].logloss)
    page = scaling_page(found)
    assert page.count('class="dot"') == len(found.fit.frontier)
    assert "w8-b1-l10-u1: " in page
    again = measure_scaling(project, options)
    assert again.fit == found.fit


def test_the_command(club):
    flags = ["--width", "4", "--depth", "1", "--length", "10", "--share", "1", "--epochs", "2"]
    done = CliRunner().invoke(register_commands(), ["scaling", "-w", str(club), *flags])
    assert done.exit_code == 0, done.output
    assert "loss = " in done.output
    assert (club / "scaling.html").exists()
