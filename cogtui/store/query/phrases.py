"""Checking single completions for a phrase by reading their text.

For one rollout the full-text index has to walk the postings of the phrase again, ten times slower than reading the
text. The result is the same: for ASCII text this module splits words exactly as the index does, and for any other
text it asks the index.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from io import BufferedReader
from types import TracebackType
from typing import Final, Self

from cogtui.store.filter.ast import TextPhrase
from cogtui.store.query.filter_sql import match_expression
from cogtui.store.stage_files.record_reader import RecordReader
from pipelines.errors import NotFound
from pipelines.files import open_regular

_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_BETWEEN: Final = "[^A-Za-z0-9]+"


def are_matchable(phrases: Iterable[TextPhrase]) -> bool:
    """Return whether all phrases can be matched without the index."""
    return all(phrase.phrase.isascii() and _WORD.search(phrase.phrase) for phrase in phrases)


class PhraseMatcher:
    """Checks rollouts for phrases. A context manager, because it keeps files open."""

    def __init__(self, connection: sqlite3.Connection, files: RecordReader, phrases: Sequence[TextPhrase]) -> None:
        self._db = connection
        self._files = files
        self._expressions = [match_expression(phrase) for phrase in phrases]
        self._wanted = [(_pattern(phrase), phrase.prefix) for phrase in phrases]
        self._open: dict[int, BufferedReader] = {}
        self._stack = ExitStack()

    def matches(self, serial: int) -> bool:
        """Return whether the completion of a rollout contains all phrases."""
        text = self._text(serial)
        if text is None or not text.isascii():
            return all(self._indexed(serial, expression) for expression in self._expressions)
        text = text.lower()
        return all(contains_phrase(text, pattern, prefix=prefix) for pattern, prefix in self._wanted)

    def _text(self, serial: int) -> str | None:
        from cogtui.store.stage_files.decode import completion_of

        address = self._db.execute("SELECT file, byte FROM record WHERE serial = ?", (serial,)).fetchone()
        if address is None:
            return None
        file, byte = address
        try:
            if file not in self._open:
                path, _ = self._files.file(file)
                self._open[file] = self._stack.enter_context(open_regular(path))
            stream = self._open[file]
            stream.seek(byte)
            return completion_of(stream.readline())
        except (OSError, ValueError, NotFound):
            return None

    def _indexed(self, serial: int, expression: str) -> bool:
        row = self._db.execute(
            "SELECT 1 FROM completion_fts WHERE completion_fts MATCH ? AND rowid = ?", (expression, serial)
        ).fetchone()
        return row is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _pattern(phrase: TextPhrase) -> re.Pattern[str]:
    return re.compile(_BETWEEN.join(_WORD.findall(phrase.phrase.lower())))


def contains_phrase(text: str, pattern: re.Pattern[str], *, prefix: bool) -> bool:
    """Return whether lower-case ASCII text contains a phrase, from the start of a word to the end of one."""
    at = 0
    while match := pattern.search(text, at):
        start, end = match.span()
        if not text[max(0, start - 1) : start].isalnum() and (prefix or not text[end : end + 1].isalnum()):
            return True
        at = start + 1
    return False
