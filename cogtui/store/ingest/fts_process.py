"""Reading rollouts and writing their words in a process beside the one that writes rows, so that a bulk load uses
two processors.

A process of our own and pipes, not `multiprocessing`: that imports the caller's main module again, which a
library must not ask of whoever uses it.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, Final, NamedTuple

from cogtui.store.db.fts_index import FtsIndex
from cogtui.store.ingest.parse import FileToParse, ParsedChunk, no_garbage_collection, parse_files

FIRST_COMMIT_BYTES: Final = 2 * 2**20
LAST_COMMIT_BYTES: Final = 8 * 2**20
COMMIT_BYTES: Final = 32 * 2**20
"""Of files, in one transaction of the words: the fewer, the less there is to merge and the fewer parts a search looks
into. But rows wait for their words, so the first is small; and the last are, for only the writer has work then."""
_LENGTH: Final = struct.Struct("<Q")
_AHEAD: Final = 12
"""Pieces that may wait to be written."""


class FtsJob(NamedTuple):
    """What the child does."""

    path: Path
    """Of the index."""
    token: str
    """Of the lease under which it writes words."""
    serial: int
    """Of the first rollout."""
    files: list[FileToParse]
    numbers: list[int]
    """The files with rollouts, in order."""
    piece_bytes: int


IndexedChunk = tuple[int, int, ParsedChunk]
"""Number of the file, serial of the first rollout, rollouts without their texts."""


class FtsProcess:
    """Reads files in a child process. Use as a context manager: leaving it ends the child."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cogtui.store.ingest.fts_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._frames: Queue[bytes] = Queue(_AHEAD)

    def pieces(self, job: FtsJob) -> Iterator[IndexedChunk]:
        """The pieces of the job whose words are written; fewer where the child died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(job, self._process.stdin)
            self._process.stdin.close()
        Thread(target=_receive, args=(self._process.stdout, self._frames), daemon=True).start()
        while frame := self._frames.get():
            with no_garbage_collection():
                piece: IndexedChunk = pickle.loads(frame)
            yield piece

    def __enter__(self) -> FtsProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        while not self._frames.empty():  # lets the thread that receives see the end and go
            self._frames.get_nowait()


def _receive(stream: IO[bytes], frames: Queue[bytes]) -> None:
    """Puts whole frames into a queue; an empty one at the end, however it came."""
    with stream, contextlib.suppress(OSError, ValueError):
        while True:
            head = stream.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                break
            (length,) = _LENGTH.unpack(head)
            frame = stream.read(length)
            if len(frame) < length:
                break
            frames.put(frame)
    frames.put(b"")


def _serve() -> None:
    job: FtsJob = pickle.load(sys.stdin.buffer)
    words, serial = FtsIndex(job.path), job.serial
    group: list[IndexedChunk] = []
    size, limit = 0, FIRST_COMMIT_BYTES
    left = sum(job.files[number].size - job.files[number].offset for number in job.numbers)
    for number, parsed in parse_files(job.files, job.numbers, FIRST_COMMIT_BYTES, job.piece_bytes):
        group.append((number, serial, parsed))
        serial += len(parsed.rollouts)
        size += parsed.end - parsed.start
        if size >= limit:
            _write(words, job.token, group)
            left -= size
            limit = max(LAST_COMMIT_BYTES, min(limit * 2, COMMIT_BYTES, left // 3))
            group, size = [], 0
    _write(words, job.token, group)


def _write(words: FtsIndex, token: str, group: Sequence[IndexedChunk]) -> None:
    """Words first, then whoever waits for their rollouts may write those."""
    texts = [pair for _, first, parsed in group for pair in enumerate(parsed.texts, first)]
    if texts:
        words.add(token, texts, texts[-1][0])
    for number, first, parsed in group:
        frame = pickle.dumps((number, first, parsed._replace(texts=[])), pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.write(_LENGTH.pack(len(frame)))
        sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    import gc

    gc.disable()  # millions of small tuples and no cycle among them
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _serve()
