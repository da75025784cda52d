"""The ladder's last question: what are right probabilities worth in money, in a simulated market."""

from collections.abc import Mapping
from dataclasses import dataclass

from plait.pipelines.bench_revenue import RevenueOptions, measure_revenue
from plait.pipelines.models import model_registry
from plait.pipelines.oracle import has_oracle
from plait.pipelines.project import Project
from plait.pipelines.results import Metric


@dataclass(frozen=True, slots=True)
class ValueRung:
    """Expected revenue and value per thousand exposures of a model, of it calibrated, and of the truth; simulated."""

    model: str
    metrics: Mapping[str, Metric]
    """As of `plait bench revenue`."""


def measure_value(project: Project, reference: str, *, requests: int = 2_000) -> ValueRung | None:
    """Auctions with a registered model's probabilities, and with calibrated ones (calibrated now unless it has been).

    None where nobody knows what ads would have earned (the workspace is not simulated), or what a bid pays for.
    """
    if not has_oracle(project.root) or project.workspace.ads.objective is None:
        return None
    source = model_registry(project).resolve(reference).reference
    options = RevenueOptions(source, project.workspace.ads, requests=requests, write=False)
    metrics, _ = measure_revenue(project, options)
    return ValueRung(source, metrics)
