"""`cogtui run`: plans a recipe, starts missing stages, shows progress, and prints a summary."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption


class ClusterChoice(StrEnum):
    """Where stages run."""

    LOCAL = "local"
    SLURM = "slurm"


class DisplayChoice(StrEnum):
    """Ways to show progress."""

    PLAIN = "plain"
    RICH = "rich"
    NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the command `run`."""
    app.command("run", help="Run a recipe: start unfinished stages, show progress, print a summary.")(run)


def run(
    recipe: Annotated[
        Path, typer.Argument(help="A TOML file, or the name of a bundled recipe (cogtui recipes).", metavar="RECIPE")
    ],
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the plan, which stages are reused and why others are not; start nothing."
        ),
    ] = False,
    cluster: Annotated[ClusterChoice, typer.Option(help="Where the stages run.")] = ClusterChoice.LOCAL,
    only: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Only this stage and its inputs; may be repeated.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also start failed and cancelled stages again.")] = False,
    force: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Run this finished stage again; may be repeated.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the stages and return at once.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change the recipe: stages.ppo.steps=50; may be repeated."),
    ] = None,
    assertions: Annotated[
        list[str] | None,
        typer.Option(
            "--assert",
            metavar="EXPR",
            help="Exit 1 unless this is true of the results: 'ppo.reward_last > ppo.reward_first'; may be repeated.",
        ),
    ] = None,
    display: Annotated[
        DisplayChoice | None, typer.Option(help="How progress is shown (default: rich on a terminal, else plain).")
    ] = None,
    tables: Annotated[
        bool,
        typer.Option("--tables", help="Print all tables at the end, as compare does, not only the result in words."),
    ] = False,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a JUnit file at the end: a case for each stage and each --assert."),
    ] = None,
    github_summary: Annotated[
        bool, typer.Option("--github-summary", help="Append the result to the summary of a GitHub job.")
    ] = False,
    notify_command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Start this at the end and on a warning, with COGTUI_EVENT, COGTUI_TEXT and others in its environment;"
            " no shell reads it.",
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Post JSON there at the end and on a warning; better set COGTUI_WEBHOOK."),
    ] = None,
    no_notify: Annotated[bool, typer.Option("--no-notify", help="Notify nobody, whatever config.toml says.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `run`."""
    from cogtui.cli.run.flow import run_recipe
    from cogtui.cli.run.request import RunRequest

    run_recipe(
        RunRequest(
            recipe=recipe,
            workspace=workspace,
            cluster="slurm" if cluster is ClusterChoice.SLURM else "local",
            dry_run=dry_run,
            only=tuple(only or ()),
            retry=retry,
            force=tuple(force or ()),
            detach=detach,
            overrides=tuple(settings or ()),
            assertions=tuple(assertions or ()),
            display=None if display is None else display.value,
            tables=tables,
            junit=junit,
            github_summary=github_summary,
            notify=not no_notify,
            notify_command=notify_command,
            webhook=webhook,
            as_json=as_json,
        )
    )
