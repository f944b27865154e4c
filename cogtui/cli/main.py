"""The console script `cogtui`: collects the commands and turns errors into messages and exit codes."""

import contextlib
import errno
import os
import sys
from typing import Final

import typer

from cogtui.cli import app as app_commands
from cogtui.cli.compare import commands as compare_commands
from cogtui.cli.config import commands as config_commands
from cogtui.cli.console.help import CommandLine
from cogtui.cli.console.output import ExitCode, emit_error, exit_code, narrate
from cogtui.cli.jobs import commands as job_commands
from cogtui.cli.judge import agreement_commands as judging_commands
from cogtui.cli.judge import annotation_commands, gold_commands
from cogtui.cli.judge import commands as judge_commands
from cogtui.cli.rollouts import commands as rollout_commands
from cogtui.cli.run import commands as run_commands
from cogtui.cli.run import fetch as fetch_commands
from cogtui.cli.run import models as model_commands
from cogtui.cli.run import plan as plan_commands
from cogtui.cli.run import recipes as recipe_commands
from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement

# typer has its own copy of click since 0.27, with other exception classes than the installed click.
_USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__bases__[0]

_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE})
_PERMISSION_ERRORS: Final = frozenset({errno.EACCES, errno.EPERM})
_SHAPE_ERRORS: Final = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ELOOP})
"""A folder where a file belongs, or the other way round."""
"""Errors of the disk and of other people's files, which any command can meet; every other error of the system is a bug
and keeps its traceback."""

app = CommandLine(
    name="cogtui",
    help="Run the four-habits experiments and read every rollout with its reasoning behaviours highlighted.",
    no_args_is_help=False,
    add_completion=True,
)

for group in (
    app_commands,
    run_commands,
    recipe_commands,
    model_commands,
    plan_commands,
    fetch_commands,
    job_commands,
    rollout_commands,
    judge_commands,
    judging_commands,
    compare_commands,
    annotation_commands,
    gold_commands,
    config_commands,
):
    group.register(app)


def run(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and exits with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    _open_closed_streams()
    # pydantic looks for plug-ins of its own, and raises if any package's entry_points.txt is malformed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code: int = ExitCode.FAILED
    try:
        code = _dispatch(given)
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        narrate(f"error: standard output cannot be written: {error.strerror}")
        code = code or ExitCode.FAILED
    else:
        sys.exit(code)
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries again at its end, and prints a traceback
    sys.exit(code)


def _open_closed_streams() -> None:
    """Open /dev/null for standard streams that the caller closed (`>&-`): the next file would get their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _dispatch(given: list[str]) -> int:
    as_json = "--json" in given
    try:
        code = app(given, standalone_mode=False)
    except CogtuiError as error:
        emit_error(error, as_json=as_json)
        return exit_code(error)
    except typer.Exit as stop:
        return stop.exit_code
    except _USAGE_ERROR as error:
        message = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
        emit_error(InvalidInput(message, remedy=f"See {_command_of(error)} --help."), as_json=as_json)
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        narrate("interrupted; jobs keep running")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader closed the pipe, as in `cogtui rollouts | head`; this is no error
        return ExitCode.DONE
    except OSError as error:
        if error.errno in _SHAPE_ERRORS and error.filename is not None:
            place = os.fsdecode(error.filename2 or error.filename)
            shape = InvalidInput(f"{error.strerror}: {place}", remedy="Move it away, then run the same command again.")
            emit_error(shape, as_json=as_json)
            return exit_code(shape)
        if error.errno not in _DISK_ERRORS | _PERMISSION_ERRORS:
            raise
        place = f": {error.filename}" if error.filename else ""
        denied = error.errno in _PERMISSION_ERRORS
        problem = MissingRequirement(
            f"{error.strerror}{place}",
            detail="" if denied else "Nothing written before is lost.",
            remedy="Fix the permissions or ask the owner, then run the same command again."
            if denied
            else "Free some space or fix the file system, then run the same command again.",
        )
        emit_error(problem, as_json=as_json)
        return ExitCode.MISSING
    except Exception as error:
        problem_of_index = _index_error(error)
        if problem_of_index is None:
            raise
        emit_error(problem_of_index, as_json=as_json)
        return exit_code(problem_of_index)
    return code if isinstance(code, int) else ExitCode.DONE


def _index_error(error: Exception) -> CogtuiError | None:
    """Return what an error of SQLite means for the user: a full disk, a damaged index; None for any other error."""
    if type(error).__module__ != "sqlite3":
        return None
    from cogtui.store.db.connection import translate_sqlite_errors

    try:
        with translate_sqlite_errors(None):
            raise error
    except CogtuiError as problem:
        return problem
    except Exception:
        return None


def _command_of(error: Exception) -> str:
    """Return the command that was used wrongly, e.g. `cogtui run`."""
    path = getattr(getattr(error, "ctx", None), "command_path", "")
    return f"cogtui {path.partition(' ')[2]}".rstrip()
