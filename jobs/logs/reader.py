"""Reads parts of log files at any offset, so that a file of any size opens at its end at once.

A file is opened by path for every read: a network file system shows writes of other hosts only after an open. It is
never mapped, because a truncation would crash the reader.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from jobs.attempts import records as attempts
from jobs.logs.pattern import LogPattern
from pipelines.files import open_regular

BLOCK: Final = 1 << 16
_SAMPLE: Final = 256
"""Bytes of each of the two samples in a `TextMark`."""
LONGEST_LINE: Final = 1 << 13
"""Bytes. A longer line is split into pieces, so that a file without newlines can be read too."""
_SCAN_BLOCK: Final = 1 << 20

_COLOR: Final = re.compile(r"\x1b\[[0-9;:]*m")
ERRORS: Final = re.compile(
    rb"Traceback \(most recent call last\)|E(?:rror:|xception:|RROR\b)|FATAL\b|CRITICAL\b|OUT OF MEMORY"
    rb"|[Oo]ut of memory|oom-kill|[Ss]egmentation fault|[Kk](?<=\b[Kk])illed\b|e(?<=\be)rror:|fatal:"
)
"""Matches the first error of a log. No alternative begins with a wildcard, which makes it three times as fast."""
# fmt: off
_ERROR_WORDS: Final = (
    b"traceback", b"rror", b"xception", b"fatal", b"critical", b"out of memory", b"oom-kill", b"segmentation",
    b"killed",
)
# fmt: on
"""Every match of `ERRORS` contains one of these in lower case; searching them first is ten times as fast again."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line, or a piece of an over-long one."""

    start: int
    """Byte offset in the file."""
    end: int
    """Byte offset after the line and its newline."""
    text: str
    complete: bool
    """False for a last line that has no newline yet."""


class TextMark(NamedTuple):
    """Samples of the text before an offset, by which a later reader sees that the file was emptied and written anew.

    Size and inode do not show it: `copytruncate` keeps the inode, and the new text may be longer than the old.
    """

    offset: int
    first: bytes
    """At the start of the file."""
    last: bytes
    """Just before the offset."""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Consecutive lines, with size and identity of the file when they were read."""

    lines: tuple[LogLine, ...]
    size: int
    """Bytes in the file."""
    identity: tuple[int, int]
    """Device and inode; they change when another file replaces this one."""

    @property
    def start(self) -> int:
        """Byte offset of the first line."""
        return self.lines[0].start if self.lines else 0

    @property
    def end(self) -> int:
        """Byte offset behind the last line."""
        return self.lines[-1].end if self.lines else 0


def clean_line(raw: bytes) -> str:
    """Return a line as a terminal would show it: without colours, and of a progress bar only the last state.

    Other control characters stay; the caller must replace them before showing the line.
    """
    text = raw.decode("utf-8", "replace").rstrip("\r\n")
    if "\x1b" in text:
        text = _COLOR.sub("", text)
    return text.rpartition("\r")[2]


class LogFile:
    """Reads lines of one file. Every method may block on the disk.

    Raises:
        OSError: from every method, when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def end(self, wanted: int = BLOCK) -> LogChunk:
        """Return the last lines, about `wanted` bytes."""
        return self.before(None, wanted)

    def before(self, offset: int | None, wanted: int = BLOCK) -> LogChunk:
        """Return lines that end at the line start `offset`, or at the end of the file."""
        with open_regular(self.path) as stream:
            status = os.fstat(stream.fileno())
            stop = status.st_size if offset is None else min(offset, status.st_size)
            start = max(0, stop - wanted)
            data = os.pread(stream.fileno(), stop - start, start)
        if start > 0:
            newline = data.find(b"\n", 0, len(data) - 1)
            # skip to the start of a line, unless an over-long line has none here
            skip = newline + 1 if 0 <= newline < LONGEST_LINE else _character_start(data)
            start, data = start + skip, data[skip:]
        return LogChunk(tuple(_lines(data, start)), status.st_size, (status.st_dev, status.st_ino))

    def after(self, offset: int, wanted: int = BLOCK) -> LogChunk:
        """Return lines from the line start `offset` on, as many as fit into `wanted` bytes."""
        with open_regular(self.path) as stream:
            status = os.fstat(stream.fileno())
            data = os.pread(stream.fileno(), wanted, min(offset, status.st_size))
        lines = list(_lines(data, offset))
        cut_short = offset + len(data) < status.st_size
        if cut_short and len(lines) > 1 and not lines[-1].complete:
            lines.pop()
        return LogChunk(tuple(lines), status.st_size, (status.st_dev, status.st_ino))

    def mark(self, offset: int) -> TextMark:
        """Return samples of the text before `offset`."""
        with open_regular(self.path) as stream:
            number = stream.fileno()
            start = max(0, offset - _SAMPLE)
            return TextMark(offset, os.pread(number, min(_SAMPLE, offset), 0), os.pread(number, offset - start, start))

    def is_replaced(self, mark: TextMark | None) -> bool:
        """Return whether the text before a mark is another one now. Text that was appended makes no difference."""
        return mark is not None and self.mark(mark.offset) != mark

    def find(
        self,
        pattern: "re.Pattern[bytes] | LogPattern",
        offset: int,
        *,
        backwards: bool = False,
        stop: Callable[[], bool] = bool,
    ) -> int | None:
        """Return the offset of the line with the nearest match, or None.

        Args:
            pattern: matched within lines of at most 1 MiB.
            offset: start of the search in bytes; a match at `offset` itself counts forwards, not backwards.
            backwards: towards the beginning of the file.
            stop: called between blocks; True ends the search with None.

        Raises:
            SearchTooSlow: the pattern takes too long.
        """
        with open_regular(self.path) as stream:
            number = stream.fileno()
            if backwards:
                found = _find_backwards(number, pattern, offset, stop)
            else:
                found = _find_forwards(number, pattern, offset, os.fstat(number).st_size, stop)
            return None if found is None else _line_start(number, found)

    def first_error(self, stop: Callable[[], bool] = bool) -> int | None:
        """Return the offset of the first line that looks like an error, or None."""
        return self.find(ERRORS, 0, stop=stop)


