"""Keeping an index up to date from a process of its own, so that no screen ever waits for it."""

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
    """A child process that ingests until it is told to stop, or whoever started it is gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cogtui.store.ingest.follower", str(workspace.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the app's terminal is not for it
        )

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends it; what it has read so far is in the index."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # harmless: a batch is in the index whole or not at all
            self._process.wait()


def follow(workspace: Workspace, stdin: int) -> None:
    """Ingests whatever comes, while it holds the lease, until the other end of `stdin` is closed."""
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
                    writer = IndexWriter(path, workspace)
                if writer is not None:
                    _one_round(writer, stdin)
            except (CogtuiError, OSError, sqlite3.Error):
                wait_s = AFTER_ERROR_S  # a full disk, a file system that is away: it may be over then
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
    """Whether the other end closed; waits for that a while. What is sent has no meaning."""
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
