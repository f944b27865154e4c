"""Replies kept on disk as they arrive, so that no request is sent, and paid for, twice."""

import json
import os
import sqlite3
from pathlib import Path
from typing import Final

from pipelines.llm.requests import ModelReply, TokenUsage
from pipelines.streams import complete_lines, parse_line

_NAME: Final = "replies"


class Ledger:
    """Replies by request id, in JSONL files; each process appends to a file of its own.

    The byte ranges of the replies are in a temporary SQLite table that spills to disk, so memory does not grow with
    their number. Errors that cost nothing are not kept; those requests are sent again.

    Args:
        folder: where the files are; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[Path] = []
        self._open: dict[int, int] = {}
        self._writing: int | None = None
        self._end = 0
        self._count = 0
        self.usage = TokenUsage()
        """Usage of all live replies."""
        self.batch_usage = TokenUsage()
        """Usage of all replies from batches."""
        self._index = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._index.execute("PRAGMA journal_mode = OFF")
        self._index.execute("PRAGMA synchronous = OFF")
        self._index.execute("CREATE TABLE place (id BLOB PRIMARY KEY, file INT, start INT, end INT) WITHOUT ROWID")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts and replies
        for path in sorted(folder.glob(f"{_NAME}-*.jsonl")):
            self._read(path)

    def _read(self, path: Path) -> None:
        number = len(self._files)
        self._files.append(path)
        self._index.execute("BEGIN")
        for line in complete_lines(path):
            try:
                record = parse_line(line.data)
                reply = ModelReply.from_dict(record["reply"])
                key = bytes.fromhex(record["id"])
            except (ValueError, KeyError, TypeError):
                continue  # the reply is lost, and its request will be sent again
            self._note(key, (number, line.start, line.end), reply)
        self._index.execute("COMMIT")

    def _note(self, key: bytes, place: tuple[int, int, int], reply: ModelReply) -> None:
        if not self._index.execute("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?)", (key, *place)).rowcount:
            return
        self._count += 1
        if reply.batch:
            self.batch_usage += reply.usage
        else:
            self.usage += reply.usage

    def _place(self, request_id: str) -> tuple[int, int, int] | None:
        found: tuple[int, int, int] | None = self._index.execute(
            "SELECT file, start, end FROM place WHERE id = ?", (bytes.fromhex(request_id),)
        ).fetchone()
        return found

    def __contains__(self, request_id: str) -> bool:
        return self._place(request_id) is not None

    def __len__(self) -> int:
        return self._count

    def get(self, request_id: str) -> ModelReply | None:
        """Return the reply to a request, or None without one."""
        place = self._place(request_id)
        if place is None:
            return None
        number, start, end = place
        if number not in self._open:
            self._open[number] = os.open(self._files[number], os.O_RDONLY)
        return ModelReply.from_dict(parse_line(os.pread(self._open[number], end - start, start))["reply"])

    def put(self, request_id: str, reply: ModelReply) -> None:
        """Keep a reply; it is written when this returns.

        Raises:
            OSError: the disk is full.
        """
        if not reply.is_final or request_id in self:
            return
        if self._writing is None:
            path = self._folder / f"{_NAME}-{len(self._files) + 1:03d}.jsonl"
            self._writing = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            self._files.append(path)
            self._end = 0
        line = json.dumps({"id": request_id, "reply": reply.as_dict()}).encode() + b"\n"
        if os.write(self._writing, line) != len(line):
            self.close()
            raise OSError(28, "the disk is full: a reply was written in part", str(self._folder))
        self._note(bytes.fromhex(request_id), (len(self._files) - 1, self._end, self._end + len(line)), reply)
        self._end += len(line)

    def close(self) -> None:
        """Close the files; a later `put` starts a new one."""
        for descriptor in (*self._open.values(), *(() if self._writing is None else (self._writing,))):
            os.close(descriptor)
        self._open.clear()
        self._writing = None
