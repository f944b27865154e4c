"""`FolderWatch`: what changed in folders of this machine's disks, as the kernel reports it (inotify).

On network file systems the kernel sees only changes by this machine, so folders there are not watched.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# Of file systems whose device number is in the kernel's list of mounts, and that only this machine writes.
_LOCAL_TYPES: Final = frozenset(("ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"))
_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_MASK: Final = _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_ONLY_FOLDERS: Final = 0x01000000
_EVENT: Final = struct.Struct("iIII")
"""Watch, what happened, a cookie, and the length of the name that follows."""
_READ_BYTES: Final = 1 << 16


class FolderWatch:
    """Watches folders under names; several folders may share a name. Without inotify it watches nothing."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._names: dict[int, str] = {}
        self._is_refused = False
        self._local: dict[int, bool] = {}
        self._library: ctypes.CDLL | None = None

    def add(self, name: str, folders: Iterable[str]) -> bool:
        """Watch folders; return whether all of them are watched. A change before this call is not reported."""
        return all(self._add(name, folder) for folder in folders)

    def changed(self) -> frozenset[str] | None:
        """Return the names in whose folders something changed since the last call; None if reports were lost."""
        if self._descriptor < 0:
            return frozenset()
        found: set[str] = set()
        lost = False
        while True:
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                return None if lost else frozenset(found)
            except OSError:
                return None
            place = 0
            while place < len(data):
                watch, what, _, length = _EVENT.unpack_from(data, place)
                place += _EVENT.size + length
                lost = lost or bool(what & _OVERFLOW)
                name = self._names.pop(watch, None) if what & _IGNORED else self._names.get(watch)
                if name is not None:
                    found.add(name)

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._is_refused = -1, True

    def __del__(self) -> None:
        self.close()

    def _add(self, name: str, folder: str) -> bool:
        if self._is_refused or not self._is_local(folder):
            return False
        if self._descriptor < 0 and not self._open():
            return False
        assert self._library is not None
        watch = self._library.inotify_add_watch(self._descriptor, os.fsencode(folder), _MASK | _ONLY_FOLDERS)
        if watch < 0:
            # ENOSPC: as many watches as this user may have; the other folders are looked at by the clock
            self._is_refused = ctypes.get_errno() in (errno.ENOSPC, errno.ENOMEM)
            return False
        self._names[watch] = name
        return True

    def _open(self) -> bool:
        try:
            self._library = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            self._descriptor = -1
        self._is_refused = self._descriptor < 0
        return not self._is_refused

    def _is_local(self, folder: str) -> bool:
        try:
            device = os.stat(folder).st_dev  # noqa: PTH116
        except OSError:
            return False
        if device not in self._local:
            self._local[device] = file_system_type(device) in _LOCAL_TYPES
        return self._local[device]


def file_system_type(device: int) -> str:
    """Return the type of the mounted file system with a device number (`st_dev`); empty if unknown."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 2 and fields[2] == wanted and after:
            return after.split(" ")[0]
    return ""
