"""The page of `plait scaling`: loss over compute with the fitted law, and the grid as a table."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.console.plots import scaling_plot
from plait.pipelines.scaling import Scaling


def scaling_page(scaling: Scaling) -> str:
    """The page, whole: it needs no other file."""
    named = [(one.cell.name, one.curve) for one in scaling.models]
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("scaling.html")
    return page.render(scaling=scaling, plot=scaling_plot(named, scaling.fit))
