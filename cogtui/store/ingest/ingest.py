"""Reading files into the index: resumable by file and byte, in batches that are whole or not there.

A batch writes its rows and moves its file's offset in one transaction, and only if the offset is still where it
was. So a process killed at any moment, or two that both believe they are the writer, lose nothing and write
nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from cogtui.store.db import summaries
from cogtui.store.db.connection import WRITER_CACHE_KIB, transaction
from cogtui.store.db.fts_index import CHECKPOINT_PAGES, FtsIndex, FtsLeaseLost
from cogtui.store.db.lease import Lease, LeaseLost
from cogtui.store.db.registry import IdRegistry
from cogtui.store.db.schema import BULK_INDEXES
from cogtui.store.ingest.annotation_rows import sync_annotations
from cogtui.store.ingest.catalog import Catalog, PendingFile
from cogtui.store.ingest.fts_process import FtsJob, FtsProcess
from cogtui.store.ingest.fts_repair import repair_fts
from cogtui.store.ingest.interleave import NumberedChunk, batch_chunks, interleave
from cogtui.store.ingest.judgement_rows import JudgementWriter
from cogtui.store.ingest.parse import FileToParse, ParsedChunk, no_garbage_collection, parse_files
from cogtui.store.ingest.rollout_rows import JudgementsByRollout, RolloutWriter
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.user_data.notes import sync_notes
from cogtui.store.values.encodings import TEXT_FAMILIES
from jobs.workspace import Workspace

FIRST_BYTES: Final = 512 * 1024
"""Read before anything is shown."""
PIECE_BYTES: Final = 4 * 2**20
JUDGED_PIECE_BYTES: Final = 2 * 2**20
BATCH_BYTES: Final = 64 * 2**20
"""In one transaction."""
BULK_BYTES: Final = 96 * 2**20
"""From here on indexes for sorting are built at the end, and a second process parses."""
MAX_BAD_LINES: Final = 1000
"""Bad lines named a file; all are counted."""


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far a round of ingest is."""

    done: int
    """Bytes."""
    total: int
    file: str


