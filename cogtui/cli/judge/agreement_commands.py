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
        help="Judge to compare: rules, human (human:USER@HOST where several annotated), labels (people's final ones,"
        " adjudicated where they differed), a judge run of the workspace"
        " (its id, judge or stage key), or a gold-format file. Once with --gold, twice without; more of them, or all"
        " (every judge run and person of the workspace), are compared by Krippendorff's alpha.",
    ),
]
SelfOption = Annotated[
    str | None,
    typer.Option(
        "--self", metavar="NAME", help="How a model agrees with itself over its repetitions (judge --repeat)."
    ),
]
VersionsOption = Annotated[
    str | None,
    typer.Option(
        "--versions",
        metavar="JUDGE",
        help="Every version of a judge over time, by prompts and parameters, against --gold or one --judge.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("agreement", help="Compare judges and people with gold, with each other, and with themselves.")(
        agreement
    )


def agreement(
    *,
    gold: GoldOption = None,
    judge: JudgesOption = None,
    itself: SelfOption = None,
    versions: VersionsOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap intervals.")] = 0,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Show at most N disagreeing traces.")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `agreement`."""
    from cogtui.cli.judge.agreement import AgreementRequest, show_agreement
    from jobs.workspace import Workspace

    request = AgreementRequest(gold, tuple(judge or ()), itself, versions, seed, limit)
    show_agreement(Workspace.locate(workspace), request, as_json=as_json)
