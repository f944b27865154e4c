"""Ages of files by the clock of the file system, because the clocks of nodes differ."""

import os
import time
from pathlib import Path


def file_age_s(path: Path) -> float | None:
    """Return the seconds since a file was written, by the local clock and never negative; None if it does not exist."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def clock_skew_s(folder: Path) -> float | None:
    """Return how far the clock of a folder's file system is ahead of the local one, in seconds; None if not measurable.

    A network file system stamps files with the server's time. The probe writes and removes one empty file.
    """
    probe = folder / f".clock.{os.getpid()}.tmp"
    try:
        before = time.time()
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            stamp = os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
        return stamp - (before + time.time()) / 2
    except OSError:
        return None
