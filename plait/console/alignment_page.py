"""The page of `plait embed map`: rows and their texts on one plane, before alignment and after."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from plait.console.plots import pairs_plot
from plait.pipelines.alignment_map import AlignmentMap


def alignment_page(found: AlignmentMap) -> str:
    """The page, whole: it needs no other file."""
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("alignment.html").render(found=found, planes=alignment_planes(found))


def alignment_planes(found: AlignmentMap) -> Sequence[tuple[str, float, Markup]]:
    """Before and after: which it is, the share that finds its partner, the plot."""
    return [
        (title, plane.found, pairs_plot(plane.row_N2, plane.text_N2, found.names, title))
        for title, plane in (("before", found.before), ("after", found.after))
    ]
