"""The page of `plait embed map`: rows and their texts on one plane, before alignment and after."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.console.plots import pairs_plot
from plait.pipelines.alignment_map import AlignmentMap


def alignment_page(found: AlignmentMap) -> str:
    """The page, whole: it needs no other file."""
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    planes = [
        (title, plane.found, pairs_plot(plane.row_N2.tolist(), plane.text_N2.tolist(), found.names, title))
        for title, plane in (("before", found.before), ("after", found.after))
    ]
    return environment.get_template("alignment.html").render(found=found, planes=planes)
