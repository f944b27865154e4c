"""Append-only JSONL streams of a stage folder: one writing process a file, whole lines, no record twice.

A stream is a family (`rollouts`, `metrics`, `judgements`) and a name (`train`, `eval`); its files are
`FAMILY-NAME-001.jsonl`, `-002`, … A writer always starts a new file, so a torn last line of an attempt
that was killed is never continued, only skipped.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pipelines.errors import InvalidInput
from pipelines.files import open_regular
from pipelines.records import RECORD_VERSION, Judgement, Metric, Record, Rollout

ROTATE_BYTES: Final = 128 * 2**20
FAMILIES: Final = ("metrics", "rollouts", "judgements")
_FILE = re.compile(r"(?P<family>[a-z]+)-(?P<name>[a-z0-9_]+)-(?P<part>\d{3,})\.jsonl")
_READ_BYTES: Final = 1 << 20

_IDENTITY: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "rollouts": lambda record: record["id"],
    "metrics": lambda record: record["step"],
    "judgements": lambda record: (record["rollout_id"], record["judge_run"], record["behavior"]),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A complete line of a stream file and where it lies, in bytes."""

    start: int
    end: int
    data: bytes


def complete_lines(path: Path, offset: int = 0) -> Iterator[Line]:
    """Yield the complete lines of a file from a byte offset on; a torn tail (no newline yet) waits.

    Blank lines are skipped. Reads in blocks: memory is bounded by the longest line.
    """
    with open_regular(path) as stream:
        stream.seek(offset)
        tail = b""
        start = offset
        while block := stream.read(_READ_BYTES):
            *lines, tail = (tail + block).split(b"\n") if b"\n" in block else (tail + block,)
            for line in lines:
                end = start + len(line) + 1
                if line.strip():
                    yield Line(start, end, line)
                start = end


def stream_files(folder: Path, family: str) -> list[Path]:
    """Return the stream files of a family in writing order."""
    found = []
    for path in folder.glob(f"{family}-*.jsonl"):
        match = _FILE.fullmatch(path.name)
        if match and match["family"] == family:
            found.append((match["name"], int(match["part"]), path))
    return [path for _, _, path in sorted(found)]


def parse_line(data: bytes) -> dict[str, Any]:
    """Return the object on a stream line.

    Raises:
        ValueError: not UTF-8, not JSON, or not an object.
    """
    value = json.loads(data.decode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise ValueError("the line is not a JSON object")
    return value


def read_stream(folder: Path, family: str) -> Iterator[dict[str, Any]]:
    """Yield all records of a family as plain objects, malformed lines left out (ingest counts those)."""
    for path in stream_files(folder, family):
        for line in complete_lines(path):
            try:
                yield parse_line(line.data)
            except ValueError:
                continue


def strip_envelope(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record without the stream's own fields, ready for `model_validate`."""
    return {key: value for key, value in record.items() if key not in ("v", "stream", "seq")}


def read_rollouts(folder: Path) -> Iterator[Rollout]:
    """Yield the rollouts of a stage folder, each id once.

    Raises:
        InvalidInput: a line is JSON but no rollout.
    """
    seen: set[str] = set()
    for record in read_stream(folder, "rollouts"):
        try:
            rollout = Rollout.model_validate(strip_envelope(record))
        except ValueError as error:
            raise InvalidInput(f"{folder}: a line of the rollouts is not a valid rollout", detail=str(error)) from error
        if rollout.id not in seen:
            seen.add(rollout.id)
            yield rollout


class StreamWriter:
    """Appends records to a stream; records that an earlier attempt already wrote are skipped.

    Use as a context manager, or call `close`.

    Raises:
        OSError: from `append`, when the disk is full or the folder vanished; the writer is then closed,
            since its last line may be torn.
    """

    def __init__(self, folder: Path, family: str, name: str, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        if family not in FAMILIES:
            raise ValueError(f"no such stream family: {family}")
        self.folder = folder
        self.family = family
        self.name = name
        self._rotate_bytes = rotate_bytes
        self._identity = _IDENTITY[family]
        self._written: set[object] = set()
        self._seq = 0
        self._part = 0
        self._fd: int | None = None
        self._size = 0
        self._closed = False
        self._recall()

    def _recall(self) -> None:
        """Learn from the files of earlier attempts which records and sequence numbers are in the stream."""
        for path in stream_files(self.folder, self.family):
            match = _FILE.fullmatch(path.name)
            if match is None or match["name"] != self.name:
                continue
            self._part = max(self._part, int(match["part"]))
            for line in complete_lines(path):
                try:
                    record = parse_line(line.data)
                    self._written.add(self._identity(record))
                    self._seq = max(self._seq, int(record.get("seq", -1)) + 1)
                except (ValueError, KeyError, TypeError):
                    continue

    def __len__(self) -> int:
        """Return the number of distinct records in the stream, including those of earlier attempts."""
        return len(self._written)

    def append(self, records: Iterable[Rollout | Metric | Judgement]) -> int:
        """Write the records not yet in the stream, each as one whole line; returns how many those were."""
        if self._closed:
            raise ValueError(f"stream {self.family}-{self.name} is closed")
        lines: list[bytes] = []
        fresh: list[object] = []
        batch: set[object] = set()
        for record in records:
            line, identity = self._line(record, self._seq + len(lines))
            if identity in self._written or identity in batch:
                continue
            batch.add(identity)
            fresh.append(identity)
            lines.append(line)
        for line in lines:
            self._write(line)
        self._written.update(fresh)
        self._seq += len(lines)
        return len(lines)

    def _line(self, record: Record, seq: int) -> tuple[bytes, object]:
        body = record.model_dump(mode="json")
        envelope = {"v": RECORD_VERSION, "stream": f"{self.family}-{self.name}", "seq": seq, **body}
        # ASCII output keeps lone surrogates, U+2028 and friends out of the file's bytes.
        return json.dumps(envelope, separators=(",", ":"), allow_nan=False).encode() + b"\n", self._identity(body)

    def _write(self, line: bytes) -> None:
        if self._fd is None or (self._size and self._size + len(line) > self._rotate_bytes):
            self._open_next()
        assert self._fd is not None
        try:
            written = os.write(self._fd, line)
        except OSError:
            self.close()
            raise
        if written != len(line):
            self.close()
            raise OSError(28, "the disk is full: a line was written in part", str(self.folder))
        self._size += written

    def _open_next(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._part += 1
        path = self.folder / f"{self.family}-{self.name}-{self._part:03d}.jsonl"
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        self._size = 0

    def lost_file(self) -> str | None:
        """Return the name of the current file if it was deleted, replaced or cut by another program; else None."""
        if self._fd is None:
            return None
        name = f"{self.family}-{self.name}-{self._part:03d}.jsonl"
        try:
            there = (self.folder / name).stat()
        except OSError:
            return name
        own = os.fstat(self._fd)
        same = (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)
        return None if same and there.st_size >= self._size else name

    def close(self) -> None:
        """Close the current file; further appends are refused."""
        self._closed = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
