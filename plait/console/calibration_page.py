"""The page of `plait calibrate`: reliability before and after, objective by objective."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.console.plots import reliability_plot
from plait.pipelines.calibration_check import BeforeAfter


def calibration_page(reference: str, workspace: str, compared: BeforeAfter) -> str:
    """The page, whole: it needs no other file."""
    before, after = compared.before.evaluation, compared.after.evaluation
    rows = [
        {
            "name": name,
            "before": before.by_objective[name],
            "after": after.by_objective[name],
            "rce": (compared.before.field_rce[name], compared.after.field_rce[name]),
            "plots": [reliability_plot(one.reliability[name], name) for one in (before, after)],
        }
        for name in after.objectives
        if after.reliability.get(name)
    ]
    environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("calibration.html")
    return page.render(reference=reference, workspace=workspace, exposures=after.rows, rows=rows)
