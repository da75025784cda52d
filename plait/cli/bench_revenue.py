"""`plait bench revenue`: what right probabilities are worth in a simulated market."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from plait.cli.bench import bench, show


def register(app: typer.Typer) -> None:
    """Add the command to `plait bench`."""
    bench.command("revenue")(bench_revenue)


def bench_revenue(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="A simulated workspace.")] = Path(),
    model: Annotated[str, typer.Option(help="A registered model: name, name@version or name@alias.")],
    calibrated: Annotated[
        str | None, typer.Option(help="It with calibrated probabilities; else it is calibrated.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="What bids pay for; repeat, and each advertiser bids for one. Else as plait.toml says."),
    ] = None,
    requests: Annotated[int, typer.Option(help="Requests for ads of the test window, about.", min=1)] = 3_000,
    candidates: Annotated[int, typer.Option(help="Ads that each request could show.", min=1)] = 50,
    slots: Annotated[int, typer.Option(help="Ads that it does show.", min=1)] = 3,
    pricing: Annotated[
        Literal["second_price", "vcg", "first_price"] | None,
        typer.Option(help="What winners pay; else as plait.toml says."),
    ] = None,
    reserve: Annotated[float | None, typer.Option(help="The least eCPM; else as plait.toml says.", min=0)] = None,
    charge: Annotated[
        Literal["conversion", "exposure"], typer.Option(help="conversion: CPC or CPA; exposure: oCPM.")
    ] = "conversion",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Expected revenue per thousand exposures, simulated: a model's probabilities, calibrated ones and the true ones.

    Requests for ads of the test window are asked again with ads that were not shown; auctions are held with each kind
    of probabilities, and their payments are expected by the world's true ones.

    Example: plait bench revenue -w ./demo --model dnn@1 --objective download
    """
    from plait.pipelines.bench_revenue import RevenueOptions, measure_revenue
    from plait.pipelines.project import open_project

    project = open_project(workspace)
    given = {"pricing": pricing, "reserve": reserve}
    options = RevenueOptions(
        model,
        project.workspace.ads.model_copy(update={key: value for key, value in given.items() if value is not None}),
        calibrated,
        objective or [],
        charge=charge,
        requests=requests,
        candidates=candidates,
        slots=slots,
        write=write,
    )
    show(*measure_revenue(project, options))
