"""Finding the files of an import: in folders at any depth and in zip archives, and naming those that are left out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipelines.errors import InvalidInput, NotFound
from pipelines.row_files import ROW_SUFFIXES, LeftOutFile, container_of, has_row_suffix, list_zip, natural_key

_NOT_ROWS: Final = "its name is not that of a file of rows"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that may hold rollouts."""

    path: Path
    member: str = ""
    """Its name inside `path`, if that is a zip archive."""
    is_named: bool = True
    """Whether the user named it; one from a folder or an archive is left out where it cannot be read."""

    @property
    def place(self) -> Path:
        """The path to show: that of a member continues the path of its archive."""
        return self.path / self.member if self.member else self.path


@dataclass(slots=True)
class FoundFiles:
    """The files of an import."""

    files: list[FoundFile] = field(default_factory=list)
    left_out: list[LeftOutFile] = field(default_factory=list)


def find_files(paths: Iterable[Path]) -> FoundFiles:
    """Return the files to look into, in the order of the numbers in their paths, and those left out by their names.

    Args:
        paths: files, zip archives of files, and folders, which are searched at any depth.

    Raises:
        NotFound: a path does not exist, or a folder has no such files.
        InvalidInput: a zip archive is damaged.
    """
    found = FoundFiles()
    for path in dict.fromkeys(each.absolute() for each in paths):
        if path.is_dir():
            _search_folder(path, found)
        elif path.is_file():
            _add_file(path, found, is_named=True)
        elif path.exists():
            raise InvalidInput(f"{path} is neither a file nor a folder")
        else:
            raise NotFound(f"there is no file {path}")
    found.files = list(dict.fromkeys(found.files))
    return found


def _search_folder(root: Path, found: FoundFiles) -> None:
    inside: list[Path] = []
    for folder, names, files in os.walk(root):
        hidden = [name for name in names if name.startswith(".")]
        found.left_out += [LeftOutFile(Path(folder, name), "it is a hidden folder") for name in hidden]
        names[:] = [name for name in names if not name.startswith(".")]
        inside += [Path(folder, name) for name in files if not name.startswith(".")]
    inside.sort(key=lambda path: [natural_key(part) for part in path.relative_to(root).parts])
    rows = [path for path in inside if has_row_suffix(path.name) and path.is_file()]
    if not rows:
        raise NotFound(
            f"there are no rollout files in {root}", remedy=f"Looked at any depth for {', '.join(ROW_SUFFIXES)}."
        )
    kept = set(rows)
    found.left_out += [LeftOutFile(path, _NOT_ROWS) for path in inside if path not in kept]
    for path in rows:
        try:
            _add_file(path, found, is_named=False)
        except InvalidInput as error:
            found.left_out.append(LeftOutFile(path, error.summary))


def _add_file(path: Path, found: FoundFiles, *, is_named: bool) -> None:
    try:
        is_zip = container_of(path) == "zip"
    except InvalidInput:
        is_zip = False  # the plan says what is wrong with the file
    if not is_zip:
        found.files.append(FoundFile(path, is_named=is_named))
        return
    content = list_zip(path, ROW_SUFFIXES)
    found.left_out += content.left_out
    if not content.members:
        reasons = "\n".join(f"{each.path.name}: {each.reason}" for each in content.left_out[:5])
        raise InvalidInput(f"{path} is a zip archive without files of rows", detail=reasons)
    found.files += [FoundFile(path, member, is_named=content.is_inspect_log and is_named) for member in content.members]
