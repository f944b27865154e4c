"""`cogtui config show`: every setting with its value and origin."""

import typer

from cogtui.cli.console.help import CommandLine
from cogtui.cli.console.options import JsonOption, WorkspaceOption, pass_on

config = CommandLine(no_args_is_help=False, invoke_without_command=True, help="Settings that are not part of a recipe.")


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    config.callback()(choose)
    config.command("show", help="Show every setting: its value, and the option, variable or file that it comes from.")(
        show
    )
    app.add_typer(config, name="config")


def choose(context: typer.Context, workspace: WorkspaceOption = None, *, as_json: JsonOption = False) -> None:
    """Settings that are not part of a recipe: show them."""
    if context.invoked_subcommand is None:
        show(workspace=workspace, as_json=as_json)
    else:
        pass_on(context, workspace=workspace)


def show(*, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The command `config show`."""
    from cogtui.cli.config.show import show_settings
    from jobs.workspace import Workspace

    show_settings(Workspace.locate(workspace), given=workspace is not None, as_json=as_json)
