"""Where the index of a workspace lives: beside it on a local disk, else in a local cache folder.

Network file systems do not give SQLite reliable locks and shared memory, so an index is never put on one. Each
rebuild makes a new file (a generation), and a pointer file names the current one, so readers of the old one go on.
"""

import contextlib
import hashlib
import os
import re
import socket
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.private_folder import private_folder, private_folder_in, shared_roots
from jobs.user import home_folder
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, MissingRequirement
from pipelines.files import expand_user, open_regular, read_json, write_atomic, write_json

CACHE_VARIABLE: Final = "COGTUI_CACHE"
# fmt: off
NETWORK_TYPES: Final = frozenset((
    "9p", "afs", "beegfs", "beegfs_nodev", "ceph", "cephfs", "cifs", "davfs", "glusterfs", "gpfs", "gfs2", "juicefs",
    "lustre", "mmfs", "moosefs", "nfs", "nfs3", "nfs4", "ocfs2", "openafs", "orangefs", "panfs", "pvfs2", "quobyte",
    "s3fs", "smb2", "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
))
# fmt: on
"""File systems whose locks do not reach across hosts, or not reliably. `fuse.NAME` counts as NAME."""
_LOCAL_FUSE: Final = frozenset(("fuseblk", "fuse.ntfs-3g", "fuse.fuse-overlayfs", "fuse.overlayfs", "fuse.mergerfs"))
_POINTER: Final = "current"
_GENERATION: Final = re.compile(r"index-(\d{4,})\.db")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class IndexLocation:
    """The folder of an index, and the reason for choosing it."""

    folder: Path
    reason: str

    def current(self) -> Path | None:
        """Return the current index file, or None if there is none yet."""
        try:
            with open_regular(self.folder / _POINTER) as stream:
                name = stream.read(200).decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        path = self.folder / name
        return path if _GENERATION.fullmatch(name) and path.is_file() else None

    def next_generation(self) -> Path:
        """Return a file name that no index had before."""
        numbers = [int(match[1]) for path in self.folder.iterdir() if (match := _GENERATION.match(path.name))]
        return self.folder / f"index-{max(numbers, default=0) + 1:04d}.db"

    def point_to(self, index: Path) -> None:
        """Make `index` the current one and delete the older ones."""
        move_folder_away(self.folder / _POINTER)
        write_atomic(self.folder / _POINTER, index.name + "\n")
        for path in self.folder.glob("index-*.db*"):
            match = _GENERATION.match(path.name)
            if match and match[0] < index.name:
                move_folder_away(path)
                path.unlink(missing_ok=True)


def move_folder_away(path: Path) -> None:
    """Rename a folder that has the name of a file of the index; whose it is, and what it holds, is not known here."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"not-an-index-{path.name}-{os.urandom(4).hex()}"))


def locate_index(workspace: Workspace, *, mounts: str | None = None) -> IndexLocation:
    """Choose the location of the index of a workspace.

    Args:
        workspace: an existing workspace.
        mounts: text of `/proc/mounts`; tests pass their own.

    Raises:
        MissingRequirement: there is no writable local folder.
    """
    table = _mount_table(mounts)
    beside = workspace.path / "index"
    kind = _file_system(workspace.path, table)
    if is_network(kind):
        reason = f"the workspace is on {kind}, where SQLite is not safe"
    elif os.environ.get(CACHE_VARIABLE):
        reason = f"{CACHE_VARIABLE} is set"  # also the way out where the disk of the workspace is full
    elif _usable(beside):
        return IndexLocation(beside, "beside the workspace")
    else:
        reason = "the workspace cannot be written"
    folder = _cache_folder(("index", _identity(workspace.path)), table)
    if folder is not None:
        return IndexLocation(folder, reason)
    raise MissingRequirement(
        "there is no writable local folder for the index",
        detail=reason,
        remedy=f"Name one on a local disk: {CACHE_VARIABLE}=/some/local/folder",
    )


def is_network(kind: str) -> bool:
    """Return whether a file system type of `/proc/mounts` is a network file system."""
    if kind in _LOCAL_FUSE:
        return False
    if kind.startswith("fuse."):
        return True  # sshfs, gluster, ceph-fuse, …: nearly all are networked, and a local cache is always safe
    return kind in NETWORK_TYPES


def _mount_table(mounts: str | None) -> list[tuple[str, str]]:
    """(mount point, type) pairs in the order of the kernel; empty where it does not list them."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return []
    table = []
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) >= 3:
            table.append((_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[1]), fields[2]))
    return table


