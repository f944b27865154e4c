"""`cogtui logs KEY`: the logs of all attempts as text, followed across requeues and retries."""

import sys
import time
from typing import Final

from cogtui.cli.console.output import emit, emit_json, emit_wrapped, narrate
from jobs.logs.follow import STREAMS, StageFollower, StageLogLine
from jobs.state.reader import StageState, StateReader
from jobs.state.types import missing_log_reason
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput

_POLL_S: Final = 0.5
_STATE_EVERY_S: Final = 2.0
_JSON_LINES: Final = 1000
"""Lines per log with --json, unless --lines says otherwise."""


def print_logs(
    workspace: Workspace,
    prefix: str,
    *,
    follow: bool,
    lines: int | None,
    streams: tuple[str, ...],
    raw: bool,
    as_json: bool,
) -> None:
    """Print the logs of a stage, with a heading wherever attempt or file changes; wrapped on a terminal unless `raw`.

    Raises:
        NotFound: no such stage. InvalidInput: the prefix is ambiguous, or --json is used with -f.
    """
    if follow and as_json:
        raise InvalidInput("--json prints one envelope, so it cannot follow", remedy="Leave out --json or -f.")
    folder = workspace.find(prefix)
    key = folder.path.name
    if as_json:
        _print_json(key, StageFollower(folder.path, streams=streams or STREAMS, lines=lines or _JSON_LINES))
        return
    follower = StageFollower(folder.path, streams=streams or STREAMS, lines=lines)
    printer = _Printer(raw=raw)
    if follow:
        _follow(workspace, key, follower, printer)
        return
    for line in follower.read(last=True):
        printer.print(line)
    if not printer.printed:
        narrate(f"{key}: {missing_log_reason(StateReader(workspace).read([key])[key])}")


def _follow(workspace: Workspace, key: str, follower: StageFollower, printer: "_Printer") -> None:
    reader = StateReader(workspace)
    state: StageState | None = None
    looked = float("-inf")
    while True:
        if time.monotonic() - looked >= _STATE_EVERY_S:
            state, looked = reader.read([key])[key], time.monotonic()
        over = state is not None and not state.active and state.state != "unknown"
        for line in follower.read(last=over):
            printer.print(line)
        sys.stdout.flush()
        if over and state is not None:
            narrate(f"{key} is {state.state}{f': {state.reason}' if state.reason else ''}")
            return
        time.sleep(_POLL_S)


def _print_json(key: str, follower: StageFollower) -> None:
    logs: dict[tuple[int, str], list[str]] = {}
    for line in follower.read(last=True):
        logs.setdefault((line.attempt, line.stream), []).append(line.text)
    found = [{"attempt": attempt, "log": stream, "lines": lines} for (attempt, stream), lines in logs.items()]
    emit_json({"key": key, "logs": found})


class _Printer:
    """Prints lines, with a heading wherever attempt or file changes."""

    def __init__(self, *, raw: bool) -> None:
        self._put = emit if raw else emit_wrapped
        self._last: tuple[int, str] | None = None

    @property
    def printed(self) -> bool:
        """Whether anything was printed."""
        return self._last is not None

    def print(self, line: StageLogLine) -> None:
        """Print a line of a log, control characters replaced."""
        place = (line.attempt, line.stream)
        if place != self._last:
            emit(f"==> attempt {line.attempt}, {line.stream} <==")
            self._last = place
        self._put(line.text)
