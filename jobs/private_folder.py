"""Folders that no other user can write to or replace, also below folders that everybody may write to."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def private_folder(root: Path, *parts: str) -> Path | None:
    """Create `root/part/…` for this user alone; return it, or None if it is not safe to use.

    The root and every folder below it must be a folder of this user, and no link, since another user may have created
    it first. Permissions that others have on them are removed. The folder above the root must be this user's or
    root's; if everybody can write to it, it must be sticky, so that nobody else can rename what is in it.

    Args:
        root: the uppermost folder that must be this user's own; created if missing.
        parts: folders below it.
    """
    try:
        root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _keeps_entries(root.parent.stat()):
            return None
        folder = root
        for part in ("", *parts):
            folder = folder / part
            if not _make_own(folder):
                return None
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    except OSError:
        return None


def private_folder_in(chosen: Path, *parts: str) -> Path | None:
    """Create private folders in a folder that this user named, which keeps its permissions and may be a link.

    In a folder that belongs to somebody else they are below `cogtui-UID`.

    Args:
        chosen: created if missing.
        parts: folders below it, at least one.
    """
    try:
        chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        if chosen.stat().st_uid == os.getuid():
            return private_folder(chosen / parts[0], *parts[1:])
        return private_folder(chosen / f"cogtui-{os.getuid()}", *parts)
    except OSError:
        return None


def shared_roots() -> Iterator[Path]:
    """Yield this user's folders below folders that every user may write to, on local disks."""
    for shared in dict.fromkeys(("/var/tmp", tempfile.gettempdir())):
        yield Path(shared) / f"cogtui-{os.getuid()}"


def _keeps_entries(parent: os.stat_result) -> bool:
    """Whether no other user can replace an entry of a folder that belongs to this one."""
    if parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX:
        return False
    # Root owns shared folders. In a container that maps users, it appears as the overflow user.
    return parent.st_uid in (os.getuid(), 0, _overflow_uid())


def _make_own(folder: Path) -> bool:
    """Create a folder unless it exists; return whether it is this user's own, after removing what others may do."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return True


def _overflow_uid() -> int:
    try:
        if Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", "4294967295"]:
            return 0  # no mapping: that user is a real one
        return int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def is_written_by_others(descriptor: int, parent: Path) -> bool:
    """Whether another user could have written a file: it, or its folder, is not ours or others may write to it.

    Root's files are trusted, and a folder with the sticky bit keeps our entries.

    Args:
        descriptor: of the open file.
        parent: its folder.

    Raises:
        OSError: the folder cannot be looked at.
    """
    file, folder = os.fstat(descriptor), parent.stat()
    trusted = (os.getuid(), 0, _overflow_uid())
    if file.st_uid not in trusted or folder.st_uid not in trusted or file.st_mode & _OTHERS_WRITE:
        return True
    return bool(folder.st_mode & _OTHERS_WRITE) and not folder.st_mode & stat.S_ISVTX
