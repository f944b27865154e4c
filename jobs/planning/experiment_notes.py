"""Notes and tags on experiments, in append-only files of the workspace, one per user and host.

`experiment-notes/USER@HOST.jsonl`: each line sets the note or the tags of one experiment. The latest line counts, by
its time and then its id, so files of several people and hosts can be read in any order.
"""

import math
import re
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from jobs.append_log import append_lines, own_file
from jobs.user import user_name
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.file_record import FileRecord

FOLDER: Final = "experiment-notes"
_TAG: Final = re.compile(r"[^\s,:()\"']{1,60}")


class ExperimentNote(FileRecord, frozen=True, kw_only=True):
    """One line: a note or tags that a person set on an experiment. A missing field is not changed."""

    v: int = 1
    id: str
    """Unique id of the line."""
    time: float
    author: str = ""
    experiment: str
    note: str | None = None
    """The whole note; empty removes it."""
    tags: tuple[str, ...] | None = None
    """All tags; empty removes them."""


class NotesOnExperiment(NamedTuple):
    """The present note and tags of an experiment."""

    note: str = ""
    tags: tuple[str, ...] = ()


def check_tag(tag: str) -> str:
    """Return the tag itself.

    Raises:
        InvalidInput: it cannot be written in a filter.
    """
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            f"{tag!r} cannot be a tag", remedy="Use up to 60 characters without blanks , : ( ) and quotes."
        )
    return tag


def write_experiment_note(
    workspace: Workspace, experiment: str, *, note: str | None = None, tags: Iterable[str] | None = None
) -> None:
    """Set the note, or all tags, of an experiment.

    Raises:
        InvalidInput: a tag is not valid. MissingRequirement: the workspace cannot be written.
    """
    line = ExperimentNote(
        id=uuid.uuid4().hex,
        time=time.time(),
        author=user_name(),
        experiment=experiment,
        note=note,
        tags=None if tags is None else tuple(sorted({check_tag(tag) for tag in tags})),
    )
    append_lines(own_file(workspace, FOLDER), line.model_dump_json().encode() + b"\n", "the note")


def note_files(workspace: Workspace) -> tuple[tuple[str, int, int], ...]:
    """Return path, size and time of the files of notes, by which a reader sees whether any changed."""
    found = []
    for path in sorted((workspace.path / FOLDER).glob("*.jsonl")):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(found)


def read_experiment_notes(workspace: Workspace) -> dict[str, NotesOnExperiment]:
    """Return the present notes and tags by name of the experiment; lines that are none are passed over."""
    found: dict[str, NotesOnExperiment] = {}
    for one in _read_lines(workspace):
        was = found.get(one.experiment, NotesOnExperiment())
        found[one.experiment] = NotesOnExperiment(
            was.note if one.note is None else one.note, was.tags if one.tags is None else one.tags
        )
    return {name: notes for name, notes in found.items() if notes.note or notes.tags}


def latest_note_lines(workspace: Workspace) -> list[ExperimentNote]:
    """Return the lines that set the present notes and tags, for export; removed ones are included as empty."""
    notes: dict[str, ExperimentNote] = {}
    tags: dict[str, ExperimentNote] = {}
    for one in _read_lines(workspace):
        if one.note is not None:
            notes[one.experiment] = one
        if one.tags is not None:
            tags[one.experiment] = one
    lines = {one.id: one for one in (*notes.values(), *tags.values())}
    return sorted(lines.values(), key=lambda line: (line.experiment, line.time, line.id))


def read_note_lines(path: Path) -> list[ExperimentNote]:
    """Return the notes on experiments of a file; lines that are none are passed over."""
    from pipelines.streams import (
        complete_lines,
    )  # it imports pydantic, which the first content of the app does not need

    found = []
    for line in complete_lines(path):
        try:
            one = ExperimentNote.model_validate_json(line.data)
        except ValueError:
            continue
        if math.isfinite(one.time):
            found.append(one)
    return found


def import_note_lines(workspace: Workspace, lines: Iterable[ExperimentNote]) -> None:
    """Append lines of another workspace to this user's file; those that are there already are left out.

    Raises:
        MissingRequirement: the workspace cannot be written.
    """
    known = {one.id for one in _read_lines(workspace)}
    new = {one.id: one for one in lines if one.id not in known}
    if new:
        data = b"".join(one.model_dump_json().encode() + b"\n" for one in new.values())
        append_lines(own_file(workspace, FOLDER), data, "the note")


def _read_lines(workspace: Workspace) -> list[ExperimentNote]:
    """Return the lines of all files, oldest first."""
    lines: list[ExperimentNote] = []
    for path, _, _ in note_files(workspace):
        try:
            lines += read_note_lines(Path(path))
        except OSError:
            continue  # of another user who does not share it
    return sorted(lines, key=lambda line: (line.time, line.id))
