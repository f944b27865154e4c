"""Keeping an index up to date from a process of its own, so that no screen waits for it."""

from __future__ import annotations

import contextlib
import os
import select
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from cogtui.store.db.connection import ensure_index
from cogtui.store.db.lease import LeaseLost
from cogtui.store.db.location import locate_index
from cogtui.store.ingest.writer import IndexWriter
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError

LOOK_EVERY_S: Final = 0.7
AFTER_ERROR_S: Final = 10.0
_STOP_WITHIN_S: Final = 5.0


class Follower:
    """A child process that ingests until it is stopped or its parent ends."""

    def __init__(self, workspace: Workspace) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cogtui.store.ingest.follower", str(workspace.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal of the app must not end it
        )

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process; the index keeps what it has read so far."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # safe: each batch is one transaction
            self._process.wait()


def follow(workspace: Workspace, stdin: int) -> None:
    """Ingest new records, while this process has the lease, until the other end of `stdin` is closed."""
    writer: IndexWriter | None = None
    try:
        while not _closed(stdin, 0):
            wait_s = LOOK_EVERY_S
            try:
                path = ensure_index(locate_index(workspace)) if workspace.path.is_dir() else None
                if writer is not None and writer.path != path:
                    writer.close()
                    writer = None
                if writer is None and path is not None:
                    writer = IndexWriter(path, workspace, watching=True)
                if writer is not None:
                    _one_round(writer, stdin)
            except (CogtuiError, OSError, sqlite3.Error):
                wait_s = AFTER_ERROR_S  # a full disk, an unmounted file system: try again later
            if _closed(stdin, wait_s):
                break
    finally:
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.close()


def _one_round(writer: IndexWriter, stdin: int) -> None:
    try:
        if not writer.take():
            return
        for _ in writer.round():
            if _closed(stdin, 0):
                return
    except LeaseLost:
        return


def _closed(stdin: int, wait_s: float) -> bool:
    """Wait until the other end closes, at most `wait_s`; return whether it did. Data on the pipe is ignored."""
    deadline = time.monotonic() + wait_s
    while True:
        ready, _, _ = select.select([stdin], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        if not os.read(stdin, 4096):
            return True


if __name__ == "__main__":
    os.nice(5)
    follow(Workspace(Path(sys.argv[1])), sys.stdin.fileno())
