"""Keeping the stages and files of the index in step with the disk."""

import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

from cogtui.store.db.connection import transaction
from cogtui.store.db.lease import Lease
from cogtui.store.db.registry import IdRegistry, condition_of, seed_of
from cogtui.store.ingest.judgement_rows import JudgementWriter
from cogtui.store.stage_files.scan import (
    Stage,
    StreamFile,
    head_digest,
    judge_run_of,
    read_stage,
    stage_names,
    stream_files_of,
)
from cogtui.store.values.encodings import FAMILIES
from jobs.planning.experiments import load_experiments
from jobs.state.scan_schedule import ScanSchedule
from jobs.workspace import Workspace
from pipelines.files import open_regular

_BLOCK_BYTES: Final = 2**20

Labels = dict[str, object]


@dataclass(slots=True)
class PendingFile:
    """A file with unread bytes."""

    id: int
    stage: int
    source: StreamFile
    offset: int
    size: int
    done: bool = False
    """Its stage is finished."""


@dataclass(frozen=True, slots=True)
class _IndexedFile:
    """A file as the index last saw it."""

    id: int
    inode: int | None
    size: int
    mtime_ns: int | None
    offset: int
    torn: int
    """Bytes of an unfinished last line whose writer has ended."""
    head: str


class Catalog:
    """The stages and files of the index. Used by the process that holds the lease."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        workspace: Workspace,
        lease: Lease,
        registry: IdRegistry,
        judgements: JudgementWriter,
        *,
        watching: bool,
    ) -> None:
        self._db = connection
        self._workspace = workspace
        self._lease = lease
        self._registry = registry
        self._judgements = judgements
        self._cell_labels: dict[str, Labels] | None = None
        self._schedule = ScanSchedule(workspace) if watching else None

    def sync(self) -> list[PendingFile]:
        """Scan the workspace; return the files with unread bytes, in reading order.

        While watching, stages that did not change for long are looked at rarely, as `ScanSchedule` decides.
        """
        schedule = self._schedule
        everything = schedule is None or schedule.begin()
        if schedule is not None and not everything and schedule.is_idle:
            return []
        self._sync_experiments()
        names = stage_names(self._workspace)
        due = [key for key in names if schedule is None or schedule.is_due(key)]
        known = self._known_stages(None if everything else due)
        pending: list[PendingFile] = []
        for key in due:
            path = self._workspace.stages / key
            info_mtime, folder_mtime = _mtime(path / "stage.json"), _mtime(path)
            entry = known.pop(key, None) if info_mtime >= 0 else None
            if entry is not None and entry[1:] == (info_mtime, folder_mtime):
                self._looked(key, folder_mtime, changed=False)
                continue  # finished and fully indexed
            stage = read_stage(path)
            if stage is None or stage.key != key:
                continue
            done = (path / "result.json").is_file()
            stage_id = self._stage_row(stage, info_mtime)
            waiting = self._pending_files(stage, stage_id)
            self._looked(key, folder_mtime, changed=bool(waiting))
            for one in waiting:
                one.done = done
            pending += waiting
            if done and not waiting and folder_mtime == _mtime(path):
                self._write("UPDATE stage SET fully_indexed_mtime = ? WHERE id = ?", (folder_mtime, stage_id))
        for entry in known.values():
            self._remove_stage(entry[0])
        if schedule is not None:
            schedule.end(names)
        return sorted(pending, key=_reading_order)

    def _looked(self, key: str, folder_mtime: int, *, changed: bool) -> None:
        if self._schedule is not None:
            age_s = max(0.0, time.time() - folder_mtime / 1e9)
            self._schedule.looked(key, changed=changed, age_s=age_s)

    def _known_stages(self, keys: list[str] | None) -> dict[str, tuple[int, int, int]]:
        """Id and times of the indexed stages with these keys, or of all."""
        query = "SELECT key, id, info_mtime, fully_indexed_mtime FROM stage"
        if keys is None:
            rows = self._db.execute(query)
        else:
            rows = self._db.execute(f"{query} WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(keys),))
        return {row[0]: row[1:] for row in rows}

    def _write(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        with transaction(self._db):
            self._lease.check()
            return self._db.execute(sql, values)

    def _stage_row(self, stage: Stage, info_mtime: int) -> int:
        """The id of a stage; inserts or updates its row."""
        labels: Labels = {**(self._cell_labels or {}).get(stage.key, {}), **stage.labels}
        written = json.dumps(labels, sort_keys=True)
        row = self._db.execute(
            "SELECT id, kind, name, labels, info_mtime FROM stage WHERE key = ?", (stage.key,)
        ).fetchone()
        if row is None or row[1:] != (stage.kind, stage.name, written, info_mtime):
            with transaction(self._db):
                self._lease.check()
                self._db.execute(
                    """INSERT INTO stage (key, kind, name, labels, info_mtime, fully_indexed_mtime)
                    VALUES (?, ?, ?, ?, ?, -1)
                    ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, name = excluded.name,
                    labels = excluded.labels, info_mtime = excluded.info_mtime""",
                    (stage.key, stage.kind, stage.name, written, info_mtime),
                )
                row = self._db.execute("SELECT id FROM stage WHERE key = ?", (stage.key,)).fetchone()
                self._db.execute(
                    "UPDATE series SET condition = ?, seed = ? WHERE stage = ? AND NOT has_own_labels",
                    (condition_of(labels), seed_of(labels), row[0]),
                )
                self._registry.clear()
        judge_run = judge_run_of(stage)
        if judge_run is not None and not self._registry.is_described(judge_run):
            with transaction(self._db):
                self._lease.check()
                self._registry.describe(judge_run)
        return int(row[0])

    def _pending_files(self, stage: Stage, stage_id: int) -> list[PendingFile]:
        """The files of a stage with unread bytes; removes files that are gone or were replaced."""
        rows = self._db.execute(
            "SELECT path, id, inode, size, mtime_ns, offset, torn_bytes, head_digest FROM stream_file WHERE stage = ?",
            (stage_id,),
        )
        known = {row[0]: _IndexedFile(*row[1:]) for row in rows}
        found = []
        for source in stream_files_of(stage):
            relative = source.path.relative_to(self._workspace.path).as_posix()
            pending = self._pending_file(stage_id, source, relative, known.pop(relative, None))
            if pending is not None:
                found.append(pending)
        for gone in known.values():
            self._remove_file(gone.id)
        return found

    def _pending_file(
        self, stage_id: int, source: StreamFile, relative: str, known: _IndexedFile | None
    ) -> PendingFile | None:
        try:
            stat = source.path.stat()
            if not S_ISREG(stat.st_mode):
                return None  # a folder or a pipe with the name of a stream
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if known is not None and seen != (known.inode, known.size, known.mtime_ns):
                shrunk = stat.st_size < known.offset
                if shrunk or (known.offset and head_digest(source.path, known.offset) != known.head):
                    self._remove_file(known.id)
                    known = None
        except OSError:
            return None  # deleted since it was listed; the next scan finds that
        if known is None:
            made = self._write(
                """INSERT INTO stream_file (stage, path, family, first_ordinal, inode, size, mtime_ns, offset, lines,
                bad_lines, torn_bytes, head_digest)
                VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, '')""",
                (stage_id, relative, source.family, source.first_ordinal, *seen),
            )
            assert made.lastrowid is not None
            known = _IndexedFile(made.lastrowid, *seen, 0, 0, "")
        elif seen != (known.inode, known.size, known.mtime_ns):
            self._write("UPDATE stream_file SET inode = ?, size = ?, mtime_ns = ? WHERE id = ?", (*seen, known.id))
        if known.offset + known.torn >= stat.st_size:
            return None
        return PendingFile(known.id, stage_id, source, known.offset, stat.st_size)

    def mark_torn_tails(self, pending: list[PendingFile]) -> None:
        """Treat an unfinished last line of a finished stage as permanent.

        What is left of a file that could not be read is no such line: the next scan reads it.
        """
        torn = [one for one in pending if one.offset < one.size and one.done and _is_one_unfinished_line(one)]
        with transaction(self._db):
            self._lease.check()
            self._db.executemany(
                "UPDATE stream_file SET torn_bytes = size - offset WHERE id = ? AND size = ?",
                [(one.id, one.size) for one in torn],
            )

    def _remove_file(self, source: int) -> None:
        with transaction(self._db):
            self._lease.check()
            self._delete_file(source)

    def _delete_file(self, source: int) -> None:
        """Delete a file that is gone or was replaced, with all rows that came from it."""
        self._judgements.orphan_judgements_of(source)
        self._judgements.remove_lines_of(source)
        serials = "(SELECT serial FROM record WHERE file = ?)"
        self._db.execute(
            f"INSERT OR IGNORE INTO stale_summary SELECT DISTINCT series, step FROM rollout WHERE serial IN {serials}",
            (source,),
        )
        # The full-text index keeps the texts of deleted rollouts; serials are never reused.
        for table in ("rollout_judgement", "span_distance", "rollout"):
            self._db.execute(f"DELETE FROM {table} WHERE serial IN {serials}", (source,))
        for table in ("record", "orphan_judgement", "bad_line"):
            self._db.execute(f"DELETE FROM {table} WHERE file = ?", (source,))
        self._db.execute("DELETE FROM stream_file WHERE id = ?", (source,))

    def _remove_stage(self, stage: int) -> None:
        with transaction(self._db):
            self._lease.check()
            for (source,) in self._db.execute("SELECT id FROM stream_file WHERE stage = ?", (stage,)).fetchall():
                self._delete_file(source)
            for table in ("metric", "series"):
                self._db.execute(f"DELETE FROM {table} WHERE stage = ?", (stage,))
            self._db.execute("DELETE FROM stage WHERE id = ?", (stage,))
        self._registry.clear()

    def _sync_experiments(self) -> None:
        """Read which stages belong to which experiments. Labels that all cells of a stage share complete its own."""
        snapshots = sorted((str(path), _mtime(path)) for path in self._workspace.experiments.glob("*/[!.]*.json"))
        seen = json.dumps(snapshots)
        row = self._db.execute("SELECT value FROM meta WHERE name = 'experiments'").fetchone()
        if row is None or row[0] != seen:
            self._read_experiments(seen)
        elif self._cell_labels is not None:
            return
        cells: dict[str, list[Labels]] = {}
        for key, labels in self._db.execute("SELECT stage_key, labels FROM experiment_stage"):
            cells.setdefault(key, []).append(json.loads(labels))
        self._cell_labels = {key: _common(found) for key, found in cells.items()}

    def _read_experiments(self, seen: str) -> None:
        members: dict[tuple[str, str], list[Labels]] = {}
        for experiment in load_experiments(self._workspace):
            for cell in experiment.cells:
                for key in cell.stages.values():
                    members.setdefault((experiment.name, key), []).append(dict(cell.labels))
        with transaction(self._db):
            self._lease.check()
            self._db.execute("DELETE FROM experiment_stage")
            self._db.executemany(
                "INSERT INTO experiment_stage VALUES (?, ?, ?)",
                [(name, key, json.dumps(_common(cells), sort_keys=True)) for (name, key), cells in members.items()],
            )
            # The labels of any stage may have changed: check all of them again.
            self._db.execute("UPDATE stage SET fully_indexed_mtime = -1")
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('experiments', ?)", (seen,))


def _common(cells: list[Labels]) -> Labels:
    """The labels that all cells share."""
    first, *rest = cells
    return {name: value for name, value in first.items() if all(cell.get(name) == value for cell in rest)}


def _reading_order(pending: PendingFile) -> tuple[int, str, str, str, int]:
    source = pending.source
    return FAMILIES.index(source.family), source.follows, source.stage, source.stream, source.first_ordinal


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _is_one_unfinished_line(pending: PendingFile) -> bool:
    """Whether the unread rest of a file can be read whole and has no end of a line."""
    left = pending.size - pending.offset
    try:
        with open_regular(pending.source.path) as stream:
            stream.seek(pending.offset)
            while left and (block := stream.read(min(left, _BLOCK_BYTES))):
                if b"\n" in block:
                    return False
                left -= len(block)
    except OSError:
        return False
    return left == 0
