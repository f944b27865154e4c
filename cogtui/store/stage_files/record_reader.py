"""Reading single records back from the files they lie in."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from cogtui.store.values.encodings import Family
from jobs.workspace import Workspace
from pipelines.errors import NotFound


class RecordReader:
    """The lines behind the index, by source number and byte."""

    def __init__(self, connection: sqlite3.Connection, workspace: Workspace) -> None:
        self._db = connection
        self._root = workspace.path
        self._sources: dict[int, tuple[Path, Family]] = {}

    def source(self, number: int) -> tuple[Path, Family]:
        """Path and family of a source.

        Raises:
            NotFound: the index changed meanwhile and there is none of that number.
        """
        if number not in self._sources:
            row = self._db.execute("SELECT path, family FROM stream_file WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise NotFound("the index changed while it was read", remedy="Do it again.")
            self._sources[number] = (self._root / row[0], row[1])
        return self._sources[number]

    def line(self, number: int, byte: int) -> bytes:
        """Read the line that starts at a byte.

        Raises:
            NotFound: the file is gone or shorter than it was.
        """
        return self.lines([(number, byte)])[number, byte]

    def lines(self, places: Iterable[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Read several lines, opening each file once.

        Args:
            places: source number and first byte of each line; may repeat.

        Raises:
            NotFound: a file is gone or shorter than it was.
        """
        by_source: defaultdict[int, set[int]] = defaultdict(set)
        for number, byte in places:
            by_source[number].add(byte)
        found: dict[tuple[int, int], bytes] = {}
        for number, starts in by_source.items():
            path, _ = self.source(number)
            try:
                with path.open("rb") as stream:
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
