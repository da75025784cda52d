"""`plait models`: the registry of trained models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from plait.pipelines.models import ShownModel

_Folder = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")]


def register(app: typer.Typer) -> None:
    """Add `plait models list`, `show`, `alias`, `roll-back` and `export`."""
    models = typer.Typer(no_args_is_help=True, help="Trained models: versions, aliases, roll back.")
    app.add_typer(models, name="models")
    models.command("list")(list_)
    models.command()(show)
    models.command()(alias)
    models.command("roll-back")(roll_back)
    models.command()(export)


def list_(workspace: _Folder = Path()) -> None:
    """List every registered version with its aliases, date, AUC and data.

    Example: plait models list -w ./demo
    """
    from rich.console import Console
    from rich.table import Table

    from plait.pipelines.models import list_models

    table = Table("model", "aliases", "registered", "auc", "data", "commit", box=None)
    table.columns[3].justify = "right"
    for line in list_models(workspace):
        manifest = line.manifest
        auc = _value(manifest.metrics.get("auc"))
        name = f"{manifest.name}@{manifest.version}"
        table.add_row(name, ", ".join(line.aliases), manifest.created, auc, manifest.data_fingerprint, manifest.commit)
    if table.row_count:
        Console().print(table)
    else:
        Console().print(f"No models yet; `plait train -w {workspace}` registers one.")


def show(
    model: Annotated[str, typer.Argument(help="name, name@version or name@alias.")], workspace: _Folder = Path()
) -> None:
    """Show one version: its manifest, its files (checked against their hashes), its aliases and their history.

    Example: plait models show ranker@production -w ./demo
    """
    from plait.pipelines.models import show_model

    _print_model(show_model(workspace, model))


def alias(
    model: Annotated[str, typer.Argument(help="name, name@version or name@alias.")],
    alias: Annotated[str, typer.Argument(help="The alias to give it, such as production.")],
    workspace: _Folder = Path(),
) -> None:
    """Let an alias stand for a version; what it stood for before is kept for `plait models roll-back`.

    Example: plait models alias ranker@3 production -w ./demo
    """
    from rich.console import Console

    from plait.pipelines.models import set_alias

    chosen = set_alias(workspace, model, alias)
    Console().print(f"{chosen.name}@{alias} is now version {chosen.version}.")


def roll_back(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    alias: Annotated[str, typer.Argument(help="The alias to take back.")] = "production",
    workspace: _Folder = Path(),
) -> None:
    """Let an alias stand for the version it stood for before.

    Example: plait models roll-back ranker production -w ./demo
    """
    from rich.console import Console

    from plait.pipelines.models import roll_back

    version = roll_back(workspace, name, alias)
    Console().print(f"{name}@{alias} is version {version} again.")


def export(
    model: Annotated[str, typer.Argument(help="name, name@version or name@alias.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder that does not exist yet.")],
    workspace: _Folder = Path(),
) -> None:
    """Write a model's user tower and light head as two artefacts, each with its weights and its manifest.

    Example: plait models export hstu@production -o ./hstu-parts -w ./demo
    """
    from rich.console import Console

    from plait.pipelines.export import export_model

    exported = export_model(workspace, model, out)
    Console().print(f"{exported.reference}: {out / 'tower'} and {out / 'head'}")


def _print_model(shown: "ShownModel") -> None:
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    manifest = shown.model.manifest
    table = Table(show_header=False, box=None)
    for key, value in (
        ("model", shown.model.reference),
        ("aliases", ", ".join(shown.aliases)),
        ("registered", manifest.created),
        ("plait", manifest.plait_version),
        ("commit", manifest.commit),
        ("data", manifest.data_fingerprint),
        ("folder", str(shown.model.path)),
        ("metrics", ", ".join(f"{name} {_value(one)}" for name, one in manifest.metrics.items())),
        ("config", json.dumps(manifest.config, ensure_ascii=False)),
        ("details", json.dumps(manifest.details, ensure_ascii=False)),
        *((f"file {name}", f"sha256 {digest[:16]}... ok") for name, digest in manifest.files.items()),
        *((f"{event.how} {event.alias}", f"version {event.version}, {event.time}") for event in shown.history),
    ):
        table.add_row(key, escape(value))
    Console().print(table)


def _value(metric: Any) -> str:
    """A metric as text, be it a number or an estimate with a value."""
    value = metric.get("value") if isinstance(metric, dict) else metric
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
