"""Regular expressions that a person typed: matched with a time limit, and without stopping the other threads.

Python's `re` keeps the interpreter's lock while it matches and cannot be interrupted, so `(a+)+$` would freeze the app
for ever. The package `regex` releases the lock and takes a time limit. Its syntax is that of `re`, with additions.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol

from pipelines.errors import InvalidInput

BLOCK_LIMIT_S: Final = 2.0
"""Processor time for one block of 1 MiB; a plain pattern takes some milliseconds."""
LINE_LIMIT_S: Final = 0.02
"""Processor time for a line that is drawn."""


class LogMatch(Protocol):
    """The part of a match that both `re` and `regex` have."""

    def start(self) -> int:
        """Return the offset of the match."""
        ...


class SearchTooSlow(InvalidInput):
    """A pattern took too long on a block of a log."""


class LogPattern:
    """A search pattern of a person, for blocks of a log and for lines on the screen.

    Lower case finds both cases; `^` and `$` match at every line.

    Args:
        text: the pattern.

    Raises:
        InvalidInput: it is not a regular expression.
    """

    def __init__(self, text: str) -> None:
        import regex

        self.text = text
        flags = regex.MULTILINE | (regex.IGNORECASE if text == text.lower() else 0)
        try:
            self._lines: Any = regex.compile(text, flags)
            self._bytes: Any = regex.compile(text.encode("utf-8", "replace"), flags)
        except (regex.error, RecursionError) as error:
            said = error.msg if isinstance(error, regex.error) else "nested too deeply"
            raise InvalidInput(f"{text!r} is not a regular expression: {said}") from error

    def search(self, data: bytes, start: int, stop: int) -> LogMatch | None:
        """Return the first match in a block.

        Raises:
            SearchTooSlow: the time limit was over.
        """
        try:
            match: LogMatch | None = self._bytes.search(data, start, stop, concurrent=True, timeout=BLOCK_LIMIT_S)
        except TimeoutError as error:
            raise self._too_slow() from error
        return match

    def finditer(self, data: bytes, start: int) -> Iterator[LogMatch]:
        """Iterate over the matches in a block.

        Raises:
            SearchTooSlow: the time limit was over.
        """
        try:
            yield from self._bytes.finditer(data, start, concurrent=True, timeout=BLOCK_LIMIT_S)
        except TimeoutError as error:
            raise self._too_slow() from error

    def spans_in(self, line: str) -> list[tuple[int, int]]:
        """Return the ranges of the matches in a line on the screen that are not empty.

        Raises:
            SearchTooSlow: the time limit was over.
        """
        try:
            found = [match.span() for match in self._lines.finditer(line, timeout=LINE_LIMIT_S)]
        except TimeoutError as error:
            raise self._too_slow() from error
        return [(start, end) for start, end in found if start < end]

    def _too_slow(self) -> SearchTooSlow:
        return SearchTooSlow(
            f"the search for {self.text!r} was given up: it takes too long on this log",
            remedy="Avoid a repetition inside a repetition, such as (a+)+.",
        )
