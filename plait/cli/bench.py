"""`plait bench ...`: measurements that anyone can run again, written to benchmarks/results/."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from plait.pipelines.results import Metric

bench = typer.Typer(help="Measure Plait on this machine and keep the numbers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `plait bench` with its commands."""
    app.add_typer(bench, name="bench")


def show(metrics: "Mapping[str, Metric]", path: Path | None) -> None:
    """Print what was measured, with intervals where there are some, and where it was written."""
    wide = max(map(len, metrics), default=0)
    for name, metric in metrics.items():
        between = "" if metric.low is None or metric.high is None else f"  ({metric.low:,.4g} to {metric.high:,.4g})"
        typer.echo(f"{name:>{wide}}  {metric.value:,.4g} {metric.unit}{between}")
    if path is not None:
        typer.echo(f"written: {path}")


@bench.command("samples")
def bench_samples(
    events: Annotated[int, typer.Option(help="Exposures and behaviours together, about.")] = 10_000_000,
    runs: Annotated[int, typer.Option(help="Runs of each version; the spread over them is reported.")] = 3,
    large: Annotated[int, typer.Option(help="Events of the memory measurement; 0 leaves it out.")] = 0,
    folder: Annotated[Path, typer.Option(help="Where worlds and outputs go; worlds are kept for the next run.")] = Path(
        "bench-samples"
    ),
) -> None:
    """Samples from one input by Plait, plain pandas and plain DuckDB: same output, rows per second, peak memory.

    Each version runs in a process of its own, from Parquet to Parquet; their outputs are compared, row by row, before
    any number is written to benchmarks/results/samples_throughput.json. Run it in a checkout.

    Example: plait bench samples --events 10000000 --large 100000000
    """
    from plait.pipelines.bench_samples import measure_samples

    typer.echo(f"written: {measure_samples(events=events, runs=runs, large=large, folder=folder)}")


