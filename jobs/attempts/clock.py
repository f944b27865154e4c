"""Ages of files by one clock: that of the file system. Nodes disagree about the time; their files do not."""

import os
import time
from pathlib import Path


def file_age_s(path: Path) -> float | None:
    """Seconds since a file was written, by our clock, never negative; None where there is none."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def clock_skew_s(folder: Path) -> float | None:
    """How far the clock of a folder's file system runs ahead of ours, in seconds; None where it cannot be probed.

    On a network file system times of files are the server's. The probe writes and removes one empty file.
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
