"""Options that all commands share."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.errors import InvalidInput

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="Workspace folder (default: COGTUI_WORKSPACE, or ./cogtui-workspace)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON envelope instead of text.")]


def finite(value: float | None) -> float | None:
    """Return the number of an option as it is: the callback of each option that takes a fraction.

    Raises:
        BadParameter: the number is infinite or none, which ranges of numbers let pass.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("this must be a finite number")
    return value


def pass_on(context: typer.Context, **options: Path | list[Path] | None) -> None:
    """Make options given in front of a subcommand the defaults of the subcommand's own options of the same names.

    Args:
        context: of a command with subcommands; one of them follows.
        options: parameter name to value; None if the option was not given.

    Raises:
        InvalidInput: the subcommand has no such option.
    """
    given = {name: value for name, value in options.items() if value is not None}
    subcommand = context.invoked_subcommand
    commands: dict[str, Any] = getattr(context.command, "commands", {})
    if not given or subcommand not in commands:  # an unknown subcommand is refused next
        return
    known = {parameter.name for parameter in commands[subcommand].params}
    for parameter in context.command.params:
        if parameter.name in given and parameter.name not in known:
            raise InvalidInput(f"the command {subcommand} takes no {parameter.opts[0]}", remedy="Leave the option out.")
    context.default_map = {subcommand: given}
