"""Writes files once, even if several launchers try at the same time."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pipelines.errors import MissingRequirement, StageFailed
from pipelines.files import sync_file, write_json

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
    """Write a value as JSON unless the file exists; readers see nothing or all of it, after a loss of power too.

    The folder is not synced: the file may then be missing, which is as if it was never written.

    Returns:
        True if this call wrote it; False if it existed or another launcher was faster.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full.
    """
    if path.exists():
        return False
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        write_json(aside, value, durable=False)
        sync_file(aside)
        try:
            # A link, unlike a rename, never replaces the file of another launcher.
            os.link(aside, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            aside.rename(path)  # no hard links on this file system: the last of two equal writers wins
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return True
