"""Rows of JSON text: lines, one list, or one or several objects over many lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from pipelines.errors import InvalidInput
from pipelines.row_files.opening import DamagedDataError, open_file
from pipelines.row_files.rows import MAX_DOCUMENT_BYTES, MAX_ROW_BYTES, RawRow

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SKIP_BYTES: Final = 1 << 20


def read_lines(path: Path) -> Iterator[RawRow]:
    """Yield the values of a JSON-lines file; blank lines are skipped. Only a newline ends a line."""
    with open_file(path) as stream:
        yield from lines_of(stream)


def lines_of(stream: IO[bytes]) -> Iterator[RawRow]:
    """Yield the values of a stream of JSON lines. Damaged compressed data ends it with an unreadable row."""
    number = 0
    readline = stream.readline
    while True:
        number += 1
        try:
            line = readline(MAX_ROW_BYTES + 1)
            if len(line) > MAX_ROW_BYTES:
                _skip_line(stream)
                yield RawRow(f"line {number}", None, f"the line is longer than {MAX_ROW_BYTES >> 20} MiB")
                continue
        except DamagedDataError as error:
            yield RawRow(f"line {number}", None, f"the compressed data is damaged here: {error}")
            return
        if not line:
            return
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line.isspace() and line:
            yield decode(f"line {number}", line)


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(_SKIP_BYTES)) and not rest.endswith(b"\n"):
        pass


def decode(place: str, line: bytes) -> RawRow:
    """Decode the JSON of a row."""
    try:
        return RawRow(place, json.loads(line.decode("utf-8", "surrogatepass")))
    except (ValueError, RecursionError) as error:
        return RawRow(place, None, f"not valid JSON: {error}")


def read_list(path: Path) -> Iterator[RawRow]:
    """Return the values of a file that is one JSON list.

    Raises:
        InvalidInput: it is not valid JSON, or not a list.
    """
    with open_file(path) as stream:
        return list_of(stream, str(path))


def list_of(stream: IO[bytes], name: str) -> Iterator[RawRow]:
    """Return the values of a stream that is one JSON list; see `read_list`."""
    try:
        values = json.loads(whole_text(stream, name))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} is not valid JSON: {error}") from error
    if not isinstance(values, list):
        raise InvalidInput(f"{name} is not a list of rows")
    return (RawRow(f"row {number}", value) for number, value in enumerate(values, 1))


def documents_of(stream: IO[bytes], name: str) -> Iterator[RawRow]:
    """Yield the objects of a stream that is one JSON object over many lines, or several one after another.

    Raises:
        InvalidInput: the first one is not valid JSON.
    """
    text = whole_text(stream, name)
    decoder = json.JSONDecoder()
    number, at = 0, 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        number += 1
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if number == 1:
                raise InvalidInput(f"{name} is not valid JSON: {error}") from error
            yield RawRow(f"object {number}", None, f"not valid JSON: {error}")
            return
        yield RawRow(f"object {number}", value)


def whole_text(stream: IO[bytes], name: str) -> str:
    """Return the text of a stream.

    Raises:
        InvalidInput: it is too large to be decoded at once, or damaged.
    """
    try:
        content = stream.read(MAX_DOCUMENT_BYTES + 1)
    except DamagedDataError as error:
        raise InvalidInput(f"{name} is damaged: {error}", remedy="Fetch it again.") from error
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(
            f"{name} is one JSON document of more than {MAX_DOCUMENT_BYTES >> 30} GiB",
            remedy="Convert it to JSON lines, one row per line, for instance with jq -c '.[]'.",
        )
    try:
        return content.decode("utf-8-sig", "surrogatepass")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8: {error}") from error


def starts_document(head: bytes, *, complete: bool) -> bool:
    """Return whether text that begins with `{` is an object over many lines, and not JSON lines.

    Args:
        head: the beginning of the text.
        complete: whether this is all of it.
    """
    line, newline, _ = head.removeprefix(BYTE_ORDER_MARK).lstrip().partition(b"\n")
    if not newline and not complete:
        return False
    text = line.decode("utf-8", "replace").rstrip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)  # the line is the beginning of a value
    except (ValueError, RecursionError):
        return False
    return False
