"""What a loss of power leaves of a folder, from the shadow that `faultfs.c` keeps of synced files.

Everything synced survives. Of all else, each file, each removal and each end of a file survives or not by chance: as
the standards allow, and stricter than journaling file systems, which keep the order of changes to folders. Files
written in place count as synced with their last synced content or their present one.
"""

import os
import random
import shutil
from pathlib import Path
from typing import NamedTuple


class _Entry(NamedTuple):
    inode: int
    live: Path | None
    """None if it was removed or replaced since it was synced."""


def lose_power(root: Path, shadow: Path, rng: random.Random) -> None:
    """Replace a folder by what a loss of power now leaves of it. No process may be writing to it.

    Args:
        root: the folder.
        shadow: its shadow; describes the new content afterwards, all of which is on the disk.
        rng: decides what of the changes that were not synced survives.
    """
    before = root.with_name(root.name + ".before")
    root.rename(before)
    (shadow / f"d-{root.parent.stat().st_ino}").unlink(missing_ok=True)
    _restore(before.stat().st_ino, before, root, shadow, rng)
    index = before / "index"
    if index.is_dir() and rng.random() < 0.5:  # a copy that can be rebuilt, and that SQLite keeps whole
        shutil.rmtree(root / "index", ignore_errors=True)
        shutil.copytree(index, root / "index")
    shutil.rmtree(before)
    for path in shadow.iterdir():
        path.unlink()
    record_as_synced(root, shadow)


def record_as_synced(root: Path, shadow: Path) -> None:
    """Record everything in a folder as synced."""
    for parent, folders, names in os.walk(root):
        if "index" in folders:
            folders.remove("index")
        here = Path(parent)
        entries = [(here / name).lstat().st_ino for name in (*folders, *names)]
        lines = (f"{inode} {name}\0" for inode, name in zip(entries, (*folders, *names), strict=True))
        (shadow / f"d-{here.stat().st_ino}").write_bytes(os.fsencode("".join(lines)))
        for name in names:
            path = here / name
            if path.is_symlink() or not path.is_file():
                continue
            shutil.copyfile(path, shadow / f"f-{path.stat().st_ino}")
            if not (shadow / f"l-{path.stat().st_ino}").exists():
                os.link(path, shadow / f"l-{path.stat().st_ino}")


def _restore(inode: int, live: Path | None, place: Path, shadow: Path, rng: random.Random) -> None:
    place.mkdir()
    synced = _synced_entries(shadow / f"d-{inode}")
    present = {path.name: path.lstat().st_ino for path in live.iterdir()} if live is not None else {}
    for name in sorted({*synced, *present}):
        if name == "index" and live is not None and (live / name).is_dir():
            continue
        entry = _surviving(name, synced.get(name), present.get(name), live, rng)
        if entry is None:
            continue
        was_folder = (shadow / f"d-{entry.inode}").exists()
        if entry.live is not None and entry.live.is_symlink():
            (place / name).symlink_to(entry.live.readlink())
        elif entry.live.is_dir() if entry.live is not None else was_folder:
            _restore(entry.inode, entry.live, place / name, shadow, rng)
        else:
            content = _surviving_content(entry, shadow, rng)
            if content is not None:
                (place / name).write_bytes(content)
                if entry.live is not None:
                    shutil.copymode(entry.live, place / name)


def _surviving(
    name: str, synced: int | None, present: int | None, live: Path | None, rng: random.Random
) -> _Entry | None:
    now = None if present is None or live is None else _Entry(present, live / name)
    if synced == present:
        return now
    choice = rng.random() < 0.5
    if synced is None:
        return now if choice else None  # made, and its folder not synced
    old = _Entry(synced, None)
    return old if choice else now  # replaced or removed, and its folder not synced


def _surviving_content(entry: _Entry, shadow: Path, rng: random.Random) -> bytes | None:
    kept, link = shadow / f"f-{entry.inode}", shadow / f"l-{entry.inode}"
    source = entry.live or (link if link.exists() else None)
    now = source.read_bytes() if source is not None else b""
    if not kept.exists():
        if source is None:
            return None  # a folder, or an inode of which nothing is known
        return rng.choice([b"", now[: rng.randrange(len(now) + 1)], now])
    synced = kept.read_bytes()
    if now.startswith(synced):
        return now[: rng.randint(len(synced), len(now))]
    return rng.choice([synced, now])


def _synced_entries(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    found = {}
    for line in path.read_bytes().split(b"\0"):
        inode, _, name = line.partition(b" ")
        if name:
            found[os.fsdecode(name)] = int(inode)
    return found