class Ingester:
    """Brings an index up to date with its workspace. The caller holds the lease."""

    def __init__(self, connection: sqlite3.Connection, words: FtsIndex, workspace: Workspace, lease: Lease) -> None:
        self._db = connection
        self._words = words
        self._lease = lease
        self._workspace = workspace
        self._registry = IdRegistry(connection)
        self._files = RecordReader(connection, workspace)
        self._verdicts = JudgementWriter(connection, self._registry, self._files)
        self._catalog = Catalog(connection, workspace, lease, self._registry, self._verdicts)
        self._rollouts = RolloutWriter(connection, self._registry, self._verdicts)
        self._recent: set[str] = set()
        """Rollouts of the batch before."""
        self._waited: set[tuple[int, int]] = set()
        """Pieces, by file and byte, that have waited for their rollouts."""
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def round(self) -> Iterator[IngestProgress]:
        """One look at the disk and everything new read. May be left between two steps.

        Raises:
            LeaseLost: another process writes the index now.
        """
        try:
            yield from self._round()
        except FtsLeaseLost as error:
            raise LeaseLost(error.summary) from error

    def _round(self) -> Iterator[IngestProgress]:
        pending = self._catalog.sync()
        total = sum(one.size - one.offset for one in pending)
        with transaction(self._db):
            self._lease.check()
            self._words.claim(self._lease.token)
        repair_fts(self._db, self._files, self._words, self._lease)
        if total > BULK_BYTES:
            self._drop_bulk_indexes()
        done = 0
        early: list[NumberedChunk] = []
        for batch in batch_chunks(self._pieces(pending, beside=total > BULK_BYTES), FIRST_BYTES, BATCH_BYTES):
            ready, early = self._divided(early + batch)
            self._write(ready)
            done += sum(parsed.end - parsed.start for _, _, parsed in batch)
            yield IngestProgress(done, total, str(batch[-1][0].source.path))
        self._write(early)
        self._catalog.give_up(pending)
        self._settle()
        yield IngestProgress(total, total, "")

    def _pieces(self, pending: list[PendingFile], *, beside: bool) -> Iterator[NumberedChunk]:
        """What is in files; of a bulk load the first rollouts from this process and the rest from one beside it.

        Judgements are read right behind the rollouts they are of, so that most can be written along with them.
        """
        read = {one.id: one.offset for one in pending}
        size = {one.id: one.size for one in pending}
        rollouts = [number for number, one in enumerate(pending) if one.source.family in TEXT_FAMILIES]
        others = [number for number, one in enumerate(pending) if one.source.family not in TEXT_FAMILIES]
        totals = [sum(size[pending[number].id] - read[pending[number].id] for number in some)
                  for some in (rollouts, others)]  # fmt: skip

        def files() -> list[FileToParse]:
            return [
                FileToParse(
                    one.id,
                    one.source.place,
                    one.source.family,
                    one.source.path,
                    read[one.id],
                    one.size,
                    one.source.own_labels,
                )
                for one in pending
            ]

        def taken(pieces: Iterable[tuple[int, int | None, ParsedChunk]]) -> Iterator[NumberedChunk]:
            for number, serial, parsed in pieces:
                read[pending[number].id] = parsed.end
                yield pending[number], serial, parsed

        def here(numbers: list[int], piece_bytes: int) -> Iterator[NumberedChunk]:
            pieces = parse_files(files(), numbers, FIRST_BYTES, piece_bytes)
            return taken((number, None, parsed) for number, parsed in pieces)

        def of_rollouts() -> Iterator[NumberedChunk]:
            if beside:
                with FtsProcess() as process:  # it starts up while the first rollouts are read and shown
                    for one, _, parsed in islice(here(rollouts, FIRST_BYTES), 1):
                        # Its serials are given out now: those of the other process begin behind them.
                        yield one, self._add_words(parsed.texts), parsed
                    job = FtsJob(
                        self._index_path(),
                        self._lease.token,
                        self._words.last_serial() + 1,
                        files(),
                        rollouts,
                        PIECE_BYTES,
                    )
                    yield from taken(process.pieces(job))
            yield from here(rollouts, PIECE_BYTES)  # also what a process that was killed has left

        return interleave(of_rollouts(), here(others, JUDGED_PIECE_BYTES), totals)

    def _index_path(self) -> Path:
        return Path(self._db.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0])

    def _divided(self, batch: list[NumberedChunk]) -> tuple[list[NumberedChunk], list[NumberedChunk]]:
        """What to write now, and judgements that came before their rollouts: these wait, but for one batch only."""
        here = {row[0] for _, _, parsed in batch for row in parsed.rollouts}
        known, self._recent = here | self._recent, here
        waited, self._waited = self._waited, set()
        for number, (one, _, parsed) in enumerate(batch):
            early = any(uid not in known for uid, _, _ in parsed.judgements)
            if early and number and (one.id, parsed.start) not in waited:
                kept = [piece for piece in batch[number:] if piece[0].source.family in TEXT_FAMILIES]
                waiting = [piece for piece in batch[number:] if piece[0].source.family not in TEXT_FAMILIES]
                self._waited = {(piece[0].id, piece[2].start) for piece in waiting}
                return batch[:number] + kept, waiting
        return batch, []

    def _settle(self) -> None:
        """What is done once at the end of a round rather than in every batch."""
        while True:
            with transaction(self._db):
                self._lease.check()
                if not self._verdicts.adopt_orphans():
                    break
        with transaction(self._db):
            self._lease.check()
            sync_notes(self._db, self._workspace)
            sync_annotations(self._db, self._workspace)
        summaries.refresh_summaries(self._db, self._lease)
        self._build_bulk_indexes()

    def _build_bulk_indexes(self) -> None:
        """Builds those that a bulk load has dropped, in its process or in one that was killed."""
        have = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        missing = [statement for name, statement in BULK_INDEXES.items() if name not in have]
        if not missing:
            return
        # Sorts in one piece of memory as large as the cache, and only beyond that in a file; a third faster than in
        # memory alone, where SQLite asks for each entry one by one.
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
        """Writes the records of some pieces and moves the offsets of their files behind them."""
        if not batch:
            return
        with no_garbage_collection():
            numbered = self._write_words(batch)
            try:
                with transaction(self._db):
                    self._lease.check()
                    self._write_rows(numbered)
            except BaseException:
                self._registry.forget()
                raise

    def _write_words(self, batch: list[NumberedChunk]) -> list[tuple[PendingFile, int, ParsedChunk]]:
        """Writes the words of pieces that were read here; all pieces with their serials."""
        texts = [text for _, first, parsed in batch if first is None for text in parsed.texts]
        serial = self._add_words(texts)
        numbered = []
        for one, first, parsed in batch:
            if first is None:
                first = serial
                serial += len(parsed.texts)
            numbered.append((one, first, parsed))
        return numbered

    def _add_words(self, texts: Sequence[str]) -> int:
        """Writes the words of some texts; the serial of the first of them."""
        serial = self._words.last_serial() + 1
        if texts:
            self._words.add(self._lease.token, enumerate(texts, serial), serial + len(texts) - 1)
        return serial

    def _write_rows(self, batch: list[tuple[PendingFile, int, ParsedChunk]]) -> None:
        spoken: JudgementsByRollout = {}
        for _, _, parsed in batch:
            for uid, run, verdict in parsed.judgements:
                found = spoken.get(uid)
                if found is None:
                    spoken[uid] = [(run, verdict)]
                else:
                    found.append((run, verdict))
        for one, first, parsed in batch:
            self._rollouts.write(one, first, parsed, spoken)
        turn = 0
        while late := [(uid, *said[turn]) for uid, said in spoken.items() if turn < len(said)]:
            self._verdicts.apply(late)
            turn += 1
        for one, _, parsed in batch:
            self._db.executemany(
                "INSERT OR IGNORE INTO metric VALUES (?, ?, ?, ?, ?)",
                [(one.stage, one.source.stream, *metric) for metric in parsed.metrics],
            )
            self._name_bad_lines(one.id, parsed.bad)
            self._move(one, parsed)

    def _move(self, one: PendingFile, parsed: ParsedChunk) -> None:
        moved = self._db.execute(
            """UPDATE stream_file SET offset = ?, lines = lines + ?, bad_lines = bad_lines + ?, head_digest = ?,
            size = max(size, ?)
            WHERE id = ? AND offset = ?""",
            (parsed.end, parsed.lines, len(parsed.bad), parsed.head, parsed.end, one.id, parsed.start),
        )
        if moved.rowcount != 1:
            raise LeaseLost("another process has read the same file")
        one.offset = parsed.end

    def _name_bad_lines(self, source: int, bad: list[tuple[int, str]]) -> None:
        if bad:
            (have,) = self._db.execute("SELECT count(*) FROM bad_line WHERE file = ?", (source,)).fetchone()
            self._db.executemany(
                "INSERT OR IGNORE INTO bad_line VALUES (?, ?, ?)",
                [(source, byte, reason) for byte, reason in bad[: max(0, MAX_BAD_LINES - have)]],
            )
