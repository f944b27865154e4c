"""Rows of parquet and Arrow files, decoded in processes of their own in batches of bounded size."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.row_files.arrow_process import DecoderDiedError, FileDecoder, open_decoder
from pipelines.row_files.opening import open_file
from pipelines.row_files.rows import MAX_ROW_BYTES, RawRow, expands_too_far, max_expanded

ARROW_FILE_MAGIC: Final = b"ARROW1"
ARROW_STREAM_MAGIC: Final = b"\xff\xff\xff\xff"
_SMALL_BYTES: Final = 8 << 20
_MAX_AHEAD: Final = 4
ColumnarContainer = Literal["parquet", "arrow"]
ColumnChoice = Callable[[Sequence[str]], Sequence[str] | None]
"""Given the names of all columns, returns those to read; None reads all."""


def read_parquet(path: Path, choose_columns: ColumnChoice = lambda names: None) -> Iterator[RawRow]:
    """Yield the rows of a parquet file.

    Raises:
        InvalidInput: the file is damaged, or expands too far.
        MissingRequirement: pyarrow is not installed.
    """
    with open_file(path) as stream:
        yield from columnar_rows(stream, "parquet", str(path), path.stat().st_size, choose_columns)


def count_parquet_rows(path: Path) -> int:
    """Return the number of rows that a parquet file states; raises what `read_parquet` does."""
    with open_file(path) as stream, _decoder(stream, "parquet", str(path), path.stat().st_size) as opened:
        return opened.rows or 0


def columnar_rows(
    stream: IO[bytes],
    container: ColumnarContainer,
    name: str,
    size: int,
    choose_columns: ColumnChoice = lambda names: None,
) -> Iterator[RawRow]:
    """Yield the rows of a parquet file, or of an Arrow file or stream as Hugging Face datasets save them.

    What the file declares is checked before anything is decoded. A dictionary makes rows larger than the footer of a
    parquet file says: batches are small where it is large, and their sizes are added up.

    Args:
        stream: an open file.
        container: which of them it is.
        name: of the file, for errors.
        size: of the file as found, in bytes: it may expand to a multiple.
        choose_columns: chooses columns of a parquet file.

    Raises:
        InvalidInput: it is damaged, or expands too far. MissingRequirement: pyarrow is not installed.
    """
    with _decoder(stream, container, name, size) as opened:
        decoder, names, _ = opened
        columns = choose_columns(names) if container == "parquet" else None
        decoder.send(do="read", columns=None if columns is None else list(columns))
        place, asked, ahead = 0, 1, 1
        while True:
            reply = decoder.receive()
            content = _checked(reply.content, container, name, size)
            if content.get("end"):
                return
            # It decodes the next rows while these are used, some replies ahead where they are small.
            ahead = 1 if reply.size > _SMALL_BYTES else min(ahead + 1, _MAX_AHEAD)
            for _ in range(asked - 1, ahead):
                decoder.send(do="next")
            asked = max(asked - 1, ahead)
            for value in content["rows"]:
                place += 1
                yield RawRow(f"row {place}", value)
            if content.get("too_large"):
                place += 1
                yield RawRow(f"row {place}", None, f"the row is larger than {MAX_ROW_BYTES >> 20} MiB")


class _OpenedFile(NamedTuple):
    decoder: FileDecoder
    names: list[str]
    rows: int | None


@contextmanager
def _decoder(stream: IO[bytes], container: ColumnarContainer, name: str, size: int) -> Iterator[_OpenedFile]:
    if importlib.util.find_spec("pyarrow") is None:
        raise _no_pyarrow(name)
    decoder = open_decoder(stream.fileno())
    try:
        decoder.send(container=container, allowed=max_expanded(size), longest_row=MAX_ROW_BYTES)
        opened = _checked(decoder.receive().content, container, name, size)
        yield _OpenedFile(decoder, opened["names"], opened["rows"])
    except DecoderDiedError as error:
        raise _damaged(container, name, str(error)) from error
    finally:
        decoder.close()


def _checked(reply: dict[str, Any], container: str, name: str, size: int) -> dict[str, Any]:
    if "damage" in reply:
        raise _damaged(container, name, str(reply["damage"]))
    if "expands" in reply:
        raise expands_too_far(name, size)
    if "missing" in reply:
        raise _no_pyarrow(name)
    return reply


def _damaged(container: str, name: str, why: str) -> InvalidInput:
    kind = "parquet" if container == "parquet" else "Arrow"
    return InvalidInput(f"{name} is a damaged {kind} file: {why}", remedy="Fetch it again.")


def _no_pyarrow(name: str) -> MissingRequirement:
    return MissingRequirement(
        f"reading parquet and Arrow files needs pyarrow, not installed for this Python: {name}",
        remedy="Install the extra: pip install 'cogtui[export]'",
    )
