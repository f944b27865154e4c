"""Searches the logs of many stages, a slice of time at once, so that a screen shows what is found so far."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from jobs.logs.pattern import LogPattern, SearchTooSlow
from jobs.logs.reader import LogBlock, attempt_logs, clean_line, scan_blocks
from pipelines.files import open_regular

MOST_LINES: Final = 10_000
"""Lines counted per log; a log with more is not read further."""
_EXCERPT: Final = 400
"""Bytes of the first matching line that are kept."""


@dataclass(slots=True)
class LogMatches:
    """The lines of one log that match."""

    key: str
    """Of the stage."""
    path: Path
    count: int = 0
    """Matching lines, `MOST_LINES` at most."""
    excerpt: str = ""
    """Text of the first one."""
    problem: str = ""
    """Why the rest of the log was not searched; empty if all of it was."""

    @property
    def is_capped(self) -> bool:
        """Whether there may be more matching lines than were counted."""
        return self.count >= MOST_LINES


class SearchProgress(NamedTuple):
    """How far a search has come."""

    logs: int
    """Logs searched so far."""
    stages: int
    """Stages whose logs were searched."""
    total: int
    """Stages to search."""
    megabytes: float
    done: bool


class LogSearch:
    """A search of all logs of some stages. Not thread-safe: one call of `advance` at a time.

    Args:
        stages: key and folder of each stage, in the order in which they are searched.
        pattern: what to search for.
        stop: called between blocks; True ends the search.
    """

    def __init__(
        self, stages: Sequence[tuple[str, Path]], pattern: LogPattern, stop: Callable[[], bool] = bool
    ) -> None:
        self.pattern = pattern
        self.found: list[LogMatches] = []
        """Logs with a match or a problem, in the order of the stages."""
        self._stages = stages
        self._stop = stop
        self._searched = 0
        self._logs = 0
        self._bytes = 0
        self._done = False
        self._steps = self._search()

    def advance(self, seconds: float) -> SearchProgress:
        """Search for about as long as given; at least one block."""
        deadline = time.monotonic() + seconds
        for _ in self._steps:
            if time.monotonic() >= deadline or self._stop():
                break
        else:
            self._done = True
        return SearchProgress(self._logs, self._searched, len(self._stages), self._bytes / 2**20, self._done)

    def _search(self) -> Iterator[None]:
        """Search block by block; yield after each block and each stage."""
        for key, folder in self._stages:
            for path in self._logs_of(key, folder):
                matches = LogMatches(key, path)
                try:
                    for block in self._blocks(path):
                        self._count(block, matches)
                        if matches.count and (not self.found or self.found[-1] is not matches):
                            self.found.append(matches)
                        self._bytes += block.whole
                        yield
                        if matches.is_capped:
                            break
                except (OSError, SearchTooSlow) as error:
                    matches.problem = str(error.strerror if isinstance(error, OSError) else error.summary)
                    if not matches.count:
                        self.found.append(matches)
                self._logs += 1
            self._searched += 1
            yield

    def _logs_of(self, key: str, folder: Path) -> list[Path]:
        try:
            return attempt_logs(folder)
        except OSError as error:
            self.found.append(LogMatches(key, folder, problem=f"its folder cannot be read: {error.strerror}"))
            return []

    def _blocks(self, path: Path) -> Iterator[LogBlock]:
        with open_regular(path) as stream:
            yield from scan_blocks(stream.fileno(), 0, os.fstat(stream.fileno()).st_size, self._stop)

    def _count(self, block: LogBlock, matches: LogMatches) -> None:
        """Count the lines of a block with a match."""
        data, position = block.data, 0
        while position < block.whole and not matches.is_capped and not self._stop():
            match = self.pattern.search(data, position, block.whole)
            if match is None:
                return
            if not matches.count:
                start = data.rfind(b"\n", 0, match.start()) + 1
                newline = data.find(b"\n", match.start())
                end = len(data) if newline < 0 else newline
                # Of a very long line, what surrounds the match.
                start = max(start, match.start() - _EXCERPT // 4)
                matches.excerpt = clean_line(data[start : min(end, start + _EXCERPT)]).strip()
            matches.count += 1
            newline = data.find(b"\n", match.start())
            if newline < 0:
                return
            position = newline + 1
