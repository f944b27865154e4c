"""Reading single records back from their stage files."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from cogtui.store.values.encodings import Family
from jobs.workspace import Workspace
from pipelines.errors import NotFound
from pipelines.files import open_regular


class RecordReader:
    """Reads lines by file id and byte offset, as the index refers to them."""

    def __init__(self, connection: sqlite3.Connection, workspace: Workspace) -> None:
        self._db = connection
        self._root = workspace.path
        self._files: dict[int, tuple[Path, Family]] = {}

    def file(self, number: int) -> tuple[Path, Family]:
        """Return path and family of a file.

        Raises:
            NotFound: the index changed meanwhile and has no file of that id.
        """
        if number not in self._files:
            row = self._db.execute("SELECT path, family FROM stream_file WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise NotFound("the index changed while it was read", remedy="Try again.")
            self._files[number] = (self._root / row[0], row[1])
        return self._files[number]

    def line(self, number: int, byte: int) -> bytes:
        """Read the line that starts at a byte offset.

        Raises:
            NotFound: the file is gone or shorter than it was.
        """
        return self.lines([(number, byte)])[number, byte]

    def lines(self, addresses: Iterable[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Read several lines, opening each file once.

        Args:
            addresses: file id and byte offset of each line; may repeat.

        Raises:
            NotFound: a file is gone or shorter than it was.
        """
        by_file: defaultdict[int, set[int]] = defaultdict(set)
        for number, byte in addresses:
            by_file[number].add(byte)
        found: dict[tuple[int, int], bytes] = {}
        for number, starts in by_file.items():
            path, _ = self.file(number)
            try:
                with open_regular(path) as stream:
                    for byte in sorted(starts):
                        stream.seek(byte)
                        found[number, byte] = stream.readline()
            except OSError as error:
                raise NotFound(
                    f"cannot read {path}: {error.strerror}", remedy="If it was deleted, run cogtui reindex."
                ) from error
            if not all(found[number, byte] for byte in starts):
                raise NotFound(f"{path} is shorter than it was", remedy="Run cogtui reindex.")
        return found
