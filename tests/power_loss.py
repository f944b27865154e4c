"""A simulated loss of power: what a disk may hold of a folder if nothing that was not synced was written."""

import os
import stat
from pathlib import Path

import pytest


class PowerLoss:
    """Records what is synced below a folder while it is patched in, and writes what a crash leaves.

    It is as strict as the standards: an entry of a folder survives only if the folder was synced after it was made, and
    the content of a file only as far as the file was synced.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, int]] = {}
        self._folders: set[int] = set()
        self._keep: list[int] = []
        sync = os.fsync
        self.syncs = 0

        def recording(descriptor: int) -> None:
            sync(descriptor)
            self.syncs += 1
            status = os.fstat(descriptor)
            # an open descriptor keeps the number of a deleted file from being used again
            self._keep.append(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY))
            path = Path(f"/proc/self/fd/{descriptor}")
            if stat.S_ISDIR(status.st_mode):
                names = os.listdir(path)  # noqa: PTH208
                self._entries[status.st_ino] = {name: os.lstat(path / name).st_ino for name in names}
                self._folders |= {os.lstat(path / name).st_ino for name in names if (path / name).is_dir()}
            else:
                self._contents[status.st_ino] = path.read_bytes()

        monkeypatch.setattr(os, "fsync", recording)

    def crash(self, place: Path) -> Path:
        """Write what is left of the folder after a crash now; return it."""
        self._write(self._root.stat().st_ino, place)
        for descriptor in self._keep:
            os.close(descriptor)
        self._keep.clear()
        return place

    def _write(self, inode: int, place: Path) -> None:
        place.mkdir()
        for name, found in self._entries.get(inode, {}).items():
            if found in self._folders:
                self._write(found, place / name)
            else:
                (place / name).write_bytes(self._contents.get(found, b""))
