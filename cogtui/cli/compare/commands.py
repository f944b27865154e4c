"""`cogtui compare` and `cogtui report`: results of experiments, with intervals over seeds."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption


class ReferenceChoice(StrEnum):
    """References that an experiment can be compared with."""

    PAPER = "paper"


ExperimentsArgument = Annotated[list[str], typer.Argument(metavar="EXPERIMENT...", help="Names of recipes that ran.")]
ReferenceOption = Annotated[
    ReferenceChoice | None,
    typer.Option("--reference", help="Add published figures to the tables: paper.", case_sensitive=False),
]


class JudgeErrorChoice(StrEnum):
    """Whether counts are corrected by people's labels."""

    ON = "on"
    OFF = "off"


JudgeErrorOption = Annotated[
    JudgeErrorChoice,
    typer.Option(
        "--judge-error",
        help="on: correct counts of behaviours by people's labels, with the judge's error in the intervals; off: as the"
        " judge counts.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(
        "compare",
        help="Accuracy and behaviours per condition with intervals, and the paper's claims; or two experiments.",
    )(compare)
    app.command("report", help="Write the results of an experiment as a page with tables and curves.")(report)


def compare(
    experiments: ExperimentsArgument,
    *,
    reference: ReferenceOption = None,
    judge_error: JudgeErrorOption = JudgeErrorChoice.ON,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `compare`."""
    from cogtui.cli.compare.show import show_comparison
    from jobs.workspace import Workspace

    show_comparison(
        Workspace.locate(workspace),
        experiments,
        reference=reference is not None,
        judge_error=judge_error is JudgeErrorChoice.ON,
        as_json=as_json,
    )


def report(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name of a recipe that ran.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for report.html and report.md.")],
    judge_error: JudgeErrorOption = JudgeErrorChoice.ON,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `report`."""
    from cogtui.cli.compare.show import write_report
    from jobs.workspace import Workspace

    write_report(
        Workspace.locate(workspace), experiment, out, judge_error=judge_error is JudgeErrorChoice.ON, as_json=as_json
    )
