"""Files beside a file of rollouts that have more of them: rewards, scores, requests."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol, Self, runtime_checkable

from cogtui.store.importing.protocol import RowImporter
from pipelines.errors import CogtuiError
from pipelines.row_files import open_file, open_member, read_rows

_LONGEST_TEXT: Final = 1 << 16


class SiblingFiles:
    """The files beside one, in its folder or in the same zip archive.

    Args:
        path: of the file, or of the archive it is in.
        member: its name inside the archive.
    """

    def __init__(self, path: Path, member: str = "") -> None:
        self._path = path
        self._member = member

    def rows(self, relative: str) -> Iterator[Any]:
        """Yield the objects of a file of rows or documents; none if it is missing or cannot be read."""
        path, member = self._locate(relative)
        try:
            if member or path.is_file():
                yield from (row.value for row in read_rows(path, member) if row.value is not None)
        except CogtuiError:
            return

    def text(self, relative: str) -> str | None:
        """Return the text of a short file; None if it is missing, longer, or not text."""
        path, member = self._locate(relative)
        try:
            if not member and not path.is_file():
                return None
            with open_member(path, member) if member else open_file(path) as stream:
                content = stream.read(_LONGEST_TEXT + 1)
            return content.decode() if len(content) <= _LONGEST_TEXT else None
        except (CogtuiError, OSError, ValueError):
            return None

    def place(self, relative: str) -> Path:
        """Return the path of a file beside the one, as it is shown."""
        path, member = self._locate(relative)
        return path / member if member else path

    def _locate(self, relative: str) -> tuple[Path, str]:
        if self._member:
            return self._path, posixpath.normpath(posixpath.join(posixpath.dirname(self._member), relative))
        return Path(os.path.normpath(self._path.parent / relative)), ""


@runtime_checkable
class SiblingImporter(Protocol):
    """An importer whose layout spreads rollouts over several files. Their scores are read with the rollouts."""

    sibling_names: tuple[str, ...]
    """Of files that are read, relative to the file of rollouts: `../result.json`."""

    def beside(self, siblings: SiblingFiles) -> Self:
        """Return the importer for the file with these siblings. It may read them when its first row is read."""
        ...


def with_siblings(importer: RowImporter, path: Path, member: str = "") -> RowImporter:
    """Return the importer for a file: one that looks beside the file, if the layout does so."""
    return importer.beside(SiblingFiles(path, member)) if isinstance(importer, SiblingImporter) else importer


def sibling_places(importer: RowImporter, path: Path, member: str = "") -> list[Path]:
    """Return where an importer looks for more of the rollouts of a file."""
    if not isinstance(importer, SiblingImporter):
        return []
    siblings = SiblingFiles(path, member)
    return [siblings.place(name) for name in importer.sibling_names]
