"""Runs a command in this process: what it prints, its exit code, and none of an interpreter's start-up."""

import contextlib
import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from cogtui.cli.main import run


def cogtui_here(
    *arguments: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command without a terminal, as `cogtui ARGUMENTS` in a process of its own would.

    For tests of what a command does and says. A test of the process itself (signals, what it imports, a pipe that
    closes) starts one.

    Args:
        arguments: as after `cogtui`.
        folder: the working directory.
        environment: the whole environment; by default this process's.
    """
    out, err = _text_file(), _text_file()
    with (
        contextlib.chdir(folder or Path.cwd()),
        patch.dict(os.environ, environment if environment is not None else {}, clear=environment is not None),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code: object = 0
        try:
            run(list(arguments))
        except SystemExit as end:
            code = end.code
    assert code is None or isinstance(code, int), code
    return subprocess.CompletedProcess(["cogtui", *arguments], int(code or 0), _text(out), _text(err))


def _text_file() -> io.TextIOWrapper:
    """What a pipe is to a process: text over bytes, for commands that write to `sys.stdout.buffer`."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(file: io.TextIOWrapper) -> str:
    file.seek(0)
    return file.read()
