"""Notes and tags, in append-only files of the workspace; the index has a copy.

`notes/USER@HOST.jsonl`: each line sets the note or the tags of one rollout. The latest line counts, by its time and
then its id, so files of several people and hosts can be read in any order.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.append_log import append_lines, own_file
from jobs.planning.experiment_notes import check_tag
from jobs.user import user_name
from jobs.workspace import Workspace
from pipelines.streams import complete_lines

FOLDER: Final = "notes"


class Note(BaseModel):
    """One line: a note or tags that a person set on a rollout. A missing field is not changed."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    v: int = 1
    id: Annotated[str, Field(min_length=1)]
    """Unique id of the line."""
    time: Annotated[float, Field(allow_inf_nan=False)]
    author: str = ""
    rollout: Annotated[str, Field(min_length=1)]
    note: str | None = None
    """The whole note; empty removes it."""
    tags: tuple[str, ...] | None = None
    """All tags; empty removes them."""

    @property
    def stamp(self) -> str:
        """Sort key of lines: the greatest counts."""
        return f"{self.time:020.6f} {self.id}"


def new_note(rollout: str, *, note: str | None = None, tags: Iterable[str] | None = None) -> Note:
    """Make a note of the current user with the current time.

    Raises:
        InvalidInput: a tag is not valid.
    """
    return Note(
        id=uuid.uuid4().hex,
        time=time.time(),
        author=user_name(),
        rollout=rollout,
        note=note,
        tags=None if tags is None else tuple(sorted({check_tag(tag) for tag in tags})),
    )


def append_notes(workspace: Workspace, notes: Iterable[Note]) -> None:
    """Append notes to this user's file.

    Raises:
        MissingRequirement: the workspace cannot be written.
    """
    data = b"".join(json.dumps(one.model_dump(mode="json", exclude_none=True)).encode() + b"\n" for one in notes)
    append_lines(own_file(workspace, FOLDER), data, "the note")


def read_notes(path: Path) -> Iterator[Note]:
    """Yield the notes of a file, skipping invalid lines."""
    for line in complete_lines(path):
        try:
            yield Note.model_validate_json(line.data)
        except ValidationError:
            continue


def sync_notes(db: sqlite3.Connection, workspace: Workspace) -> None:
    """Read new notes into the index, inside a write transaction of the caller."""
    known = dict(db.execute("SELECT path, offset FROM note_file").fetchall())
    folder = workspace.path / FOLDER
    paths = sorted(path for path in folder.glob("*.jsonl") if path.is_file()) if folder.is_dir() else []
    sizes = {path.name: path.stat().st_size for path in paths}
    if any(sizes.get(name, -1) < offset for name, offset in known.items()):
        # A file is gone or shorter: read all of them again.
        for table in ("note", "tag", "note_file"):
            db.execute(f"DELETE FROM {table}")
        db.execute("UPDATE rollout SET has_note = 0 WHERE has_note")
        known = {}
    for path in paths:
        end = known.get(path.name, 0)
        if sizes[path.name] == end:
            continue
        for line in complete_lines(path, end):
            end = line.end
            try:
                _apply(db, Note.model_validate_json(line.data))
            except ValidationError:
                continue
        db.execute("INSERT OR REPLACE INTO note_file VALUES (?, ?)", (path.name, end))


def notes_of(db: sqlite3.Connection, rollout: str) -> tuple[str, tuple[str, ...]]:
    """Return the note and the tags of a rollout."""
    row = db.execute("SELECT note, tags FROM note WHERE rollout = ?", (rollout,)).fetchone()
    return ("", ()) if row is None else (row[0], tuple(json.loads(row[1])))


def all_notes(db: sqlite3.Connection) -> list[Note]:
    """Return the current notes and tags, one `Note` per rollout, for export."""
    rows = db.execute("SELECT rollout, note, note_stamp, tags, tags_stamp, author FROM note ORDER BY rollout")
    found = []
    for rollout, note, note_stamp, tags, tags_stamp, author in rows:
        if note or tags != "[]":
            moment, _, identity = max(note_stamp, tags_stamp).partition(" ")
            found.append(
                Note(
                    id=identity,
                    time=float(moment),
                    author=author,
                    rollout=rollout,
                    note=note,
                    tags=tuple(json.loads(tags)),
                )
            )
    return found


def _apply(db: sqlite3.Connection, one: Note) -> None:
    db.execute("INSERT OR IGNORE INTO note VALUES (?, '', '', '[]', '', '')", (one.rollout,))
    if one.note is not None:
        db.execute(
            "UPDATE note SET note = ?, note_stamp = ? WHERE rollout = ? AND note_stamp < ?",
            (one.note, one.stamp, one.rollout, one.stamp),
        )
    if one.tags is not None:
        tags = json.dumps(sorted(set(one.tags)))
        changed = db.execute(
            "UPDATE note SET tags = ?, tags_stamp = ? WHERE rollout = ? AND tags_stamp < ?",
            (tags, one.stamp, one.rollout, one.stamp),
        )
        if changed.rowcount:
            db.execute("DELETE FROM tag WHERE rollout = ?", (one.rollout,))
            db.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", [(tag, one.rollout) for tag in one.tags])
    db.execute(
        "UPDATE note SET author = ? WHERE rollout = ? AND max(note_stamp, tags_stamp) = ?",
        (one.author, one.rollout, one.stamp),
    )
    db.execute(
        """UPDATE rollout SET has_note = (SELECT note != '' OR tags != '[]' FROM note WHERE rollout = :id)
        WHERE serial = (SELECT serial FROM record WHERE uid = :id)""",
        {"id": one.rollout},
    )
