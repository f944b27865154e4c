"""The helper process of a bulk load: parses rollouts and writes the full-text index beside the row writer.

It is a `subprocess` with pipes, because `multiprocessing` would import the caller's main module again.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, Final, NamedTuple

import msgspec

from cogtui.store.db.fts_index import FtsIndex
from cogtui.store.ingest.parse import FileToParse, ParsedChunk, no_garbage_collection, parse_files

FIRST_COMMIT_BYTES: Final = 2 * 2**20
LAST_COMMIT_BYTES: Final = 8 * 2**20
COMMIT_BYTES: Final = 32 * 2**20
"""Bytes of stage files per full-text transaction. Large ones leave fewer segments to merge and search. The first is
small because rows wait for their texts; the last are small because then only the row writer has work left."""
_LENGTH: Final = struct.Struct("<Q")
_COMMAND: Final = "from cogtui.store.ingest.fts_process import main; main()"
_AHEAD: Final = 12
"""Chunks that may wait for the row writer."""


class FtsJob(NamedTuple):
    """The task of the helper process."""

    path: Path
    """The index file."""
    token: str
    """Token of the lease under which it writes."""
    serial: int
    """Serial of the first rollout."""
    files: list[FileToParse]
    numbers: list[int]
    """Positions in `files` of those with rollouts, in order."""
    chunk_bytes: int


class IndexedChunk(NamedTuple):
    """A chunk whose texts are in the full-text index."""

    file: int
    """Position of its file in the job."""
    serial: int
    """Serial of its first rollout."""
    parsed: ParsedChunk
    """The records, without their texts."""


encode_chunk: Final = msgspec.msgpack.Encoder().encode
decode_chunk: Final = msgspec.msgpack.Decoder(IndexedChunk).decode
"""Together a quarter of the time that pickle takes for NamedTuples."""


class FtsProcess:
    """Parses files in a child process. A context manager: leaving it ends the child."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._frames: Queue[bytes] = Queue(_AHEAD)

    def chunks(self, job: FtsJob) -> Iterator[IndexedChunk]:
        """Yield the chunks of the job as their texts are indexed; ends early if the child dies."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(job, self._process.stdin)
            self._process.stdin.close()
        Thread(target=_receive, args=(self._process.stdout, self._frames), daemon=True).start()
        while frame := self._frames.get():
            with no_garbage_collection():
                chunk = decode_chunk(frame)
            yield chunk

    def __enter__(self) -> FtsProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        while not self._frames.empty():  # lets the receiving thread reach the end of the stream
            self._frames.get_nowait()


def _receive(stream: IO[bytes], frames: Queue[bytes]) -> None:
    """Put complete frames into a queue, and an empty one at the end of the stream."""
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
    fts, serial = FtsIndex(job.path), job.serial
    group: list[IndexedChunk] = []
    size, limit = 0, FIRST_COMMIT_BYTES
    left = sum(job.files[number].size - job.files[number].offset for number in job.numbers)
    for number, parsed in parse_files(job.files, job.numbers, FIRST_COMMIT_BYTES, job.chunk_bytes):
        group.append(IndexedChunk(number, serial, parsed))
        serial += len(parsed.rollouts)
        size += parsed.end - parsed.start
        if size >= limit:
            _write(fts, job.token, group)
            left -= size
            limit = max(LAST_COMMIT_BYTES, min(limit * 2, COMMIT_BYTES, left // 3))
            group, size = [], 0
    _write(fts, job.token, group)


def _write(fts: FtsIndex, token: str, group: Sequence[IndexedChunk]) -> None:
    """Write the texts, then send the chunks to the process that writes their rows."""
    texts = [pair for _, first, parsed in group for pair in enumerate(parsed.texts, first)]
    if texts:
        fts.add(token, texts, texts[-1][0])
    for chunk in group:
        frame = encode_chunk(chunk._replace(parsed=chunk.parsed._replace(texts=[])))
        sys.stdout.buffer.write(_LENGTH.pack(len(frame)))
        sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()


def main() -> None:
    """Run the helper process: read a job from stdin, write its chunks to stdout."""
    gc.disable()  # millions of small tuples without cycles
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _serve()
