"""`cogtui rollouts`, `trace`, `export`, `import`, `note`, `reindex`: the trace browser's data without a screen."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption

FilterArgument = Annotated[
    str, typer.Argument(help="Filter, e.g. 'condition:dots correct:true backtracking>=2'.", metavar="[FILTER]")
]
SortOption = Annotated[
    str,
    typer.Option(
        "--sort", metavar="FIELD", help="Column to sort by; -FIELD for the largest, of steps the newest, first."
    ),
]
IdArgument = Annotated[str, typer.Argument(help="Id of a rollout, or any unique beginning of it.", metavar="ID")]


ImportFormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Layout of the files, for instance verl, chat, inspect or plain (all: docs/traces.md); auto detects it.",
    ),
]


class ExportFormatChoice(StrEnum):
    """Formats of an export."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    HTML = "html"


FilesArgument = Annotated[
    list[Path], typer.Argument(help="Files, folders of them, or hf://datasets/OWNER/NAME[/PATH].", metavar="FILE...")
]
MappingOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Read a field from this column; may be repeated."),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="Label of all rollouts: condition=dots; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("rollouts", help="List the rollouts that match a filter.")(rollouts)
    app.command("trace", help="Print one rollout with its reasoning behaviours marked.")(trace)
    app.command("export", help="Write rollouts to a file: JSON lines, CSV, parquet, or a page to read.")(export)
    app.command("note", help="Write a note or tags on a rollout, or show them.")(note)
    app.command("notes", help="List all notes and tags; export them to a file, import them from one.")(notes)
    app.command("import", help="Import rollout files of other programs: verl, TRL, the paper's, any JSONL or parquet.")(
        import_
    )
    app.command("reindex", help="Rebuild the index from the stage folders.")(reindex)


def rollouts(
    filter_text: FilterArgument = "",
    *,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="FIELD",
            help="Column to sort by (default: -step, the newest first); -FIELD: largest first.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most N rows.")] = 50,
    view: Annotated[
        str, typer.Option("--view", metavar="NAME", help="A view saved in the app; filter and options refine it.")
    ] = "",
    columns: Annotated[str, typer.Option("--columns", metavar="A,B,…", help="Columns to print, in order.")] = "",
    by_problem: Annotated[
        bool, typer.Option("--by-problem", help="Problems with best, mean and worst reward, not single rollouts.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `rollouts`."""
    from cogtui.cli.rollouts.list import list_rollouts, listing_of
    from jobs.workspace import Workspace

    listing = listing_of(filter_text, view=view, sort=sort, columns=columns, by_problem=by_problem)
    list_rollouts(Workspace.locate(workspace), listing, limit=limit, as_json=as_json)


def trace(
    rollout: IdArgument,
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="On a terminal too: lines as they are stored, not wrapped or coloured.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `trace`."""
    from cogtui.cli.rollouts.trace import show_trace
    from jobs.workspace import Workspace

    show_trace(Workspace.locate(workspace), rollout, raw=raw, as_json=as_json)


def export(
    filter_text: FilterArgument = "",
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Output file (default: print).")
    ] = None,
    chosen: Annotated[
        ExportFormatChoice | None,
        typer.Option("--format", help="Format of the file (default: by its suffix, else jsonl)."),
    ] = None,
    sort: SortOption = "step",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N (default: all).")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="CSV: keep texts that a spreadsheet would run.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `export`."""
    from cogtui.cli.rollouts.export import export_rollouts
    from jobs.workspace import Workspace

    export_rollouts(
        Workspace.locate(workspace),
        filter_text,
        out=out,
        chosen=None if chosen is None else chosen.value,
        sort=sort,
        limit=limit,
        raw=raw,
        as_json=as_json,
    )


def note(
    rollout: Annotated[
        str,
        typer.Argument(
            help="Id of a rollout, or any unique beginning of it; with --experiment, the name of one.", metavar="ID"
        ),
    ],
    text: Annotated[str | None, typer.Argument(help="The note; an empty text removes it.", metavar="[TEXT]")] = None,
    *,
    experiment: Annotated[bool, typer.Option("--experiment", help="Write on the experiment of that name.")] = False,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Add a tag; may be repeated.")] = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Remove a tag; may be repeated.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `note`."""
    from cogtui.cli.rollouts.notes import note_experiment, write_note
    from jobs.workspace import Workspace

    write = note_experiment if experiment else write_note
    write(Workspace.locate(workspace), rollout, text, tags=tag or (), untag=untag or (), as_json=as_json)


def notes(
    *,
    export_to: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Export them to this file.")
    ] = None,
    import_from: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Import them from this file.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `notes`."""
    from cogtui.cli.rollouts.notes import list_notes
    from jobs.workspace import Workspace

    list_notes(Workspace.locate(workspace), export=export_to, import_=import_from, as_json=as_json)


def import_(
    files: FilesArgument,
    *,
    chosen: ImportFormatOption = "auto",
    mapping: MappingOption = None,
    label: LabelOption = None,
    judge: Annotated[
        Literal["auto", "rules", "prose", "none"],
        typer.Option(
            "--judge",
            help="Judge the behaviours: by rules, by the prose judge, not at all, or (auto) by the one that suits the"
            " task if that takes no longer than the import or 20 s.",
        ),
    ] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how the files would be read; write nothing.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `import`."""
    from cogtui.cli.rollouts.import_ import import_files
    from jobs.workspace import Workspace

    import_files(
        Workspace.locate(workspace),
        files,
        chosen=chosen,
        mapping=mapping or (),
        labels=label or (),
        judge=judge,
        dry_run=dry_run,
        as_json=as_json,
    )


def reindex(*, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The command `reindex`."""
    from cogtui.cli.rollouts.reindex import rebuild_index
    from jobs.workspace import Workspace

    rebuild_index(Workspace.locate(workspace), as_json=as_json)