def _file_system(path: Path, table: list[tuple[str, str]]) -> str:
    """The type of the file system that has a path; empty if unknown."""
    real = os.path.realpath(path)
    best, kind = -1, ""
    for point, found in table:
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # a later mount on the same point hides the earlier
            best, kind = len(point), found
    return kind


def _cache_folder(parts: tuple[str, ...], table: list[tuple[str, str]]) -> Path | None:
    """Return the first folder for caches that is local, writable and this user's alone, with `parts` below it."""
    chosen = []
    if os.environ.get(CACHE_VARIABLE):
        chosen.append(expand_user(Path(os.environ[CACHE_VARIABLE])).absolute())
    base = os.environ.get("XDG_CACHE_HOME")
    home = home_folder()
    if base:
        chosen.append(Path(base) / "cogtui")
    elif home is not None:
        chosen.append(home / ".cache" / "cogtui")
    for root in chosen:
        if not is_network(_file_system(root, table)) and (folder := private_folder_in(root, *parts)):
            return folder
    for root in shared_roots():
        if not is_network(_file_system(root, table)) and (folder := private_folder(root, *parts)):
            return folder
    return None


def cache_folder(name: str, *, mounts: str | None = None) -> Path:
    """Return a private folder on a local disk for data that can be made again.

    Raises:
        MissingRequirement: there is no writable local folder.
    """
    folder = _cache_folder((name,), _mount_table(mounts))
    if folder is not None:
        return folder
    raise MissingRequirement(
        "there is no writable local folder for a cache",
        remedy=f"Name one on a local disk: {CACHE_VARIABLE}=/some/local/folder",
    )


def _usable(folder: Path) -> bool:
    """Create the folder; return whether this user can write to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _identity(path: Path) -> str:
    real = os.path.realpath(path)
    digest = hashlib.sha256(real.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(real).name)
    return f"{name[:40]}-{digest}"


def wal_works(folder: Path) -> bool:
    """Return whether write-ahead logging works in a folder, tried with a temporary file and two connections.

    Some file systems accept the mode and fail at the first write.
    """
    with tempfile.TemporaryDirectory(prefix=".probe-", dir=folder) as probe:
        path = Path(probe) / "probe.db"
        try:
            with (
                contextlib.closing(sqlite3.connect(path, timeout=1)) as writer,
                contextlib.closing(sqlite3.connect(path, timeout=1)) as reader,
            ):
                if writer.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
                    return False
                writer.execute("CREATE TABLE probe (value)")
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM probe").fetchone()
                with writer:
                    writer.execute("INSERT INTO probe VALUES (1)")
                reader.execute("COMMIT")
                return bool(reader.execute("SELECT value FROM probe").fetchone() == (1,))
        except sqlite3.Error:
            return False


def publish(workspace: Workspace, location: IndexLocation, index: Path) -> None:
    """Record in `index.json` of the workspace where this host keeps the index. Errors are ignored."""
    path = workspace.path / "index.json"
    entry = {"path": str(index), "reason": location.reason}
    try:
        known = read_json(path)
    except CogtuiError:
        known = None
    hosts = known.get("hosts") if isinstance(known, dict) else None
    hosts = hosts if isinstance(hosts, dict) else {}
    if hosts.get(socket.gethostname()) == entry:
        return
    with contextlib.suppress(OSError):
        write_json(path, {"version": 1, "hosts": {**hosts, socket.gethostname(): entry}})
