"""`cogtui annotations`: lists human annotations, exports them as gold, imports them from gold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cogtui.cli.console.help import CommandLine
from cogtui.cli.console.options import JsonOption, WorkspaceOption, pass_on

if TYPE_CHECKING:
    from jobs.workspace import Workspace

annotations = CommandLine(
    no_args_is_help=False,
    invoke_without_command=True,
    help="Human annotations: list them, export and import them in the gold format.",
)
AnnotatorOption = Annotated[
    str | None, typer.Option("--annotator", metavar="USER@HOST", help="Only this person's (needed where several are).")
]
FileOption = Annotated[
    list[Path] | None,
    typer.Option("--file", metavar="FILE", help="Of these files, as opened by cogtui open; instead of a workspace."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.add_typer(annotations, name="annotations")


@annotations.callback()
def list_all(
    context: typer.Context,
    *,
    files: FileOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List human annotations: who, which rollout, done or not, the counts."""
    if context.invoked_subcommand is not None:
        pass_on(context, workspace=workspace, files=files)
        return
    from cogtui.cli.judge.annotations import list_annotations

    list_annotations(_place(workspace, files), as_json=as_json)


@annotations.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to, as JSONL in the gold format; - for standard output.")],
    *,
    annotator: AnnotatorOption = None,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Also traces not marked done; readers take missing behaviours for zero."),
    ] = False,
    files: FileOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one person's annotations as a gold file."""
    from cogtui.cli.judge.annotations import export_annotations

    export_annotations(_place(workspace, files), file, annotator=annotator, unfinished=unfinished, as_json=as_json)


@annotations.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A gold file whose traces are rollouts of the workspace.")],
    *,
    annotator: Annotated[
        str | None,
        typer.Option("--annotator", metavar="NAME", help="Whose they are (default: as the rows say, else yours)."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace later annotations of the same person.")
    ] = False,
    files: FileOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import the annotations of a gold file for rollouts with the same id or text."""
    from cogtui.cli.judge.annotations import import_annotations

    import_annotations(_place(workspace, files), file, annotator=annotator, replace=replace, as_json=as_json)


def _place(workspace: Path | None, files: list[Path] | None) -> "Workspace":
    from jobs.workspace import Workspace

    if files:
        from cogtui.store.importing.opening import read_files

        return read_files(files)
    return Workspace.locate(workspace)
