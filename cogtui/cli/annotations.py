"""`cogtui annotations`: what people annotated, listed, written as gold, and taken over from gold."""

from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.options import JsonOption, WorkspaceOption

annotations = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    help="What people annotated; export and import in the gold format.",
)
AnnotatorOption = Annotated[
    str | None, typer.Option("--annotator", metavar="USER@HOST", help="Only this person's (needed where several are).")
]


def register(app: typer.Typer) -> None:
    """Adds the commands of this group."""
    app.add_typer(annotations, name="annotations")


@annotations.callback()
def list_all(
    context: typer.Context,
    *,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what people annotated: who, which rollout, done or not, the counts."""
    if context.invoked_subcommand is not None:
        return
    from cogtui.cli.annotations_flow import list_annotations
    from jobs.workspace import Workspace

    list_annotations(Workspace.locate(workspace), as_json=as_json)


@annotations.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to, as JSONL in the gold format; - for standard output.")],
    *,
    annotator: AnnotatorOption = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also traces not marked done: a reader takes what they lack for zero.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one person's annotations as a gold file."""
    from cogtui.cli.annotations_flow import export_annotations
    from jobs.workspace import Workspace

    export_annotations(Workspace.locate(workspace), file, annotator=annotator, unfinished=unfinished, as_json=as_json)


@annotations.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A gold file whose traces are rollouts of the workspace.")],
    *,
    annotator: Annotated[
        str | None,
        typer.Option("--annotator", metavar="NAME", help="Whose they are (default: as the rows say, else yours)."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where this person has annotated the rollout already, later.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take over the annotations of a gold file, for rollouts with the same id or the same text."""
    from cogtui.cli.annotations_flow import import_annotations
    from jobs.workspace import Workspace

    import_annotations(Workspace.locate(workspace), file, annotator=annotator, replace=replace, as_json=as_json)
