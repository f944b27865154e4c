"""Reads TOML with the line of every key, which tomllib does not report.

tomllib decides what is valid and what it means; the scanner only walks over text that tomllib has accepted, and
records where each key and array element begins.
"""

import re
import tomllib
from bisect import bisect_right
from pathlib import Path as FilePath
from typing import Any, Final

from pipelines.errors import InvalidInput, NotFound

KeyPath = tuple[str | int, ...]
"""Path of a value: keys and array indices from the top."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}\n#]*")
_BLANK: Final = re.compile(r"[ \t]*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_ERROR_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def read_toml(path: FilePath) -> tuple[str, dict[str, Any]]:
    """Return text and values of a TOML file.

    Raises:
        NotFound: the file does not exist or cannot be read.
        InvalidInput: it is not valid TOML; names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}", remedy="Check the path.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: the file is not UTF-8 text", remedy="Save it as UTF-8.") from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _decode_error(path, text, str(error)) from error
    except RecursionError as error:
        raise InvalidInput(f"{path}:1: nested too deeply", remedy="Use fewer levels.") from error


def _decode_error(path: FilePath, text: str, message: str) -> InvalidInput:
    place = _ERROR_PLACE.search(message)
    lines = text.splitlines() or [""]
    number = int(place[1]) if place and place[1] else len(lines)
    what = _ERROR_PLACE.sub("", message)
    source = lines[min(number, len(lines)) - 1].strip()
    if what.startswith(("Cannot overwrite", "Cannot declare", "Duplicate", "Cannot mutate")):
        key = source.strip("[] ") if source.startswith("[") else source.partition("=")[0].strip()
        return InvalidInput(f"{path}:{number}: duplicate key {key!r}", detail=source, remedy="Remove one of the two.")
    return InvalidInput(f"{path}:{number}: not valid TOML: {what}", detail=source, remedy="Correct that line.")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) on which each key, table header and array element of a valid TOML text begins."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._elements: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip(_BLANK_LINES) < len(self.text):
            table = self._header() if self.text[self.at] == "[" else self._pair(table)
        return self.lines

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _note(self, path: KeyPath, *, again: bool = False) -> None:
        line = bisect_right(self._starts, self.at)
        if again or path not in self.lines:
            self.lines[path] = line

    def _header(self) -> KeyPath:
        start = self.at
        many = self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        parts = self._key()
        end = self.text.index("]", self.at) + (2 if many else 1)
        self.at = start
        path: KeyPath = ()
        for part in parts[:-1]:
            path = self._inside((*path, part))
            self._note(path)
        path = (*path, parts[-1])
        if many:
            self._note(path)
            self._elements[path] = self._elements.get(path, -1) + 1
            path = (*path, self._elements[path])
        self._note(path, again=True)
        self.at = end
        return path

    def _inside(self, path: KeyPath) -> KeyPath:
        """Return the path of a table; below an array of tables it is in the latest element."""
        return (*path, self._elements[path]) if path in self._elements else path

    def _pair(self, table: KeyPath) -> KeyPath:
        start = self.at
        parts = self._key()
        after = self.at
        self.at = start
        path = table
        for part in parts:
            path = (*path, part)
            self._note(path)
        self.at = self.text.index("=", after) + 1
        self._skip(_BLANK)
        self._value(path)
        return table

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_BLANK)
            start = self.at
            if self.text[start] in "\"'":
                self._string()
                parts.append(next(iter(tomllib.loads(f"{self.text[start : self.at]}=0"))))
            else:
                self._skip(_BARE_KEY)
                parts.append(self.text[start : self.at])
            self._skip(_BLANK)
            if self.text[self.at : self.at + 1] != ".":
                return parts
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._string()
        elif opening in "[{":
            self._container(path, "]" if opening == "[" else "}")
        else:
            self._skip(_BARE_VALUE)

    def _container(self, path: KeyPath, closing: str) -> None:
        self.at += 1
        index = 0
        while self.text[self._skip(_BLANK_LINES)] != closing:
            if self.text[self.at] == ",":
                self.at += 1
            elif closing == "}":
                self._pair(path)
            else:
                self._note((*path, index))
                self._value((*path, index))
                index += 1
        self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        long = self.text.startswith(quote * 3, self.at)
        mark = quote * 3 if long else quote
        self.at += len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(mark)
        if long:  # up to two quotes may precede the closing three
            while self.text[self.at : self.at + 1] == quote:
                self.at += 1
