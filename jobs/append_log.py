"""Append-only files of whole lines, one per user and host (notes, annotations)."""

import os
import re
import socket
from pathlib import Path

from jobs.user import user_name
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement


def identity() -> str:
    """Return `USER@HOST` in characters that a file name may have."""
    return safe_name(f"{user_name()}@{socket.gethostname()}")


def safe_name(name: str) -> str:
    """Replace characters that a file name may not have."""
    return re.sub(r"[^A-Za-z0-9._@-]", "_", name)


def own_file(workspace: Workspace, folder: str) -> Path:
    """Return the path of this user's file on this host, in a folder of the workspace."""
    return workspace.path / folder / f"{identity()}.jsonl"


def append_lines(path: Path, data: bytes, what: str) -> None:
    """Append whole lines with one write and flush them to disk.

    If an earlier write left the last line unfinished, a newline ends it first, so only that line is lost.

    Args:
        path: created with its folder if missing.
        data: ends with a newline.
        what: names the content in the error.

    Raises:
        MissingRequirement: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            whole = b"\n" + data if torn else data
            written = os.write(descriptor, whole)
            if written != len(whole):
                raise OSError(28, "the disk is full")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise MissingRequirement(f"{what} cannot be written to {path}: {error.strerror}") from error
