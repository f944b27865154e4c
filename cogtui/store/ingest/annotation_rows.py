"""Reading annotations into the index: the latest of each person and rollout is a judgement of a `human` judge run."""

import sqlite3
from pathlib import Path
from typing import Final

from cogtui.store.db.registry import IdRegistry
from cogtui.store.db.statements import line_address, rollout_judgement, split_address
from cogtui.store.ingest.judgement_rows import JudgementWriter
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.stage_files.scan import head_digest
from cogtui.store.user_data.annotations import (
    HumanAnnotation,
    annotation_files,
    human_fields,
    human_judge_run,
    read_annotation,
    why_not_counted,
)
from jobs.workspace import Workspace
from pipelines.errors import NotFound
from pipelines.streams import complete_lines, parse_line

FAMILY: Final = "annotations"
_NO_STAGE: Final = 0
_MAX_BAD: Final = 1000


def sync_annotations(db: sqlite3.Connection, workspace: Workspace) -> None:
    """Read new annotations into the index, inside a write transaction; the lease is not needed."""
    AnnotationSync(db, workspace).sync()


class AnnotationSync:
    """One pass over the annotation files."""

    def __init__(self, db: sqlite3.Connection, workspace: Workspace) -> None:
        self._db = db
        self._workspace = workspace
        self._files = RecordReader(db, workspace)
        self._registry = IdRegistry(db)
        self._judgements = JudgementWriter(db, self._registry, self._files)

    def sync(self) -> None:
        """Read new lines, and apply annotations whose rollout has been indexed since."""
        known = {
            row[0]: row[1:]
            for row in self._db.execute(
                "SELECT path, id, offset, head_digest FROM stream_file WHERE family = ?", (FAMILY,)
            )
        }
        paths = {path.relative_to(self._workspace.path).as_posix(): path for path in annotation_files(self._workspace)}
        if any(self._replaced(paths.get(name), offset, head) for name, (_, offset, head) in known.items()):
            self._remove_all()
            known = {}
        touched: set[tuple[str, int]] = set()
        for name, path in paths.items():
            number, offset, _ = known.get(name, (None, 0, ""))
            if number is None or path.stat().st_size > offset:
                self._read(name, path, number, offset, touched)
        for rollout, run in touched:
            self._apply(rollout, run)
        waiting = self._db.execute(
            """SELECT a.rollout, a.run FROM annotation a CROSS JOIN record r ON r.uid = a.rollout
            LEFT JOIN rollout_judgement v ON v.serial = r.serial AND v.run = a.run
            WHERE v.serial IS NULL AND NOT a.empty"""
        ).fetchall()
        for rollout, run in waiting:
            self._apply(rollout, run)

    def _replaced(self, path: Path | None, offset: int, head: str) -> bool:
        """Whether a file is gone, shorter, or another one than the one that was read."""
        if path is None or path.stat().st_size < offset:
            return True
        return bool(offset) and head_digest(path, offset) != head

    def _read(self, name: str, path: Path, number: int | None, offset: int, touched: set[tuple[str, int]]) -> None:
        stat = path.stat()
        if number is None:
            made = self._db.execute(
                """INSERT INTO stream_file (stage, path, family, first_ordinal, inode, size, mtime_ns, offset, lines,
                bad_lines, torn_bytes, head_digest)
                VALUES (?, ?, ?, 0, ?, 0, ?, 0, 0, 0, 0, '')""",
                (_NO_STAGE, name, FAMILY, stat.st_ino, stat.st_mtime_ns),
            )
            assert made.lastrowid is not None
            number = made.lastrowid
        bad = lines = 0
        end = offset
        for line in complete_lines(path, offset):
            end = line.end
            lines += 1
            try:
                one = read_annotation(line.data)
            except ValueError as error:
                bad += 1
                if bad <= _MAX_BAD:
                    self._db.execute(
                        "INSERT OR IGNORE INTO bad_line VALUES (?, ?, ?)", (number, line.start, str(error))
                    )
                continue
            touched |= self._upsert(one, line_address(number, line.start))
        # An unfinished last line does not count as unread: the next annotation ends it, if there is one.
        self._db.execute(
            """UPDATE stream_file SET offset = ?, size = ?, lines = lines + ?, bad_lines = bad_lines + ?,
            head_digest = ?, mtime_ns = ?
            WHERE id = ?""",
            (end, end, lines, bad, head_digest(path, end), stat.st_mtime_ns, number),
        )

    def _upsert(self, one: HumanAnnotation, address: int) -> set[tuple[str, int]]:
        described = human_judge_run(one.annotator)
        if not self._registry.is_described(described):
            self._registry.describe(described)
        run = self._registry.judge_run(described.id)
        upserted = self._db.execute(
            """INSERT INTO annotation (rollout, run, stamp, address, done, empty) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (rollout, run) DO UPDATE SET stamp = excluded.stamp, address = excluded.address,
            done = excluded.done, empty = excluded.empty WHERE stamp < excluded.stamp""",
            (one.rollout, run, one.stamp, address, one.done, one.empty),
        )
        return {(one.rollout, run)} if upserted.rowcount else set()

    def _apply(self, rollout: str, run: int) -> None:
        row = self._db.execute(
            """SELECT r.serial, a.address, a.empty FROM annotation a JOIN record r ON r.uid = a.rollout
            WHERE a.rollout = ? AND a.run = ?""",
            (rollout, run),
        ).fetchone()
        if row is not None:
            serial, address, empty = row
            one = None if empty else self._read_line(address)
            if one is not None and not self._fits(one, serial):
                one = None  # listed by `cogtui annotations` with the reason
            self._judgements.replace(
                serial, run, None if one is None else rollout_judgement(human_fields(one, address))
            )

    def _read_line(self, address: int) -> HumanAnnotation | None:
        try:
            return read_annotation(self._files.line(*split_address(address)))
        except (ValueError, NotFound):
            return None  # the file changed after it was read; the next scan finds that

    def _fits(self, one: HumanAnnotation, serial: int) -> bool:
        place = self._db.execute("SELECT file, byte FROM record WHERE serial = ?", (serial,)).fetchone()
        try:
            text = parse_line(self._files.line(*place)).get("completion", "")
        except (ValueError, NotFound):
            return True  # the file changed after it was read; the next scan finds that
        return not isinstance(text, str) or why_not_counted(one, text) is None

    def _remove_all(self) -> None:
        for serial, run in self._db.execute(
            "SELECT r.serial, a.run FROM annotation a JOIN record r ON r.uid = a.rollout"
        ).fetchall():
            self._judgements.replace(serial, run, None)
        self._db.execute("DELETE FROM annotation")
        self._db.execute("DELETE FROM bad_line WHERE file IN (SELECT id FROM stream_file WHERE family = ?)", (FAMILY,))
        self._db.execute("DELETE FROM stream_file WHERE family = ?", (FAMILY,))


def annotation_of(db: sqlite3.Connection, files: RecordReader, rollout: str, annotator: str) -> HumanAnnotation | None:
    """Return the annotation of a rollout, given by its full id, by one person; None if there is none."""
    row = db.execute(
        "SELECT a.address FROM annotation a JOIN judge_run j ON j.id = a.run WHERE a.rollout = ? AND j.run = ?",
        (rollout, human_judge_run(annotator).id),
    ).fetchone()
    try:
        return None if row is None else read_annotation(files.line(*split_address(row[0])))
    except ValueError:
        return None  # indexed before such lines were refused