@bench.command("serve")
def bench_serve(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    qps: Annotated[float, typer.Option(help="Requests per second.", min=0.1, max=5_000)] = 50.0,
    seconds: Annotated[float, typer.Option(help="How long.", min=1, max=3_600)] = 60.0,
    k: Annotated[int, typer.Option(help="K: candidates that every request ranks.", min=1, max=10_000)] = 500,
    items: Annotated[int, typer.Option(help="Items that every answer holds.", min=1, max=200)] = 20,
    arrivals: Annotated[str, typer.Option(help="poisson: as independent users come; uniform: evenly.")] = "poisson",
    model: Annotated[str | None, typer.Option(help="name@alias or name@version; else as plait.toml says.")] = None,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Latency of `plait serve` under an open-loop load: requests leave on schedule, whatever the server does.

    The server runs in a process of its own and is asked over real HTTP on loopback. Latency counts from the scheduled
    moment, so that a stall shows in every request it delayed.

    Example: plait bench serve -w ./demo --qps 50 --seconds 60 --k 500
    """
    from plait.pipelines.bench_serve import LoadOptions, measure_server
    from plait.pipelines.project import open_project

    if arrivals not in ("poisson", "uniform"):
        raise typer.BadParameter(f"found '{arrivals}', expected poisson or uniform", param_hint="--arrivals")
    options = LoadOptions(qps, seconds, k, items, arrivals == "poisson", model, write=write)
    measured = measure_server(open_project(workspace), options)
    for failure in measured.load.failures:
        typer.echo(f"failed: {failure}", err=True)
    show(measured.metrics, measured.path)


@bench.command("rank")
def bench_rank(
    *,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Measure the quality of the split too, on this workspace.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The HSTU model of that workspace: name@alias or name@version.")
    ] = None,
    width: Annotated[int, typer.Option(help="D: width of tokens and states.", min=1)] = 64,
    heads: Annotated[int, typer.Option(min=1)] = 2,
    blocks: Annotated[int, typer.Option(help="Layers of the tower.", min=1)] = 4,
    seconds: Annotated[float, typer.Option(help="How long each number is measured, at most 1,000 times.", min=0)] = 5.0,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """One request ranked every way: the whole model anew, a kept state with the light head, candidates in the tower.

    K = 100, 500 and 2,000 candidates of users with L = 200, 2,000 and 10,000 events, on one thread and two; the head
    also through torch.compile, AOTInductor and ONNX Runtime, where this machine has what they need.

    Example: plait bench rank -w ./demo --model hstu@production
    """
    from plait.pipelines.bench_rank import RankOptions, measure_ranking
    from plait.pipelines.project import open_project
    from plait.pipelines.rank_desk import TowerSizes

    if (workspace is None) != (model is None):
        raise typer.BadParameter("--workspace and --model go together")
    options = RankOptions(TowerSizes(width, heads, blocks), seconds=seconds, write=write)
    measured = measure_ranking(options, None if workspace is None else open_project(workspace), model)
    for note in measured.notes:
        typer.echo(note)
    show(measured.metrics, measured.path)


@bench.command("ranker")
def bench_ranker(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of both models; repeat for more.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples of users for the 95 % intervals.")] = 200,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "hstu_ranker_bench_world",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """HSTU + DNN against the tuned DIN: the same exposures, features and seeds; and what the oracle reaches.

    On a bench market expect half an hour and more per model; interrupted runs go on.

    Example: plait bench ranker -w ./bench --seeds 7
    """
    from rich.console import Console

    from plait.cli.ladder import ladder_tables
    from plait.pipelines.bench_ranker import measure_rankers, write_rankers
    from plait.pipelines.project import open_project

    chosen = seeds or [7]
    measured = measure_rankers(open_project(workspace), seeds=chosen, bootstrap=bootstrap)
    Console().print(ladder_tables(measured))
    if write:
        flags = " ".join(f"--seeds {seed}" for seed in chosen)
        typer.echo(f"written: {write_rankers(measured, f'plait bench ranker -w {workspace} {flags}', name=name)}")


@bench.command("next-item")
def bench_next_item(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    recipes: Annotated[list[str] | None, typer.Option(help="A recipe of the table; repeat for more.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of every recipe; repeat for more.")] = None,
    exact_times: Annotated[
        Path | None, typer.Option(help="Parquet, a flag per line of the log: is its time the log's own?")
    ] = None,
    train: Annotated[bool, typer.Option(help="Or else only measure what has been trained so far.")] = True,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "hstu_ml1m",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Train next-item recipes with every seed and rank each user's held-out item in the whole catalogue.

    A run that was trained before with the same recipe and data is used as it is; one that was interrupted goes on.

    Example: plait bench next-item -w ./ml1m --recipes sasrec-next --recipes hstu-next --seeds 1 --seeds 2 --seeds 3
    """
    from plait.pipelines.bench_next_item import TableOptions, measure_next_item
    from plait.pipelines.project import open_project

    options = TableOptions(
        recipes or ["sasrec-next", "hstu-next", "hstu-next-time"],
        seeds or [1],
        exact_times=exact_times,
        train=train,
        name=name,
        write=write,
    )
    show(*measure_next_item(open_project(workspace), options))


@bench.command("ctrl")
def bench_ctrl(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    recipes: Annotated[list[str] | None, typer.Option(help="A recipe of the table; repeat for more.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of every recipe; repeat for more.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Laid over every ranker's recipe: section.key=value; repeatable.")
    ] = None,
    requests: Annotated[int, typer.Option(help="Requests that are timed per recipe; 0 for none.", min=0)] = 200,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "ctrl_ml1m",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Train CTR backbones and CTRL on two of them with every seed: AUC, paired gains, by how well ids are known, cost.

    Needs the text vectors of `plait embed`. A run that was trained before with the same recipe and data is used as it
    is; one that was interrupted goes on.

    Example: plait bench ctrl -w ./ml1m --seeds 1 --seeds 2 --seeds 3
    """
    from plait.pipelines.bench_ctrl import CtrlOptions, measure_ctrl
    from plait.pipelines.project import open_project

    default = CtrlOptions()
    options = CtrlOptions(
        recipes or default.recipes,
        seeds or [1],
        settings or [],
        requests=requests,
        name=name,
        write=write,
    )
    show(*measure_ctrl(open_project(workspace), options))


@bench.command("text-methods")
def bench_text_methods(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    methods: Annotated[list[str] | None, typer.Option(help="A method of the table; repeat for more.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of every method; repeat for more.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Laid over every ranker's recipe: section.key=value; repeatable.")
    ] = None,
    requests: Annotated[int, typer.Option(help="Requests that are timed per method; 0 for none.", min=0)] = 200,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "text_methods",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """What texts are worth to one ranker by each method: a user vector as a feature, KAR, distillation, CTRL.

    Quality, training time and the time of a request, against the ranker without texts. Needs the vectors of
    `plait embed`; what was trained before is used as it is.

    Example: plait bench text-methods -w ./frappe --seeds 1 --seeds 2 --seeds 3
    """
    from plait.pipelines.bench_text_methods import METHODS, MethodOptions, measure_methods
    from plait.pipelines.project import open_project

    chosen = methods or list(METHODS)
    if unknown := [method for method in chosen if method not in METHODS]:
        raise typer.BadParameter(f"found '{unknown[0]}', expected {', '.join(METHODS)}", param_hint="--methods")
    options = MethodOptions(chosen, seeds or [1], settings or [], requests=requests, name=name, write=write)
    show(*measure_methods(open_project(workspace), options))


@bench.command("encoders")
def bench_encoders(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    encoder: Annotated[list[str], typer.Option(help="KIND or KIND:MODEL, such as gguf:qwen.gguf; repeat for more.")],
    users: Annotated[int, typer.Option(help="Users whose texts are encoded, drawn by seed.", min=1)] = 2_000,
    every: Annotated[str, typer.Option(help="Time between two snapshots of users.")] = "1d",
    items: Annotated[int, typer.Option(help="The most apps that a text names per action.", min=1)] = 8,
    characters: Annotated[int, typer.Option(help="The most characters of a text.", min=40)] = 600,
    recipe: Annotated[str, typer.Option(help="The ranker: a recipe or a model of plait.toml.")] = "dnn",
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of every model; repeat for more.")] = None,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "llm_rung",
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """The rung of user embeddings with a large language model against a small encoder, on the texts of some users.

    Every encoder reads the same texts; one ranker is trained on each one's vectors and without, and measured on these
    users' test exposures. A text that was encoded once is never encoded again.

    Example: plait bench encoders -w ./demo --encoder minilm --encoder gguf:qwen.gguf --every 30d --characters 200
    """
    from plait.pipelines.bench_encoders import EncoderOptions, measure_encoders
    from plait.pipelines.project import open_project

    options = EncoderOptions(encoder, users, every, items, characters, recipe, seeds or [1], name=name, write=write)
    show(*measure_encoders(open_project(workspace), options))


@bench.command("moe")
def bench_moe(
    *,
    workspaces: Annotated[
        list[Path], typer.Option("--workspace", "-w", help="A workspace folder; repeat for one result of several.")
    ],
    variants: Annotated[
        list[str] | None, typer.Option(help="mmoe, ple, dense_8, ...; repeat for more; all the usual ones if none.")
    ] = None,
    experts: Annotated[
        list[int] | None, typer.Option(help="Also dense, softmax and sparse mixtures of so many; repeat for more.")
    ] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed of every variant; repeat for more.")] = None,
    train_exposures: Annotated[
        int | None, typer.Option(help="About how many are trained on, of whole users; all if not said.", min=1)
    ] = None,
    test_exposures: Annotated[int, typer.Option(help="About how many are measured, of whole users.")] = 100_000,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A value laid over every recipe, as section.key=value.")
    ] = None,
    single_seeds: Annotated[
        int | None, typer.Option(help="So many seeds also get a model per objective, for the see-saw; all if not said.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "moe_grid_bench_world",
    seesaw_name: Annotated[str, typer.Option(help="Of the see-saw's.")] = "moe_seesaw",
    write: Annotated[bool, typer.Option(help="Keep the results under benchmarks/results/.")] = True,
) -> None:
    """Mixtures of experts: every variant with every seed, at matched cost, and the best against single-task models.

    A cell that was trained before with the same recipe and data is read; one that was interrupted goes on.

    Example: plait bench moe -w ./bench --train-exposures 100000 --experts 16 --experts 64
    """
    from plait.pipelines.bench_moe import MoeOptions, measure_grids
    from plait.pipelines.moe_cells import USUAL
    from plait.pipelines.project import open_project
    from plait.training.recipe import parse_overrides

    options = MoeOptions(
        variants or USUAL,
        experts or (),
        seeds or (1, 2, 3),
        train_exposures,
        test_exposures,
        overrides=parse_overrides(settings or []),
        single_seeds=single_seeds,
        name=name,
        seesaw_name=seesaw_name,
        settings=settings or (),
    )
    for path in measure_grids([open_project(folder) for folder in workspaces], options, write=write):
        typer.echo(f"written: {path}")


@bench.command("moe-speed")
def bench_moe_speed(
    *,
    threads: Annotated[int, typer.Option(help="Of PyTorch.", min=1)] = 1,
    repeats: Annotated[int, typer.Option(help="Of every measurement; the fastest counts.", min=1)] = 20,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Experts, gates and towers as grouped products against a module each: training, inference, growth with T.

    T = 12 objectives, E = 16 experts, S = 32 scenarios. Run it in a checkout; the result is
    benchmarks/results/moe_speed.json.

    Example: plait bench moe-speed
    """
    from plait.pipelines.bench_moe_speed import MoeSpeed, measure_moe_speed

    show(*measure_moe_speed(MoeSpeed(threads=threads, repeats=repeats, write=write)))


@bench.command("hstu")
def bench_hstu(
    *,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Whose sequences the step sees.")] = Path(),
    steps: Annotated[int, typer.Option(help="Training steps of each version, after a warm-up.", min=1)] = 5,
    lengths: Annotated[list[int] | None, typer.Option("--length", help="L of the operator; repeat for more.")] = None,
    tokens: Annotated[int, typer.Option(help="Events of the operator's batches, about.", min=1)] = 16_000,
    repeats: Annotated[int, typer.Option(help="Of every measurement of the operator.", min=1)] = 3,
    threads: Annotated[int | None, typer.Option(help="Of PyTorch and the kernels; all cores by default.")] = None,
) -> None:
    """A training step of HSTU-large beside plain PyTorch and the published formulation; the operator at many lengths.

    Each version runs in a process of its own, on the same batch of 128 users of the workspace. Run it in a checkout, on
    MovieLens-1M for the published step; the results are benchmarks/results/hstu_step_cpu.json and hstu_length.json.

    Example: plait bench hstu -w ./ml-1m --steps 5
    """
    import os

    from plait.pipelines.bench_hstu import HstuBench, measure_hstu
    from plait.pipelines.project import open_project

    chosen = sorted(lengths or [200, 1_000, 4_000, 16_000])
    options = HstuBench(steps, chosen, tokens, repeats, threads or os.cpu_count() or 1)
    for path in measure_hstu(open_project(workspace), options):
        typer.echo(f"written: {path}")


@bench.command("understand-fields")
def bench_understand_fields(
    *,
    worlds: Annotated[list[Path], typer.Option("--workspace", "-w", help="A simulated world; repeat for more.")],
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """Every field of the creatives' profiles against what the simulated files were rendered from.

    Example: plait bench understand-fields -w ./world-23 -w ./world-31
    """
    from plait.pipelines.bench_understand_fields import measure_fields

    measured = measure_fields(worlds, write=write)
    for field, expected, found, files in measured.mistakes.head(12).iter_rows():
        typer.echo(f"{files:>5} files: {field} '{expected}' read as '{found}'")
    show(measured.metrics, measured.path)


@bench.command("understand-colors")
def bench_understand_colors(
    *,
    data_folder: Annotated[Path, typer.Option(envvar="PLAIT_DATA", help="Folder that holds fashion/.")],
    photographs: Annotated[int, typer.Option(help="Drawn at random.", min=1)] = 2_000,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """The colour measure against the base colours that a shop gave the products on fashion photographs.

    Example: plait bench understand-colors --data-folder ~/data
    """
    from plait.pipelines.bench_understand_colors import measure_colors

    show(*measure_colors(data_folder, photographs, write=write))


@bench.command("understand-speed")
def bench_understand_speed(
    *,
    model: Annotated[Path, typer.Option(help="A GGUF file that both versions ask.")],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="A simulated world with media.")] = Path(),
    creatives: Annotated[int, typer.Option(help="Through the workflow.", min=1)] = 100,
    naive: Annotated[int, typer.Option(help="Through the naive version.", min=1)] = 6,
    cached: Annotated[int, typer.Option(help="Of the run whose answers are kept.", min=1)] = 10_000,
    write: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results/.")] = True,
) -> None:
    """The whole workflow beside a naive version (a call per field and creative), and a run whose answers are all kept.

    Example: plait bench understand-speed -w demo --model qwen.gguf
    """
    from plait.pipelines.bench_understand_speed import SpeedBench, measure_understand_speed
    from plait.pipelines.project import open_project

    bench = SpeedBench(model, creatives, naive, cached, write)
    show(*measure_understand_speed(open_project(workspace), bench))


@bench.command("report")
def bench_report() -> None:
    """Render every result under benchmarks/results/ to one page, benchmarks/RESULTS.md.

    Example: plait bench report
    """
    from plait.pipelines.results import render_results

    typer.echo(f"written: {render_results()}")


@bench.command("embed")
def bench_embed(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")] = Path(),
    texts: Annotated[int, typer.Option(help="Texts of users that are encoded both ways.", min=10)] = 1_000,
    runs: Annotated[int, typer.Option(help="Runs of each, in turn.", min=1)] = 3,
) -> None:
    """Encoding against plain sentence-transformers, a daily refresh against all from nothing, the vector index.

    Both run the same MiniLM weights in one process; the cosine of their vectors is in the result,
    benchmarks/results/embed_speed.json. Run it in a checkout.

    Example: plait bench embed -w ./demo
    """
    from plait.pipelines.bench_embed import SpeedOptions, measure_embed
    from plait.pipelines.project import open_project

    typer.echo(f"written: {measure_embed(open_project(workspace), SpeedOptions(texts=texts, runs=runs))}")
