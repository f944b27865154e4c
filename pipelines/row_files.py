"""Files of rows in any container: JSON lines, a JSON list, parquet. Told apart by content, not by name.

A row is a JSON object. What its fields mean is for the caller: a layout of rollouts (`cogtui.store.importing`) or a
file of problems (`pipelines.tasks.countdown.reading`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.errors import InvalidInput, MissingRequirement

Container = Literal["lines", "list", "parquet"]
SUFFIXES: Final = (".jsonl", ".json", ".parquet", ".ndjson")
_PARQUET_MAGIC: Final = b"PAR1"
_BATCH_ROWS: Final = 2048
_HEAD_BYTES: Final = 1 << 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row of a file."""

    place: str
    """`line 17`, `row 17`."""
    value: Any
    """The decoded JSON; None if it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""


def container_of(path: Path) -> Container:
    """Return the container of a file, by its first bytes.

    Raises:
        InvalidInput: it cannot be read, is empty, or starts like none of them.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    if head.startswith(_PARQUET_MAGIC):
        return "parquet"
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1]
    if start == b"[":
        return "list"
    if start == b"{":
        return "lines"
    what = "is empty" if not head.strip() else "holds no rows"
    raise InvalidInput(f"{path} {what}", remedy="Rows come as JSON lines, as one JSON list, or as parquet.")


def read_rows(path: Path) -> Iterator[RawRow]:
    """Yield the rows of a file one at a time; a row that cannot be read, or is not an object, says why.

    Raises:
        InvalidInput: the file as a whole cannot be read.
        MissingRequirement: it is parquet, and pyarrow is not installed.
    """
    container = container_of(path)
    if container == "parquet":
        return map(_checked, read_parquet(path))
    return map(_checked, read_list(path) if container == "list" else read_lines(path))


def _checked(row: RawRow) -> RawRow:
    return row if row.problem or isinstance(row.value, dict) else RawRow(row.place, None, "not an object")


def is_parquet(path: Path) -> bool:
    """Return whether a file is parquet.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return stream.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def read_lines(path: Path) -> Iterator[RawRow]:
    """Yield the values of a JSON-lines file; blank lines are skipped. Only a newline ends a line."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if line.strip():
                yield _decode(f"line {number}", line)


def _decode(place: str, line: bytes) -> RawRow:
    try:
        return RawRow(place, json.loads(line.decode("utf-8", "surrogatepass")))
    except (ValueError, RecursionError) as error:
        return RawRow(place, None, f"not valid JSON: {error}")


def read_list(path: Path) -> Iterator[RawRow]:
    """Return the values of a file that is one JSON list.

    Raises:
        InvalidInput: it is not valid JSON, or not a list.
    """
    try:
        values = json.loads(path.read_bytes().decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, list):
        raise InvalidInput(f"{path} is not a list of rows")
    return (RawRow(f"row {number}", value) for number, value in enumerate(values, 1))


def read_parquet(
    path: Path, choose_columns: Callable[[Sequence[str]], Sequence[str] | None] = lambda names: None
) -> Iterator[RawRow]:
    """Yield the rows of a parquet file.

    Args:
        path: the file.
        choose_columns: given the names of all columns, returns those to read; None reads all.

    Raises:
        InvalidInput: the file is damaged. MissingRequirement: pyarrow is not installed.
    """
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
            columns = choose_columns(table.schema_arrow.names)
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for value in batch.to_pylist():
                    number += 1
                    yield RawRow(f"row {number}", value)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} is a damaged parquet file: {error}", remedy="Fetch it again.") from error
