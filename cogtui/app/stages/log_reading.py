"""Reads of log files that the log screen makes in its background thread."""

import re
import threading
from pathlib import Path

from jobs.attempts.records import STDERR, STDOUT, attempt_numbers, attempt_of, stage_of
from jobs.logs.pattern import LogPattern
from jobs.logs.reader import LogChunk, LogFile, TextMark, attempt_logs, best_log


def find_line(
    file: LogFile, pattern: "re.Pattern[bytes] | LogPattern", offset: int, backwards: bool, stop: threading.Event
) -> int:
    """Return the offset of the line with the nearest match, or -1."""
    found = file.find(pattern, offset, backwards=backwards, stop=stop.is_set)
    return -1 if found is None else found


def short_log_path(path: Path) -> str:
    """Return a log's path below the attempts: `001/stderr.log`."""
    return str(path.relative_to(attempt_of(path).parent))


def is_outdated(path: Path) -> bool:
    """Return whether there is a better log to follow: of a newer attempt, or of the stage instead of its worker."""
    stage, now = stage_of(path), attempt_of(path)
    newer = max(attempt_numbers(stage), default=0) > int(now.name)
    if not newer and path.name in (STDOUT, STDERR):
        return False
    best = best_log(attempt_logs(stage), failed=False)
    return best is not None and best != path and (newer or best.name in (STDOUT, STDERR)) and best.stat().st_size > 0


def last_lines(file: LogFile) -> tuple[LogChunk, TextMark]:
    """Read the last lines, with a mark behind them."""
    chunk = file.end()
    return chunk, file.mark(chunk.end)


def new_lines(file: LogFile, offset: int, before: TextMark | None) -> tuple[LogChunk, TextMark | None] | None:
    """Read lines from an offset, with a mark behind them, or None instead of it if the text before is another now.

    Returns:
        None between a rotation and the new file, so that the next poll tries again.
    """
    try:
        chunk = file.after(offset)
        return chunk, None if file.is_replaced(before) else file.mark(max(offset, chunk.end))
    except OSError:
        return None
