"""Writes, lists, exports and imports notes and tags."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cogtui.cli.console.output import emit, emit_json, emit_wrapped, narrate
from cogtui.cli.rollouts.shared import fresh_store
from cogtui.cli.rollouts.trace import quote_text
from cogtui.store.user_data.notes import Note, read_notes
from jobs.planning.experiment_notes import (
    ExperimentNote,
    NotesOnExperiment,
    import_note_lines,
    latest_note_lines,
    read_experiment_notes,
    read_note_lines,
    write_experiment_note,
)
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.wording import count_of


def write_note(
    workspace: Workspace,
    rollout: str,
    text: str | None,
    *,
    tags: Sequence[str],
    untag: Sequence[str],
    as_json: bool,
) -> None:
    """Write a note or tags on a rollout, or print the present ones."""
    store, warnings = fresh_store(workspace)
    with store:
        detail = store.rollout(rollout)
        if text is not None or tags or untag:
            changed = sorted(({*detail.tags} - {*untag}) | {*tags}) if tags or untag else None
            store.annotate(detail.row.id, note=text, tags=changed)
            detail = store.rollout(detail.row.id)
    if as_json:
        emit_json({"rollout": detail.row.id, "note": detail.note, "tags": list(detail.tags)}, warnings)
        return
    emit(detail.note or "(no note)")
    emit(" ".join(f"#{tag}" for tag in detail.tags) or "(no tags)")


def note_experiment(
    workspace: Workspace,
    name: str,
    text: str | None,
    *,
    tags: Sequence[str],
    untag: Sequence[str],
    as_json: bool,
) -> None:
    """Write a note or tags on an experiment, or print the present ones."""
    workspace.require()
    if "/" in name or name.startswith(".") or not (workspace.experiments / name).is_dir():
        raise NotFound(f"no experiment {name!r} in {workspace.path}", remedy="cogtui ls names the experiments.")
    now = read_experiment_notes(workspace).get(name, NotesOnExperiment())
    if text is not None or tags or untag:
        changed = sorted(({*now.tags} - {*untag}) | {*tags}) if tags or untag else None
        write_experiment_note(workspace, name, note=text, tags=changed)
        now = read_experiment_notes(workspace).get(name, NotesOnExperiment())
    if as_json:
        emit_json({"experiment": name, "note": now.note, "tags": list(now.tags)})
        return
    emit(now.note or "(no note)")
    emit(" ".join(f"#{tag}" for tag in now.tags) or "(no tags)")


def list_notes(workspace: Workspace, *, export: Path | None, import_: Path | None, as_json: bool) -> None:
    """Print all notes and tags, export them to a file, or import them from one."""
    store, warnings = fresh_store(workspace)
    with store:
        taken = 0
        if import_ is not None:
            if not import_.is_file():
                raise NotFound(f"file not found: {import_}", remedy="Check the path.")
            found = list(read_notes(import_))
            of_experiments = read_note_lines(import_)
            if not found and not of_experiments and import_.stat().st_size:
                raise InvalidInput(
                    f"{import_} contains no notes", remedy="Name a file that cogtui notes --export wrote."
                )
            store.write_annotations(found)
            import_note_lines(workspace, of_experiments)
            taken = len(found) + len(of_experiments)
        notes = store.annotations()
    on_experiments = read_experiment_notes(workspace)
    lines: list[Note | ExperimentNote] = [*notes, *latest_note_lines(workspace)]
    if export is not None:
        _export(lines, export)
    if as_json:
        emit_json([note.model_dump(mode="json") for note in notes], warnings)
    elif import_ is not None:
        narrate(f"{count_of(taken, 'note')} read; the workspace has {len(notes) + len(on_experiments):,}")
    elif export is not None:
        narrate(f"{count_of(len(lines), 'note')} written to {export}")
    else:
        for name, one in sorted(on_experiments.items()):
            emit_wrapped(f"experiment {name}  {' '.join(f'#{tag}' for tag in one.tags)}  {quote_text(one.note)}", "  ")
        for note in notes:
            tags = " ".join(f"#{tag}" for tag in note.tags or ())
            emit_wrapped(f"{note.rollout}  {tags}  {quote_text(note.note or '')}", "  ")
        if not notes and not on_experiments:
            narrate("no notes or tags yet; cogtui note ID TEXT writes one, and w in the app")


def _export(notes: Sequence[Note | ExperimentNote], path: Path) -> None:
    lines = "".join(
        json.dumps({key: value for key, value in note.model_dump(mode="json").items() if value is not None}) + "\n"
        for note in notes
    )
    if str(path) == "-":
        sys.stdout.write(lines)
        return
    try:
        path.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise MissingRequirement(f"cannot write {path}: {error.strerror}") from error
