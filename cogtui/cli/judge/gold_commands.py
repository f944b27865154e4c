"""`cogtui gold`: the people's labels of a workspace, and which completions to label next."""

from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption, pass_on

gold = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    help="People's labels: what there is, and which completions to label next.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.add_typer(gold, name="gold")


@gold.callback()
def show_labels(context: typer.Context, *, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the final labels: by whom, adjudicated or not, where annotators differ."""
    if context.invoked_subcommand is not None:
        pass_on(context, workspace=workspace)
        return
    from cogtui.cli.judge.gold import list_labels
    from jobs.workspace import Workspace

    list_labels(Workspace.locate(workspace), as_json=as_json)


@gold.command("next")
def next_(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name of a recipe that ran.")],
    *,
    claim: Annotated[
        str | None,
        typer.Option("--claim", metavar="NAME", help="A claim about behaviours, as cogtui compare --json names it."),
    ] = None,
    about: Annotated[
        str | None,
        typer.Option("--about", metavar="TEXT", help="The comparison of the claim whose name contains this."),
    ] = None,
    half_width: Annotated[
        float | None,
        typer.Option("--half-width", min=0.0, metavar="X", help="How many labels an interval of ± X takes."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most N completions.")] = 20,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="TAG", help="Tag them, so that the filter tag:TAG lists them in the app."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the completions whose labels narrow the interval of a claim most."""
    from cogtui.cli.judge.gold import QueueRequest, show_queue
    from jobs.workspace import Workspace

    request = QueueRequest(experiment, claim, about, half_width, limit, tag)
    show_queue(Workspace.locate(workspace), request, as_json=as_json)
