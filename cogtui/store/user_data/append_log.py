"""Files that people's programs append to: one a user and host, of whole lines (notes, annotations)."""

import getpass
import os
import re
import socket
from pathlib import Path

from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement


def user_name() -> str:
    """Who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def identity() -> str:
    """`USER@HOST`, in characters that a file name may have."""
    return safe_name(f"{user_name()}@{socket.gethostname()}")


def safe_name(name: str) -> str:
    """A name in characters that a file name may have."""
    return re.sub(r"[^A-Za-z0-9._@-]", "_", name)


def own_file(workspace: Workspace, folder: str) -> Path:
    """The file in a folder of the workspace that is this user's on this host."""
    return workspace.path / folder / f"{identity()}.jsonl"


def append_lines(path: Path, data: bytes, what: str) -> None:
    """Appends whole lines with one write, and makes sure they are on the disk.

    A last line that some earlier write left unfinished is ended first: it is lost, and nothing else.

    Args:
        path: made if need be, its folder too.
        data: ends with a newline.
        what: is written, for the error.

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
