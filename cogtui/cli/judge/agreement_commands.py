"""`cogtui agreement`: compares a judge with gold, or two judges."""

from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption

GoldOption = Annotated[
    Path | None,
    typer.Option("--gold", metavar="FILE", help="Gold file (JSONL), or a teacher's traces.jsonl, to compare with."),
]
JudgesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="NAME",
        help="Judge to compare: rules, human (human:USER@HOST where several annotated), a judge run of the workspace"
        " (its id, judge or stage key), or a gold-format file. Once with --gold, twice without.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("agreement", help="Compare a judge with gold, or two judges with each other.")(agreement)


def agreement(
    *,
    gold: GoldOption = None,
    judge: JudgesOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap intervals.")] = 0,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Show at most N disagreeing traces.")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `agreement`."""
    from cogtui.cli.judge.agreement import show_agreement
    from jobs.workspace import Workspace

    show_agreement(Workspace.locate(workspace), gold, judge or [], seed=seed, limit=limit, as_json=as_json)
