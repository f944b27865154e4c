"""`cogtui gold`: people's labels, which completions to label next, examples for a judge's prompts."""

from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.console.help import CommandLine
from cogtui.cli.console.options import JsonOption, WorkspaceOption, finite, pass_on

gold = CommandLine(
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
        typer.Option(
            "--half-width", callback=finite, min=0.0, metavar="X", help="How many labels an interval of ± X takes."
        ),
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


@gold.command("examples")
def examples(
    judge: Annotated[str, typer.Argument(metavar="JUDGE", help="An LLM judge of the workspace: its run id or name.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the prompt files.")],
    gold_file: Annotated[
        Path | None, typer.Option("--gold", metavar="FILE", help="Gold file instead of the workspace's labels.")
    ] = None,
    most: Annotated[int, typer.Option("--examples", min=1, metavar="N", help="Examples of a behaviour at most.")] = 6,
    share: Annotated[
        float,
        typer.Option(
            "--hold-out", callback=finite, min=0.1, max=0.9, metavar="SHARE", help="Share of the traces held out."
        ),
    ] = 0.5,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Judge the held-out traces with the new prompts; this may cost money.")
    ] = False,
    cap: Annotated[
        float | None, typer.Option("--cap", callback=finite, metavar="USD", help="Spend at most this much.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn people's disagreements with an LLM judge into examples for its prompts; measure them on held-out traces."""
    from cogtui.cli.judge.examples import ExamplesRequest, write_examples
    from jobs.workspace import Workspace

    request = ExamplesRequest(judge, out, gold_file, most, share, evaluate, cap, yes)
    write_examples(Workspace.locate(workspace), request, as_json=as_json)
