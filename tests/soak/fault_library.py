"""Compiles `faultfs.c`, and switches its faults on and off for all processes that were started with it."""

import mmap
import os
import shutil
import struct
import subprocess
from enum import IntFlag
from pathlib import Path
from typing import Final

_LAYOUT: Final = struct.Struct("<IIqqQQQ")
"""`struct control` of `faultfs.c`: faults, permille, budget, clock_ns, seed, calls, injected."""


class DiskFault(IntFlag):
    """Bits of `faults` in `faultfs.c`."""

    NONE = 0
    FULL = 1
    READ_ONLY = 2
    WRITE_ERROR = 4
    READ_ERROR = 8
    SHORT = 16


def missing_tool() -> str | None:
    """Return why the library cannot be made here, or None."""
    return None if shutil.which("gcc") else "gcc is not installed"


class FaultLibrary:
    """The library, its control file and its shadow of synced files, for the files below one folder."""

    def __init__(self, work: Path, root: Path, seed: int) -> None:
        """Compile the library.

        Args:
            work: an existing folder on the same file system as `root`, outside of it.
            root: the folder whose files are subject to faults. Need not exist.
            seed: decides which calls fail.
        """
        self.root = root
        self.shadow = work / "shadow"
        self.shadow.mkdir()
        self._library = work / "faultfs.so"
        source = Path(__file__).with_name("faultfs.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(source)], check=True)
        self._control = work / "control"
        self._control.write_bytes(_LAYOUT.pack(0, 0, 0, 0, seed, 0, 0))
        with self._control.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), _LAYOUT.size)

    def environment(self) -> dict[str, str]:
        """Return the variables that a process needs to be subject to the faults; its children inherit them."""
        return {
            "LD_PRELOAD": str(self._library),
            "COGTUI_SOAK_CONTROL": str(self._control),
            "COGTUI_SOAK_ROOT": os.path.realpath(self.root),
            "COGTUI_SOAK_SHADOW": str(self.shadow),
        }

    def set_faults(self, faults: DiskFault, *, permille: int = 1000, budget: int = 0) -> None:
        """Switch faults on, or off with `DiskFault.NONE`, in all processes at once.

        Args:
            faults: which.
            permille: of the calls to which errors and short writes apply.
            budget: bytes that can still be written to a full disk.
        """
        # the switch is written last, so that no process sees it beside old numbers
        struct.pack_into("<Iq", self._memory, 4, permille, 0)
        struct.pack_into("<q", self._memory, 8, budget)
        struct.pack_into("<I", self._memory, 0, int(faults))

    def set_clock(self, seconds: float) -> None:
        """Move the wall clock of all processes by some seconds."""
        struct.pack_into("<q", self._memory, 16, int(seconds * 1e9))

    def injected(self) -> int:
        """Return the number of calls that failed or were cut short so far."""
        return int(_LAYOUT.unpack_from(self._memory, 0)[6])
