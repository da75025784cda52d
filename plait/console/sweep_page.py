"""The page of `plait embed sweep`: AUC over d with intervals, and the numbers as a table."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from plait.console.plots import WidthPoint, width_plot
from plait.pipelines.embed_sweep import Sweep


def sweep_page(sweep: Sweep) -> str:
    """The page, whole: it needs no other file."""
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("embed_sweep.html").render(sweep=sweep, plot=sweep_plot(sweep))


def sweep_plot(sweep: Sweep) -> Markup:
    """AUC over d, beside that without the feature."""
    without, *wide = sweep.points
    points = [
        WidthPoint(one.width, one.auc.value, one.auc.low or one.auc.value, one.auc.high or one.auc.value)
        for one in wide
    ]
    return width_plot(points, without.auc.value)
