"""Reading files into the index: resumable by file and byte, in batches that are whole or not there.

A batch writes its rows and moves its file's offset in one transaction, and only if the offset is still where it
was. So a process killed at any moment, or two that both believe they are the writer, lose nothing and write
nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cogtui.store import summaries
from cogtui.store.catalog import Catalog, Pending
from cogtui.store.connection import WRITER_CACHE_KIB, transaction
from cogtui.store.files import Files
from cogtui.store.human_index import sync_human
from cogtui.store.ingest_rollouts import RolloutWriter
from cogtui.store.lease import Lease, LeaseLost
from cogtui.store.notes import sync_notes
from cogtui.store.parse import File, Parsed, no_garbage_collection, parse_all
from cogtui.store.parser_process import ParserProcess
from cogtui.store.registry import Registry
from cogtui.store.rows import AT_BITS
from cogtui.store.schema import BULK_INDEXES
from cogtui.store.verdicts import Verdicts, placed_in
from jobs.workspace import Workspace

FIRST_BYTES: Final = 512 * 1024
"""Read before anything is shown."""
PIECE_BYTES: Final = 4 * 2**20
BATCH_BYTES: Final = 32 * 2**20
"""In one transaction."""
BULK_BYTES: Final = 96 * 2**20
"""From here on indexes for sorting are built at the end, and a second process parses."""
CHECKPOINT_PAGES: Final = 8192
"""64 MB of log between checkpoints: pages that every batch changes are copied into the index once, not every time."""
MAX_BAD_LINES: Final = 1000
"""Bad lines named a file; all are counted."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a round of ingest is."""

    done: int
    """Bytes."""
    total: int
    file: str


class Ingester:
    """Brings an index up to date with its workspace. The caller holds the lease."""

    def __init__(self, connection: sqlite3.Connection, workspace: Workspace, lease: Lease) -> None:
        self._db = connection
        self._lease = lease
        self._workspace = workspace
        self._registry = Registry(connection)
        self._verdicts = Verdicts(connection, self._registry, Files(connection, workspace))
        self._catalog = Catalog(connection, workspace, lease, self._registry, self._verdicts)
        self._rollouts = RolloutWriter(connection, self._registry, self._verdicts)
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def round(self) -> Iterator[Progress]:
        """One look at the disk and everything new read. May be left between two steps.

        Raises:
            LeaseLost: another process writes the index now.
        """
        pending = self._catalog.sync()
        total = sum(one.size - one.offset for one in pending)
        if total > BULK_BYTES:
            self._drop_bulk_indexes()
        done = 0
        batch: list[tuple[Pending, Parsed]] = []
        batch_bytes, limit = 0, FIRST_BYTES
        for one, parsed in self._parsed(pending, beside=total > BULK_BYTES):
            batch.append((one, parsed))
            batch_bytes += parsed.end - parsed.start
            if batch_bytes >= limit:
                self._write(batch)
                done += batch_bytes
                batch, batch_bytes, limit = [], 0, min(limit * 2, BATCH_BYTES)
                yield Progress(done, total, str(one.source.path))
        self._write(batch)
        self._catalog.give_up(pending)
        self._settle()
        yield Progress(total, total, "")

    def _parsed(self, pending: list[Pending], *, beside: bool) -> Iterator[tuple[Pending, Parsed]]:
        """The pieces of files; of a bulk load the first from this process and the rest from one beside it."""
        read = {one.id: one.offset for one in pending}

        def files() -> list[File]:
            return [
                File(one.source.family, one.source.path, read[one.id], one.size, one.source.own_labels)
                for one in pending
            ]

        def taken(pieces: Iterator[tuple[int, Parsed]]) -> Iterator[tuple[Pending, Parsed]]:
            for number, parsed in pieces:
                read[pending[number].id] = parsed.end
                yield pending[number], parsed

        if beside:
            with ParserProcess() as parser:
                yield from taken(islice(parse_all(files(), FIRST_BYTES, FIRST_BYTES), 1))
                yield from taken(parser.parse_all(files(), PIECE_BYTES))
        # Also what a process that was killed has left.
        yield from taken(parse_all(files(), FIRST_BYTES, PIECE_BYTES))

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
            sync_human(self._db, self._workspace)
        summaries.refresh(self._db, self._lease)
        have = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        for name, statement in BULK_INDEXES.items():
            if name not in have:
                with transaction(self._db):
                    self._lease.check()
                    self._db.execute(statement)

    def _drop_bulk_indexes(self) -> None:
        with transaction(self._db):
            self._lease.check()
            for name in BULK_INDEXES:
                self._db.execute(f"DROP INDEX IF EXISTS {name}")

    def _write(self, batch: list[tuple[Pending, Parsed]]) -> None:
        """Writes the records of some pieces and moves the offsets of their files behind them."""
        if not batch:
            return
        try:
            with transaction(self._db), no_garbage_collection():
                self._lease.check()
                for one, parsed in batch:
                    self._write_piece(one, parsed)
        except BaseException:
            self._registry.forget()
            raise

    def _write_piece(self, one: Pending, parsed: Parsed) -> None:
        self._rollouts.write(one, parsed.rollouts)
        if parsed.judgements:
            base = one.id << AT_BITS
            self._verdicts.apply([(uid, run, placed_in(base, verdict)) for uid, run, verdict in parsed.judgements])
        self._db.executemany(
            "INSERT OR IGNORE INTO metric VALUES (?, ?, ?, ?, ?)",
            [(one.stage, one.source.stream, *metric) for metric in parsed.metrics],
        )
        self._name_bad_lines(one.id, parsed.bad)
        self._move(one, parsed)

    def _move(self, one: Pending, parsed: Parsed) -> None:
        moved = self._db.execute(
            """UPDATE source SET offset = ?, lines = lines + ?, bad = bad + ?, head = ?, size = max(size, ?)
            WHERE id = ? AND offset = ?""",
            (parsed.end, parsed.lines, len(parsed.bad), parsed.head, parsed.end, one.id, parsed.start),
        )
        if moved.rowcount != 1:
            raise LeaseLost("another process has read the same file")
        one.offset = parsed.end

    def _name_bad_lines(self, source: int, bad: list[tuple[int, str]]) -> None:
        if bad:
            (have,) = self._db.execute("SELECT count(*) FROM bad_line WHERE source = ?", (source,)).fetchone()
            self._db.executemany(
                "INSERT OR IGNORE INTO bad_line VALUES (?, ?, ?)",
                [(source, byte, reason) for byte, reason in bad[: max(0, MAX_BAD_LINES - have)]],
            )
