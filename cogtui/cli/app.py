"""`cogtui` without a command and `cogtui open FILE...`: the app."""

from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption, pass_on
from cogtui.cli.rollouts.commands import FilesArgument, ImportFormatOption, LabelOption, MappingOption
from pipelines.wording import count_of


def register(app: typer.Typer) -> None:
    """Add the app as the default of `cogtui`, and the command `open`."""
    app.callback(invoke_without_command=True)(show_app)
    app.command("open", help="Read the rollouts of any file in the trace browser: ours, verl's, TRL's, plain ones.")(
        open_files
    )
    app.command("showcase", help="Read rollouts that come with cogtui, before anything is trained.")(showcase)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"cogtui {version('cogtui')}")
        raise typer.Exit


def show_app(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run the four-habits experiments and read every rollout with its reasoning behaviours highlighted.

    Without a command: the app on the workspace.
    """
    if context.invoked_subcommand is not None:
        pass_on(context, workspace=workspace)
        return
    from cogtui.app.main import run_app
    from jobs.workspace import Workspace

    run_app(Workspace.locate(workspace))


def open_files(
    files: FilesArgument,
    *,
    chosen: ImportFormatOption = "auto",
    mapping: MappingOption = None,
    label: LabelOption = None,
) -> None:
    """The command `open`."""
    from cogtui.app.main import browse, require_terminal
    from cogtui.cli.console.output import narrate
    from cogtui.cli.rollouts.import_ import pairs, read_labels
    from cogtui.store.importing import opening
    from cogtui.store.importing.hub import fetch_hub_paths

    require_terminal()
    named = files
    files = fetch_hub_paths(files, narrate)
    opened = opening.open_files(
        files, chosen=chosen, mapping=pairs(mapping or (), "--map"), labels=read_labels(label or ())
    )
    for line in opened.plan.lines():
        narrate(line)
    browse(opened, named[0].name if len(named) == 1 else f"{named[0].name} and {len(named) - 1} more")
    unreadable, first = opened.unreadable()
    if unreadable:
        narrate(f"warning: {count_of(unreadable, 'row')} could not be read, the first of them {first}")


def showcase(
    *,
    path: Annotated[
        bool, typer.Option("--path", help="Print the folder of the unpacked workspace, for other commands.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The command `showcase`."""
    from cogtui.app.main import require_terminal, show_showcase
    from cogtui.cli.console.output import emit, emit_json
    from cogtui.store.showcase import unpack_showcase

    if not path and not as_json:
        require_terminal()
    found = unpack_showcase()
    card, folder = found.card, str(found.workspace.path)
    if as_json:
        emit_json(
            {
                "workspace": folder,
                "experiment": card.experiment,
                "summary": card.summary,
                "rollouts": card.rollouts,
                "judgements": card.judgements,
            }
        )
    elif path:
        emit(folder)
    else:
        show_showcase(found)
