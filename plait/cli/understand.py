"""`plait understand`: what is in the creatives."""

import typer

understand = typer.Typer(help="Creatives into fields and labels, by a workflow of pretrained models.")


def register(app: typer.Typer) -> None:
    """Add `plait understand` with its commands."""
    app.add_typer(understand, name="understand")


@understand.command("schema")
def schema() -> None:
    """Print the JSON schema of a creative's profile: the fifteen fields, the label, their values.

    Example: plait understand schema > creative_profile.schema.json
    """
    import json

    from plait.schema import CreativeProfile

    typer.echo(json.dumps(CreativeProfile.model_json_schema(), indent=1, ensure_ascii=False))
