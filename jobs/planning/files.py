"""Writes files once, even if several launchers try at the same time."""

import errno
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pipelines.errors import MissingRequirement, StageFailed
from pipelines.files import sync_all, write_json

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Convert errors of the system about writing below `path` into errors with a remedy.

    Raises:
        StageFailed: the disk is full. MissingRequirement: it cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StageFailed(
                f"the disk is full: {path}",
                detail="Nothing was started, and nothing written before is lost.",
                remedy="Free some space and run the same command again.",
            ) from error
        raise MissingRequirement(f"{path} cannot be written: {error.strerror}") from error


def write_once(path: Path, value: Any) -> bool:
    """Write a value as JSON unless the file exists; see `write_all_once`. Return whether this call wrote it."""
    return write_all_once([(path, value)])[0]


def write_all_once(wanted: Sequence[tuple[Path, Any]]) -> list[bool]:
    """Write values as JSON to files that do not exist; readers see nothing or all of each, also after a loss of power.

    All files are written before the first is synced, so that the disk writes them together. The folders are not
    synced: a file may then be missing, which is as if it was never written.

    Returns:
        For each file True if this call wrote it; False if it existed or another launcher was faster.

    Raises:
        OSError: a folder is missing or not writable, or the disk is full.
    """
    asides: list[Path | None] = []
    try:
        for path, value in wanted:
            aside = None if path.exists() else path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
            asides.append(aside)
            if aside is not None:
                write_json(aside, value, durable=False)
        sync_all([aside for aside in asides if aside is not None])
        return [aside is not None and _appear(aside, path) for aside, (path, _) in zip(asides, wanted, strict=True)]
    finally:
        for aside in asides:
            with suppress(OSError):
                if aside is not None:
                    aside.unlink(missing_ok=True)


def _appear(aside: Path, path: Path) -> bool:
    """Give a finished file its final name, unless another launcher was faster."""
    try:
        # A link, unlike a rename, never replaces the file of another launcher.
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        aside.rename(path)  # no hard links on this file system: the last of two equal writers wins
    return True
