"""`cogtui ls`, `show`, `logs`, `cancel`, `retry`, `archive`, `prune`, `delete`, `doctor`: what runs, what stays."""

from typing import Annotated

import typer

from cogtui.cli.console.options import JsonOption, WorkspaceOption, finite

KeyArgument = Annotated[str, typer.Argument(help="Key of a stage, or any unique beginning of it.", metavar="KEY")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("ls", help="List stages with their state, progress and reason of failure.")(ls)
    app.command("show", help="Show one stage: state with its evidence, attempts, inputs, config, result.")(show)
    app.command("logs", help="Print the logs of a stage, all its attempts; -f follows across requeues.")(logs)
    app.command("cancel", help="Cancel stages and their queued dependents, and end all their processes.")(cancel)
    app.command("retry", help="Start failed, cancelled and stopped stages again, with the inputs that need it.")(retry)
    app.command("archive", help="Hide experiments from lists, list hidden ones, or restore them.")(archive)
    app.command("prune", help="Remove checkpoints of finished stages; without --yes only say what that frees.")(prune)
    app.command("delete", help="Move experiments to the trash, list or restore what is there, or empty it.")(delete)
    app.command("doctor", help="Check this machine: workspace, queue, Slurm, GPUs, extras, keys.")(doctor)


def ls(
    *,
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only the stages of this experiment.")] = None,
    state: Annotated[list[str] | None, typer.Option(metavar="STATE", help="Only this state; may be repeated.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `ls`."""
    from cogtui.cli.jobs.list import list_stages
    from jobs.workspace import Workspace

    list_stages(Workspace.locate(workspace), experiment=experiment, states=state or (), as_json=as_json)


def show(key: KeyArgument, *, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The command `show`."""
    from cogtui.cli.jobs.show import show_stage
    from jobs.workspace import Workspace

    show_stage(Workspace.locate(workspace), key, as_json=as_json)


def logs(
    key: KeyArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow until the stage has ended.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Only the last N lines of each log.")
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only standard output.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only standard error.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Do not wrap lines, on a terminal either.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `logs`."""
    from cogtui.cli.jobs.logs import print_logs
    from jobs.workspace import Workspace

    chosen = tuple(name for name, wanted in (("stdout.log", stdout), ("stderr.log", stderr)) if wanted)
    print_logs(Workspace.locate(workspace), key, follow=follow, lines=lines, streams=chosen, raw=raw, as_json=as_json)


def cancel(
    keys: Annotated[list[str], typer.Argument(help="Keys of stages, or unique prefixes.", metavar="KEY...")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    grace: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=0.0,
            metavar="SECONDS",
            help="Seconds a stage has to end by itself before it is killed.",
        ),
    ] = 10.0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `cancel`."""
    from cogtui.cli.jobs.cancel import cancel_stages
    from jobs.workspace import Workspace

    cancel_stages(Workspace.locate(workspace), keys, yes=yes, grace_s=grace, as_json=as_json)


def retry(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Keys or unique prefixes; without any, all that did not end well.", metavar="KEY"),
    ] = None,
    *,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a setting that changes no result, or resources.FIELD; may be repeated.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `retry`."""
    from cogtui.cli.jobs.retry import retry_stages
    from jobs.workspace import Workspace

    retry_stages(Workspace.locate(workspace), keys or (), changes or (), as_json=as_json)


def prune(
    experiment: Annotated[
        str | None, typer.Argument(metavar="EXPERIMENT", help="Only its stages; by default all of the workspace.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `prune`."""
    from cogtui.cli.jobs.prune import prune_stages
    from jobs.workspace import Workspace

    prune_stages(Workspace.locate(workspace), experiment, yes=yes, as_json=as_json)


def doctor(*, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The command `doctor`."""
    from cogtui.cli.jobs.doctor import print_findings
    from jobs.workspace import Workspace

    print_findings(Workspace.locate(workspace), as_json=as_json)


def archive(
    experiments: Annotated[list[str] | None, typer.Argument(metavar="EXPERIMENT...", help="Names of recipes.")] = None,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Show these experiments again.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `archive`."""
    from cogtui.cli.jobs.archive import archive as archive_experiments
    from jobs.workspace import Workspace

    archive_experiments(Workspace.locate(workspace), experiments or (), undo=undo, as_json=as_json)


def delete(
    experiments: Annotated[list[str] | None, typer.Argument(metavar="EXPERIMENT...", help="Names of recipes.")] = None,
    *,
    undo: Annotated[
        bool, typer.Option("--undo", help="Restore these experiments, or the one deleted last, from the trash.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty-trash", help="Delete what is in the trash, or these experiments of it, for good.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The command `delete`."""
    from cogtui.cli.jobs.delete import delete_experiments
    from jobs.workspace import Workspace

    delete_experiments(Workspace.locate(workspace), experiments or (), undo=undo, empty=empty, yes=yes, as_json=as_json)
