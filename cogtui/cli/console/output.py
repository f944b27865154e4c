"""Output of commands: the JSON envelope, plain lines, errors, and exit codes (docs/cli.md, a contract)."""

import json
import sys
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Any, Final

from cogtui.cli.console.layout import Layout, format_table, output_width, wrap_message, wrap_words
from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement, NotFound

ENVELOPE_VERSION: Final = 1


class ExitCode(IntEnum):
    """Exit codes of commands."""

    DONE = 0
    FAILED = 1
    """A stage failed, or an `--assert` is false."""
    USAGE = 2
    """Wrong usage or an invalid file."""
    MISSING = 3
    """A requirement is missing here: Slurm, an extra, a key."""
    NOT_FOUND = 4
    INTERRUPTED = 130
    """Ctrl-C; jobs keep running."""


def exit_code(error: CogtuiError) -> ExitCode:
    """Return the exit code of an error."""
    if isinstance(error, InvalidInput):
        return ExitCode.USAGE
    if isinstance(error, MissingRequirement):
        return ExitCode.MISSING
    if isinstance(error, NotFound):
        return ExitCode.NOT_FOUND
    return ExitCode.FAILED


def emit_json(data: Any, warnings: Sequence[str] = ()) -> None:
    """Print the envelope of a successful command."""
    _print_json({"version": ENVELOPE_VERSION, "data": data, "warnings": list(warnings)})


def emit_error(error: CogtuiError, *, as_json: bool) -> None:
    """Print an error: as an envelope on stdout for programs, as plain lines on stderr for people."""
    if as_json:
        _print_json({"version": ENVELOPE_VERSION, "error": error.as_dict()})
        return
    narrate(f"error: {error.summary}")
    detail = error.detail.splitlines()
    pointed = any(line.strip() == "^" for line in detail)
    for line in detail:
        (_write_error if pointed else narrate)(f"  {line}")  # a caret points at a place in the line above it
    for line in error.remedy.splitlines():
        narrate(f"  {line}")


def emit(text: str = "") -> None:
    """Print a line of data."""
    sys.stdout.write(printable(text) + "\n")


def emit_wrapped(text: str, hanging: str = "") -> None:
    """Print a line of data, wrapped between words on a terminal; `hanging` begins the continuation lines."""
    for line in wrap_words(printable(text), output_width(), hanging):
        emit(line)


def emit_table(
    rows: Sequence[Sequence[str]], right: Collection[int] = (), *, layout: Layout = "split", indent: str = ""
) -> None:
    """Print a table so that it fits the terminal; the arguments are those of `layout.format_table`."""
    for line in format_table(rows, right, layout=layout, width=output_width(), indent=indent):
        emit(line)


def narrate(text: str) -> None:
    """Print a line for people, on stderr, wrapped between words on a terminal."""
    for line in wrap_message(printable(text), output_width(errors=True)):
        _write_error(line)


def _write_error(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")


def printable(text: str) -> str:
    """Return the text with control characters replaced by visible ones, so that it cannot control the terminal."""
    from pipelines.text_safety import picture_controls

    return picture_controls(text, keep="\n\t")


def _print_json(value: Any) -> None:
    # ASCII, which every terminal and pipe accepts, also for lone surrogates.
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
