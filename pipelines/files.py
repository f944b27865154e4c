"""Small files written whole or not at all, and JSON in one canonical spelling."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import msgspec

from pipelines.errors import InvalidInput

RESERVE_BYTES: Final = 4096
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE: Final = 0o644
"""Others may read where the umask lets them, and never write: records decide what runs as this user."""
_SYNC_THREADS: Final = 16
_NO_FOLDER_SYNC: Final = (errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOTSUP, errno.ENOSYS)
"""Errors of file systems, and of folders without read permission, on which folders cannot be synced."""


class DamagedFile(InvalidInput, ValueError):
    """A file that should hold JSON and does not. Also a ValueError, as content of the wrong shape is to its readers."""


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_atomic(path: Path, text: str, *, durable: bool = True) -> None:
    """Write `path` by temporary file and rename: readers see the old or the new text, never a part.

    Args:
        path: the file.
        text: its content.
        durable: also survive a loss of power, by syncing the file before the rename and its folder after. False for
            files that are only shown and soon written again: each sync waits for the disk.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; `path` is then unchanged.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(aside, _WRITE, _MODE), "w", encoding="utf-8", errors="surrogatepass") as stream:
            stream.write(text)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        aside.replace(path)
    except OSError:
        with suppress(OSError):  # on a file system that has turned read-only even this fails
            aside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write a value as indented JSON, atomically; `durable` as in `write_atomic`."""
    write_atomic(path, indented_json(value) + "\n", durable=durable)


def indented_json(value: Any) -> str:
    """Return JSON as `json.dumps(value, indent=1)` gives it, but for NaN, which is refused.

    With `indent`, the standard library encodes in Python: a third of the time of submitting thousands of stages.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        return msgspec.json.format(text, indent=1)
    except UnicodeEncodeError:  # lone surrogates, which msgspec refuses
        return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)


def reserve_file(path: Path) -> None:
    """Reserve disk space for a small JSON file, so that `write_reserved` can write it when the disk is full."""
    with suppress(OSError):  # the reserve is optional
        _reserve_of(path).write_bytes(b" " * RESERVE_BYTES)


def write_reserved(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically; on a full disk into the space that `reserve_file` reserved.

    Raises:
        OSError: it cannot be written in the reserve either.
    """
    reserve = _reserve_of(path)
    try:
        write_json(path, value)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not reserve.exists():
            raise
        text = json.dumps(value, ensure_ascii=True, allow_nan=False).encode()
        if len(text) > RESERVE_BYTES:
            raise
        with reserve.open("r+b") as stream:
            stream.write(text.ljust(RESERVE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        reserve.replace(path)
        return
    with suppress(OSError):
        reserve.unlink(missing_ok=True)


def _reserve_of(path: Path) -> Path:
    return path.with_name(f".{path.stem}.reserve")


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk, whichever process wrote it.

    Raises:
        OSError: the disk is full or fails.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until the entries of a folder are on the disk: without it a rename may be undone by a loss of power.

    Raises:
        OSError: the disk fails.
    """
    try:
        sync_file(path)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def sync_all(paths: Sequence[Path]) -> None:
    """Sync files and folders, in any order.

    Threads wait for several at a time, because a file system writes what is waited for together in one go: 2,000 on
    ext4 take 0.3 s so, and 8 s one after the other.

    Raises:
        OSError: the disk is full or fails; the first error.
    """
    if len(paths) < _SYNC_THREADS:
        for path in paths:
            _sync_any(path)
        return
    from concurrent.futures import ThreadPoolExecutor  # here: most commands sync a file or two

    with ThreadPoolExecutor(_SYNC_THREADS, "sync") as pool:
        for _ in pool.map(_sync_any, paths):
            pass


def _sync_any(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
    else:
        sync_file(path)


def sync_tree(path: Path) -> None:
    """Sync all files and folders below a folder to the disk, and the folder itself; links are not followed."""
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent) / name
            if file.is_file() and not file.is_symlink():
                sync_file(file)
        sync_folder(Path(parent))


def expand_user(path: Path) -> Path:
    """Return a path with `~` or `~USER` replaced by the home folder.

    Raises:
        InvalidInput: there is no such user, or no home folder.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        summary = f"{path}: there is no home folder for {path.parts[0]}"
        raise InvalidInput(summary, remedy="Write the path out.") from error


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading. A pipe or a device in its place is an error, since reading it could wait for ever.

    Raises:
        OSError: it cannot be opened, or is not a file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a file", str(path))
    return os.fdopen(descriptor, "rb")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file, or None where there is no such file.

    Raises:
        DamagedFile: the file is not JSON: another program wrote it, or it is damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
            raise DamagedFile(f"{path} is not a file", remedy="Remove it.")
        text = path.read_text(encoding="utf-8", errors="surrogatepass")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        said = f"{error.msg} at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise DamagedFile(
            f"{path} is not valid JSON: {said}",
            remedy="Restore the file, or delete its folder and run the stage again.",
        ) from error


def file_sha256(path: Path) -> str:
    """Return digest of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
