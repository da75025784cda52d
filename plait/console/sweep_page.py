"""The page of `plait embed sweep`: AUC over d with intervals, and the numbers as a table."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.console.plots import WidthPoint, width_plot
from plait.pipelines.embed_sweep import Sweep


def sweep_page(sweep: Sweep) -> str:
    """The page, whole: it needs no other file."""
    without, *wide = sweep.points
    points = [
        WidthPoint(one.width, one.auc.value, one.auc.low or one.auc.value, one.auc.high or one.auc.value)
        for one in wide
    ]
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("embed_sweep.html")
    return page.render(sweep=sweep, plot=width_plot(points, without.auc.value))
