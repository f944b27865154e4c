"""Repairing a full-text index that lacks texts: its file was deleted, or the machine lost power between two writes."""

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


def repair_fts(connection: sqlite3.Connection, files: RecordReader, fts: FtsIndex, lease: Lease) -> int:
    """Add the texts of rollouts that the full-text index lacks; return how many there were."""
    total = 0
    while True:
        rows = connection.execute(
            "SELECT serial, file, byte FROM record WHERE serial > ? ORDER BY serial LIMIT ?",
            (fts.last_serial(), _AT_ONCE),
        ).fetchall()
        if not rows:
            return total
        texts = [(serial, _text(files, file, byte)) for serial, file, byte in rows]
        fts.add(lease.token, texts, rows[-1][0])
        lease.renew()
        total += len(rows)


def _text(files: RecordReader, file: int, byte: int) -> str:
    try:
        line = files.line(file, byte)
        _, family = files.file(file)
        return searchable((read_trace if family == "traces" else read_rollout)(line).completion)
    except (NotFound, ValueError):
        return ""  # the file changed after it was read; the next scan finds that
