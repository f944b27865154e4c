"""`cogtui fetch`: models of the hub into its cache, on a machine with internet, for jobs without."""

from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption
from cogtui.cli.console.output import emit, emit_json, narrate


def register(app: typer.Typer) -> None:
    """Add the command `fetch`."""
    app.command("fetch", help="Fetch a model of the Hugging Face hub into its cache, for jobs without internet.")(fetch)


def fetch(
    model: Annotated[str, typer.Argument(help="OWNER/NAME or OWNER/NAME@REVISION.", metavar="MODEL")],
    *,
    config_only: Annotated[
        bool, typer.Option("--config-only", help="Leave out the weights: enough for plan --memory.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The command `fetch`."""
    from pipelines.hub_fetch import fetch_model, parse_model

    name, revision = parse_model(model)
    found = fetch_model(name, revision, narrate, config_only=config_only)
    if as_json:
        emit_json(
            {
                "model": found.name,
                "revision": found.revision,
                "commit": found.commit,
                "folder": str(found.folder),
                "files": found.files,
                "bytes": found.size,
                "fetched_bytes": found.fetched,
            }
        )
        return
    emit(f"{found.name} is at {found.folder}")
    emit(f'pin it with  base.revision = "{found.commit}"')
