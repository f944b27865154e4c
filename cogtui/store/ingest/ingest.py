"""Ingest: reading stage files into the index in resumable batches.

A batch writes its rows and advances the offsets of its files in one transaction, and only if the offsets are still
where it started. A process killed at any moment, or two that both believe they are the writer, therefore lose
nothing and write nothing twice.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from cogtui.store.db.connection import WRITER_CACHE_KIB, transaction
from cogtui.store.db.fts_index import CHECKPOINT_PAGES, FtsIndex, FtsLeaseLost
from cogtui.store.db.lease import Lease, LeaseLost
from cogtui.store.db.registry import IdRegistry
from cogtui.store.db.schema import BULK_INDEXES
from cogtui.store.db.summaries import refresh_summaries
from cogtui.store.ingest.annotation_rows import sync_annotations
from cogtui.store.ingest.catalog import Catalog, PendingFile
from cogtui.store.ingest.fts_process import FtsJob, FtsProcess, IndexedChunk
from cogtui.store.ingest.interleave import NumberedChunk, batch_chunks, interleave
from cogtui.store.ingest.judgement_rows import JudgementWriter
from cogtui.store.ingest.parse import (
    BadLineFields,
    FileToParse,
    ParsedChunk,
    no_garbage_collection,
    parse_files,
    searchable,
)
from cogtui.store.ingest.rollout_rows import JudgementsByRollout, RolloutWriter
from cogtui.store.stage_files.decode import read_rollout, read_trace
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.user_data.notes import sync_notes
from cogtui.store.values.encodings import TEXT_FAMILIES
from jobs.workspace import Workspace
from pipelines.errors import NotFound

FIRST_BYTES: Final = 512 * 1024
"""Read before the first rows are shown."""
CHUNK_BYTES: Final = 4 * 2**20
JUDGEMENT_CHUNK_BYTES: Final = 2 * 2**20
BATCH_BYTES: Final = 64 * 2**20
"""Bytes of stage files per transaction."""
BULK_BYTES: Final = 96 * 2**20
"""From here on a round is a bulk load: sort indexes are built at its end, and a second process parses rollouts."""
MAX_BAD_LINES: Final = 1000
"""Bad lines listed per file; all are counted."""
_REPAIRED_AT_ONCE: Final = 4000
_QUIET_S: Final = 30.0
"""Seconds between two whole rounds while watching and nothing changes."""


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """The progress of a round of ingest."""

    done: int
    """Bytes."""
    total: int
    file: str


class Ingester:
    """Brings an index up to date with its workspace. The caller holds the lease."""

    def __init__(
        self, connection: sqlite3.Connection, fts: FtsIndex, workspace: Workspace, lease: Lease, *, watching: bool
    ) -> None:
        self._db = connection
        self._fts = fts
        self._lease = lease
        self._workspace = workspace
        self._registry = IdRegistry(connection)
        self._files = RecordReader(connection, workspace)
        self._judgements = JudgementWriter(connection, self._registry, self._files)
        self._catalog = Catalog(connection, workspace, lease, self._registry, self._judgements, watching=watching)
        self._watching = watching
        self._rollouts = RolloutWriter(connection, self._registry, self._judgements)
        self._finished = float("-inf")
        """When the last round was finished that looked at everything."""
        self._recent: set[str] = set()
        """Rollouts of the previous batch."""
        self._postponed: set[tuple[int, int]] = set()
        """Chunks, by file and byte, that were postponed to wait for their rollouts."""
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def round(self) -> Iterator[IngestProgress]:
        """Scan the workspace once and read everything new. May be abandoned between two steps.

        Raises:
            LeaseLost: another process writes the index now.
        """
        try:
            yield from self._round()
        except FtsLeaseLost as error:
            raise LeaseLost(error.summary) from error

    def _round(self) -> Iterator[IngestProgress]:
        changes = self._db.total_changes
        pending = self._catalog.sync()
        quiet = not pending and self._db.total_changes == changes
        if self._watching and quiet and time.monotonic() - self._finished < _QUIET_S:
            yield IngestProgress(0, 0, "")
            return
        total = sum(file.size - file.offset for file in pending)
        with transaction(self._db):
            self._lease.check()
            self._fts.claim(self._lease.token)
        self._repair_fts()
        bulk = total > BULK_BYTES
        if bulk:
            self._drop_bulk_indexes()
        done = 0
        early: list[NumberedChunk] = []
        for batch in batch_chunks(self._chunks(pending, bulk=bulk), FIRST_BYTES, BATCH_BYTES):
            ready, early = self._postpone_early(early + batch)
            self._write(ready)
            done += sum(chunk.size for chunk in batch)
            yield IngestProgress(done, total, str(batch[-1].file.source.path))
        self._write(early)
        self._catalog.mark_torn_tails(pending)
        self._finish_round()
        self._finished = time.monotonic()
        yield IngestProgress(total, total, "")

    def _repair_fts(self) -> None:
        """Index the texts of rollouts that the full-text index lacks.

        Its file was deleted, or the machine lost power between writing it and the rows.
        """
        while rows := self._db.execute(
            "SELECT serial, file, byte FROM record WHERE serial > ? ORDER BY serial LIMIT ?",
            (self._fts.last_serial(), _REPAIRED_AT_ONCE),
        ).fetchall():
            texts = [(serial, self._text(file, byte)) for serial, file, byte in rows]
            self._fts.add(self._lease.token, texts, rows[-1][0])
            self._lease.renew()

    def _text(self, file: int, byte: int) -> str:
        try:
            line = self._files.line(file, byte)
            _, family = self._files.file(file)
            return searchable((read_trace if family == "traces" else read_rollout)(line).completion)
        except (NotFound, ValueError):
            return ""  # the file changed after it was read; the next scan finds that

    def _chunks(self, pending: list[PendingFile], *, bulk: bool) -> Iterator[NumberedChunk]:
        """The chunks of files. In a bulk load the helper process parses all rollouts but the first.

        Judgements are read right behind their rollouts, so that most can be written along with them.
        """
        offsets = {file.id: file.offset for file in pending}
        rollouts = [number for number, file in enumerate(pending) if file.source.family in TEXT_FAMILIES]
        others = [number for number, file in enumerate(pending) if file.source.family not in TEXT_FAMILIES]
        totals = [sum(pending[n].size - pending[n].offset for n in numbers) for numbers in (rollouts, others)]

        def files() -> list[FileToParse]:
            return [
                FileToParse(
                    file.id,
                    file.source.first_ordinal,
                    file.source.family,
                    file.source.path,
                    offsets[file.id],
                    file.size,
                    file.source.own_labels,
                )
                for file in pending
            ]

        def numbered(chunks: Iterable[tuple[int, int | None, ParsedChunk] | IndexedChunk]) -> Iterator[NumberedChunk]:
            for number, serial, parsed in chunks:
                offsets[pending[number].id] = parsed.end
                yield NumberedChunk(pending[number], serial, parsed)

        def parse_here(numbers: list[int], chunk_bytes: int) -> Iterator[NumberedChunk]:
            chunks = parse_files(files(), numbers, FIRST_BYTES, chunk_bytes)
            return numbered((number, None, parsed) for number, parsed in chunks)

        def rollout_chunks() -> Iterator[NumberedChunk]:
            if bulk:
                with FtsProcess() as process:  # it starts up while the first rollouts are read and shown
                    for file, _, parsed in islice(parse_here(rollouts, FIRST_BYTES), 1):
                        # Assigns these serials now: those of the helper process begin after them.
                        yield NumberedChunk(file, self._add_texts(parsed.texts), parsed)
                    job = FtsJob(
                        path=self._index_path(),
                        token=self._lease.token,
                        serial=self._fts.last_serial() + 1,
                        files=files(),
                        numbers=rollouts,
                        chunk_bytes=CHUNK_BYTES,
                    )
                    yield from numbered(process.chunks(job))
            yield from parse_here(rollouts, CHUNK_BYTES)  # also what a killed helper process has left unread

        return interleave(rollout_chunks(), parse_here(others, JUDGEMENT_CHUNK_BYTES), totals)

    def _index_path(self) -> Path:
        return Path(self._db.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0])

    def _postpone_early(self, batch: list[NumberedChunk]) -> tuple[list[NumberedChunk], list[NumberedChunk]]:
        """Split a batch into what to write now and judgements read before their rollouts, which wait for one batch."""
        current = {rollout.id for chunk in batch for rollout in chunk.parsed.rollouts}
        known, self._recent = current | self._recent, current
        postponed, self._postponed = self._postponed, set()
        for number, chunk in enumerate(batch):
            early = any(record.rollout not in known for record in chunk.parsed.judgements)
            if early and number and (chunk.file.id, chunk.parsed.start) not in postponed:
                rest = batch[number:]
                waiting = [one for one in rest if not one.has_texts]
                self._postponed = {(one.file.id, one.parsed.start) for one in waiting}
                return batch[:number] + [one for one in rest if one.has_texts], waiting
        return batch, []

    def _finish_round(self) -> None:
        """The work done once per round rather than in every batch."""
        while True:
            with transaction(self._db):
                self._lease.check()
                if not self._judgements.adopt_orphans():
                    break
        with transaction(self._db):
            self._lease.check()
            sync_notes(self._db, self._workspace)
            sync_annotations(self._db, self._workspace)
        refresh_summaries(self._db, self._lease)
        self._build_bulk_indexes()

    def _build_bulk_indexes(self) -> None:
        """Build the indexes that a bulk load dropped, in this process or in one that was killed."""
        existing = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        missing = [statement for name, statement in BULK_INDEXES.items() if name not in existing]
        if not missing:
            return
        # With FILE, SQLite sorts in one block of memory as large as the cache and spills beyond that: a third faster
        # than MEMORY, which allocates each entry.
        self._db.execute("PRAGMA temp_store = FILE")
        try:
            for statement in missing:
                with transaction(self._db):
                    self._lease.check()
                    self._db.execute(statement)
        finally:
            self._db.execute("PRAGMA temp_store = MEMORY")

    def _drop_bulk_indexes(self) -> None:
        with transaction(self._db):
            self._lease.check()
            for name in BULK_INDEXES:
                self._db.execute(f"DROP INDEX IF EXISTS {name}")

    def _write(self, batch: list[NumberedChunk]) -> None:
        """Write the records of a batch and advance the offsets of their files."""
        if not batch:
            return
        with no_garbage_collection():
            numbered = self._write_texts(batch)
            try:
                with transaction(self._db):
                    self._lease.check()
                    self._write_rows(numbered)
            except BaseException:
                self._registry.clear()
                raise

    def _write_texts(self, batch: list[NumberedChunk]) -> list[tuple[PendingFile, int, ParsedChunk]]:
        """Index the texts that were parsed in this process; return all chunks with their serials."""
        serial = self._add_texts([text for chunk in batch if chunk.serial is None for text in chunk.parsed.texts])
        numbered = []
        for file, first, parsed in batch:
            if first is None:
                first = serial
                serial += len(parsed.texts)
            numbered.append((file, first, parsed))
        return numbered

    def _add_texts(self, texts: Sequence[str]) -> int:
        """Add texts to the full-text index; return the serial of the first."""
        serial = self._fts.last_serial() + 1
        if texts:
            self._fts.add(self._lease.token, enumerate(texts, serial), serial + len(texts) - 1)
        return serial

    def _write_rows(self, batch: list[tuple[PendingFile, int, ParsedChunk]]) -> None:
        judgements: JudgementsByRollout = {}
        for _, _, parsed in batch:
            for record in parsed.judgements:
                found = judgements.get(record.rollout)
                if found is None:
                    judgements[record.rollout] = [record]
                else:
                    found.append(record)
        for file, first, parsed in batch:
            self._rollouts.write(file, first, parsed, judgements)
        turn = 0
        while rest := [found[turn] for found in judgements.values() if turn < len(found)]:
            self._judgements.apply(rest)
            turn += 1
        for file, _, parsed in batch:
            self._db.executemany(
                "INSERT OR IGNORE INTO metric VALUES (?, ?, ?, ?, ?)",
                [(file.stage, file.source.stream, *metric) for metric in parsed.metrics],
            )
            self._list_bad_lines(file.id, parsed.bad)
            self._advance(file, parsed)

    def _advance(self, file: PendingFile, parsed: ParsedChunk) -> None:
        advanced = self._db.execute(
            """UPDATE stream_file SET offset = ?, lines = lines + ?, bad_lines = bad_lines + ?, head_digest = ?,
            size = max(size, ?) WHERE id = ? AND offset = ?""",
            (parsed.end, parsed.lines, len(parsed.bad), parsed.head, parsed.end, file.id, parsed.start),
        )
        if advanced.rowcount != 1:
            raise LeaseLost("another process has read the same file")
        file.offset = parsed.end

    def _list_bad_lines(self, file: int, bad: list[BadLineFields]) -> None:
        if bad:
            (listed,) = self._db.execute("SELECT count(*) FROM bad_line WHERE file = ?", (file,)).fetchone()
            self._db.executemany(
                "INSERT OR IGNORE INTO bad_line VALUES (?, ?, ?)",
                [(file, line.byte, line.reason) for line in bad[: max(0, MAX_BAD_LINES - listed)]],
            )
