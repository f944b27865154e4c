"""Words that are missing: their file was deleted, or the machine lost power between two writes."""

from __future__ import annotations

import sqlite3
from typing import Final

from cogtui.store.db.fts_index import FtsIndex
from cogtui.store.db.lease import Lease
from cogtui.store.ingest.parse import searchable
from cogtui.store.stage_files.decode import read_rollout, read_trace
from cogtui.store.stage_files.record_reader import RecordReader
from pipelines.errors import NotFound

_AT_ONCE: Final = 4000


def repair_fts(connection: sqlite3.Connection, files: RecordReader, words: FtsIndex, lease: Lease) -> int:
    """Writes the words of rollouts that the index has and the words do not; returns how many that were."""
    total = 0
    while True:
        rows = connection.execute(
            "SELECT serial, file, byte FROM record WHERE serial > ? ORDER BY serial LIMIT ?",
            (words.last_serial(), _AT_ONCE),
        ).fetchall()
        if not rows:
            return total
        texts = [(serial, _text(files, source, byte)) for serial, source, byte in rows]
        words.add(lease.token, texts, rows[-1][0])
        lease.renew()
        total += len(rows)


def _text(files: RecordReader, source: int, byte: int) -> str:
    try:
        line = files.line(source, byte)
        _, family = files.source(source)
        return searchable((read_trace if family == "traces" else read_rollout)(line).completion)
    except (NotFound, ValueError):
        return ""  # the file has changed since; the next look at the disk finds that
