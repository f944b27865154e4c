"""Follows the logs of a stage over all its attempts, through rotation, truncation, requeues and retries."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.attempts import records as attempts
from jobs.logs.reader import BLOCK, LogFile, TextMark

STREAMS: Final = (attempts.STDOUT, attempts.STDERR)


@dataclass(frozen=True, slots=True)
class StageLogLine:
    """A line of a stage's logs, with attempt and file."""

    attempt: int
    stream: str
    """Name of the file, e.g. `stderr.log`, or `shard-003/stderr.log` of a task of a job array."""
    text: str


class FileFollower:
    """Returns each line of a growing file once. A replaced or truncated file is read from its beginning."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self._log = LogFile(path)
        self._offset = offset
        self._identity: tuple[int, int] | None = None
        self._mark: TextMark | None = None

    def from_end(self, lines: int) -> None:
        """Start with the last `lines` lines instead of the first."""
        wanted = BLOCK
        try:
            while True:
                chunk = self._log.end(wanted)
                if len(chunk.lines) > lines or chunk.start == 0 or wanted >= chunk.size:
                    break
                wanted *= 4
        except OSError:
            return
        kept = chunk.lines[-lines:] if lines else ()
        self._offset = kept[0].start if kept else chunk.size
        self._identity = chunk.identity
        with contextlib.suppress(OSError):
            self._mark = self._log.mark(self._offset)

    def read(self, *, last: bool = False) -> Iterator[str]:
        """Yield the lines since the last call. A line without a newline waits, unless this is the `last` call."""
        while True:
            try:
                chunk = self._log.after(self._offset)
                replaced = self._log.is_replaced(self._mark)
            except OSError:
                return  # not created yet, or deleted
            if replaced or self._identity not in (None, chunk.identity) or chunk.size < self._offset:
                self._identity, self._offset, self._mark = chunk.identity, 0, None
                continue
            self._identity = chunk.identity
            ready = [line for line in chunk.lines if line.complete or last]
            if not ready:
                return
            for line in ready:
                yield line.text
            self._offset = ready[-1].end
            with contextlib.suppress(OSError):
                self._mark = self._log.mark(self._offset)


class StageFollower:
    """Returns each line of the logs of a stage once, attempt after attempt.

    Args:
        stage: the stage folder.
        streams: names of the log files to follow.
        lines: start with the last `lines` lines of each file; None starts at the beginning.
    """

    def __init__(self, stage: Path, *, streams: tuple[str, ...] = STREAMS, lines: int | None = None) -> None:
        self._stage = stage
        self._streams = streams
        self._lines = lines
        self._files: dict[tuple[int, str], FileFollower] = {}

    def read(self, *, last: bool = False) -> Iterator[StageLogLine]:
        """Yield the lines since the last call, those of new attempts included."""
        for number in attempts.attempt_numbers(self._stage):
            folder = attempts.attempt_path(self._stage, number)
            for stream in self._streams_of(folder):
                follower = self._files.get((number, stream))
                if follower is None:
                    follower = FileFollower(folder / stream)
                    if self._lines is not None:
                        follower.from_end(self._lines)
                    self._files[number, stream] = follower
                for text in follower.read(last=last):
                    yield StageLogLine(number, stream, text)
        self._lines = None  # files that appear later are read from their beginning

    def _streams_of(self, folder: Path) -> list[str]:
        """Return the logs of the stage and its shards; if none of them started, the logs of the worker and submitit."""
        started = [shard.name for shard in attempts.shard_folders(folder) if (shard / attempts.STARTED).exists()]
        own = [*(f"{shard}/{stream}" for shard in started for stream in self._streams), *self._streams]
        if started or (folder / attempts.STARTED).exists() or not folder.exists():
            return own
        others = [path for place in (folder, folder / attempts.ARRAY) for path in place.glob("*_log.*")]
        return [*own, attempts.WORKER_LOG, *sorted(str(path.relative_to(folder)) for path in others)]
