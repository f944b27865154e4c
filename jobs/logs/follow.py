"""Following the logs of a stage over all its attempts: rotation, truncation, requeues and retries included."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.attempts import records as attempts
from jobs.logs.reader import BLOCK, LogFile

STREAMS: Final = (attempts.STDOUT, attempts.STDERR)


@dataclass(frozen=True, slots=True)
class StageLogLine:
    """A line of a log, with where it comes from."""

    attempt: int
    stream: str
    """Name of the file, e.g. `stderr.log`, or `shard-003/stderr.log` of a task of a job array."""
    text: str


class FileFollower:
    """Gives each line of a growing file once. The file may be replaced or cut short: then it is read anew."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self._log = LogFile(path)
        self._offset = offset
        self._identity: tuple[int, int] | None = None

    def from_end(self, lines: int) -> None:
        """Begins with the last so many lines instead of the first."""
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

    def read(self, *, last: bool = False) -> Iterator[str]:
        """The lines since the last call. A line without its newline waits, unless this is the `last` call."""
        while True:
            try:
                chunk = self._log.after(self._offset)
            except OSError:
                return  # not there yet, or not any more
            if self._identity not in (None, chunk.identity) or chunk.size < self._offset:
                self._identity, self._offset = chunk.identity, 0
                continue
            self._identity = chunk.identity
            ready = [line for line in chunk.lines if line.complete or last]
            if not ready:
                return
            for line in ready:
                yield line.text
            self._offset = ready[-1].end


class StageFollower:
    """Gives each line of the logs of a stage once, attempt after attempt.

    Args:
        stage: the stage folder.
        streams: names of the log files to follow.
        lines: begin with the last so many lines of each file; None begins at the beginning.
    """

    def __init__(self, stage: Path, *, streams: tuple[str, ...] = STREAMS, lines: int | None = None) -> None:
        self._stage = stage
        self._streams = streams
        self._lines = lines
        self._files: dict[tuple[int, str], FileFollower] = {}

    def read(self, *, last: bool = False) -> Iterator[StageLogLine]:
        """The lines since the last call, those of new attempts included."""
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
        self._lines = None  # what appears from now on is read from its beginning

    def _streams_of(self, folder: Path) -> list[str]:
        """The stage's own logs and those of its shards; where none started, those of what should have started it."""
        started = [shard.name for shard in attempts.shard_folders(folder) if (shard / attempts.STARTED).exists()]
        own = [*(f"{shard}/{stream}" for shard in started for stream in self._streams), *self._streams]
        if started or (folder / attempts.STARTED).exists() or not folder.exists():
            return own
        others = [path for place in (folder, folder / attempts.ARRAY) for path in place.glob("*_log.*")]
        return [*own, attempts.WORKER_LOG, *sorted(str(path.relative_to(folder)) for path in others)]