class LogBlock(NamedTuple):
    """A part of a file that is searched at once."""

    offset: int
    """Of its first byte in the file."""
    data: bytes
    whole: int
    """Bytes of `data` up to the end of the last whole line."""


def scan_blocks(number: int, offset: int, size: int, stop: Callable[[], bool] = bool) -> Iterator[LogBlock]:
    """Yield the blocks of an open file from an offset to its end, each of whole lines of at most 1 MiB.

    Args:
        number: file descriptor.
        offset: of the first byte.
        size: of the file.
        stop: called before each block; True ends the reading.
    """
    while offset < size and not stop():
        data = os.pread(number, _SCAN_BLOCK, offset)
        if not data:
            return  # the file was truncated
        whole = data.rfind(b"\n") + 1
        if not whole or offset + len(data) >= size:
            whole = len(data)
        yield LogBlock(offset, data, whole)
        offset += whole


def _find_forwards(
    number: int, pattern: "re.Pattern[bytes] | LogPattern", offset: int, size: int, stop: Callable[[], bool]
) -> int | None:
    for block in scan_blocks(number, offset, size, stop):
        if _may_match(pattern, block.data) and (match := pattern.search(block.data, 0, block.whole)):
            return block.offset + match.start()
    return None


def _may_match(pattern: "re.Pattern[bytes] | LogPattern", data: bytes) -> bool:
    if pattern is not ERRORS:
        return True
    small = data.lower()
    return any(word in small for word in _ERROR_WORDS)


def _find_backwards(
    number: int, pattern: "re.Pattern[bytes] | LogPattern", offset: int, stop: Callable[[], bool]
) -> int | None:
    while offset > 0 and not stop():
        start = max(0, offset - _SCAN_BLOCK)
        data = os.pread(number, offset - start, start)
        first = data.find(b"\n", 0, len(data) - 1) + 1 if start > 0 else 0
        last = None
        for match in pattern.finditer(data, first) if _may_match(pattern, data) else ():
            last = match.start()
        if last is not None:
            return start + last
        offset = start + first
    return None


def _line_start(number: int, offset: int) -> int:
    start = max(0, offset - LONGEST_LINE)
    data = os.pread(number, offset - start, start)
    newline = data.rfind(b"\n")
    if newline >= 0:
        return start + newline + 1
    return start + (_character_start(data) if start else 0)


def _character_start(data: bytes) -> int:
    """Return the number of leading bytes that continue a UTF-8 character."""
    for position in range(min(4, len(data))):
        if data[position] & 0xC0 != 0x80:
            return position
    return 0


def _lines(data: bytes, start: int) -> list[LogLine]:
    lines: list[LogLine] = []
    position = 0
    while position < len(data):
        newline = data.find(b"\n", position, position + LONGEST_LINE)
        if newline >= 0:
            stop, complete = newline + 1, True
        elif len(data) - position > LONGEST_LINE:
            stop, complete = position + LONGEST_LINE, True
            while stop > position + 1 and data[stop] & 0xC0 == 0x80:
                stop -= 1
        else:
            stop, complete = len(data), False
        lines.append(LogLine(start + position, start + stop, clean_line(data[position:stop]), complete))
        position = stop
    return lines


def attempt_logs(stage: Path) -> list[Path]:
    """Return the log files of a stage, newest attempt first: stderr, stdout, others.

    The logs of array tasks follow those of their attempt, failed tasks first.
    """
    found: list[Path] = []
    for number in reversed(attempts.attempt_numbers(stage)):
        attempt = attempts.attempt_path(stage, number)
        shards = attempts.shard_folders(attempt)
        for folder in (attempt, *sorted(shards, key=_has_not_failed), attempt / attempts.ARRAY):
            found += _logs_in(folder)
    return found


def _logs_in(folder: Path) -> list[Path]:
    order = {attempts.STDERR: 0, attempts.STDOUT: 1, attempts.WORKER_LOG: 2}
    try:
        paths = [path for path in folder.iterdir() if path.suffix in (".out", ".err") or ".log" in path.name]
    except (FileNotFoundError, NotADirectoryError):
        return []
    logs = [path for path in paths if path.is_file()]
    return sorted(logs, key=lambda path: (order.get(path.name, 3), path.name))


def _has_not_failed(shard: Path) -> bool:
    try:
        ended = attempts.read_record(shard / attempts.EXIT, attempts.ExitRecord)
    except (OSError, ValueError):
        return False
    return ended is None or ended.why == "done"


def best_log(logs: list[Path], *, failed: bool) -> Path | None:
    """Return the log to open first: of the newest attempt stderr after a failure, else stdout, if not empty."""
    if not logs:
        return None
    newest = [path for path in logs if attempts.attempt_of(path) == attempts.attempt_of(logs[0])]
    wanted = attempts.STDERR if failed else attempts.STDOUT
    return min(newest, key=lambda path: (_empty(path), path.name != wanted, newest.index(path)))


def _empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return True
