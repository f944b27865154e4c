"""Files of rows, whatever their container: JSON lines, a JSON list, parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.errors import InvalidInput, MissingRequirement, NotFound

Container = Literal["lines", "list", "parquet"]
SUFFIXES: Final = (".jsonl", ".json", ".parquet", ".ndjson")
_PARQUET_MAGIC: Final = b"PAR1"
_BATCH_ROWS: Final = 2048
_HEAD_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row of a file."""

    place: str
    """`line 17`, `row 17`."""
    value: dict[str, Any] | None
    """None where it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""


def expand(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant: each itself, of a folder those with rows in it, in the order of the numbers in names.

    Raises:
        NotFound: there is no such file, or nothing in a folder.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file()]
            if not inside:
                raise NotFound(f"there are no rollout files in {path}", remedy=f"Looked for {', '.join(SUFFIXES)}.")
            found += sorted(inside, key=_natural)
        elif path.is_file():
            found.append(path)
        else:
            raise NotFound(f"there is no file {path}")
    return [path.absolute() for path in dict.fromkeys(found)]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    pieces = re.split(r"([0-9]{1,18})", path.name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece]


def container_of(path: Path) -> Container:
    """What a file holds its rows in, told by its first bytes.

    Raises:
        InvalidInput: it cannot be read, is empty, or begins like none of them.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    if head.startswith(_PARQUET_MAGIC):
        return "parquet"
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begin == b"[":
        return "list"
    if begin == b"{":
        return "lines"
    what = "is empty" if not head.strip() else "holds no rows"
    raise InvalidInput(f"{path} {what}", remedy="Rows come as JSON lines, as one JSON list, or as parquet.")


def rows_of(path: Path) -> Iterator[RawRow]:
    """The rows of a file, one at a time; those that cannot be read say why.

    Raises:
        InvalidInput: the file as a whole cannot be read.
        MissingRequirement: it is parquet, and pyarrow is not installed.
    """
    container = container_of(path)
    if container == "parquet":
        return _parquet_rows(path)
    return _list_rows(path) if container == "list" else _line_rows(path)


def _line_rows(path: Path) -> Iterator[RawRow]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield _row(f"line {number}", line)


def _row(place: str, line: bytes) -> RawRow:
    try:
        value = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        return RawRow(place, None, f"not valid JSON: {error}")
    return _checked(place, value)


def _checked(place: str, value: Any) -> RawRow:
    return RawRow(place, value) if isinstance(value, dict) else RawRow(place, None, "not an object")


def _list_rows(path: Path) -> Iterator[RawRow]:
    try:
        listed = json.loads(path.read_bytes().decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not valid JSON: {error}") from error
    if not isinstance(listed, list):
        raise InvalidInput(f"{path} is no list of rows")
    return (_checked(f"row {number}", value) for number, value in enumerate(listed, 1))


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingRequirement(
            f"reading parquet needs pyarrow, not installed for this Python: {path}",
            remedy="Install the extra: pip install 'cogtui[export]'",
        ) from error
    try:
        with pq.ParquetFile(path) as table:
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                for value in batch.to_pylist():
                    number += 1
                    yield RawRow(f"row {number}", value)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} is a damaged parquet file: {error}") from error
