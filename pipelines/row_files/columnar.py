"""Rows of parquet and Arrow files, decoded in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.row_files.opening import open_file
from pipelines.row_files.rows import MAX_ROW_BYTES, RawRow, expands_too_far, max_expanded

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS: Final = 512
_BATCH_BYTES: Final = 64 << 20
_VARINT_BYTES: Final = 5
ARROW_FILE_MAGIC: Final = b"ARROW1"
ARROW_STREAM_MAGIC: Final = b"\xff\xff\xff\xff"


def _pyarrow(name: str) -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingRequirement(
            f"reading parquet and Arrow files needs pyarrow, not installed for this Python: {name}",
            remedy="Install the extra: pip install 'cogtui[export]'",
        ) from error
    return pyarrow


def read_parquet(
    path: Path, choose_columns: Callable[[Sequence[str]], Sequence[str] | None] = lambda names: None
) -> Iterator[RawRow]:
    """Yield the rows of a parquet file.

    Args:
        path: the file.
        choose_columns: given the names of all columns, returns those to read; None reads all.

    Raises:
        InvalidInput: the file is damaged, or expands too far.
        MissingRequirement: pyarrow is not installed.
    """
    _pyarrow(str(path))
    with open_file(path) as stream:
        yield from parquet_rows(stream, str(path), path.stat().st_size, choose_columns)


def parquet_rows(
    stream: IO[bytes],
    name: str,
    size: int,
    choose_columns: Callable[[Sequence[str]], Sequence[str] | None] = lambda names: None,
) -> Iterator[RawRow]:
    """Yield the rows of a stream of parquet that can seek; see `read_parquet`.

    The sizes in the footer are checked before anything is decoded. A dictionary makes rows larger than the footer
    says: batches are small where it is large, and their sizes are added up.
    """
    pa = _pyarrow(name)
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream) as table:
            columns = choose_columns(table.schema_arrow.names)
            largest = _largest_dictionary(table.metadata, stream, name, size)
            batch_rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))
            yield from _rows_of(table.iter_batches(batch_size=batch_rows, columns=columns), name, size)
    except _damage(pa) as error:
        raise InvalidInput(f"{name} is a damaged parquet file: {error}", remedy="Fetch it again.") from error


def arrow_rows(stream: IO[bytes], name: str, size: int) -> Iterator[RawRow]:
    """Yield the rows of an Arrow file or stream, as Hugging Face datasets save them.

    Raises:
        InvalidInput: it is damaged, or expands too far. MissingRequirement: pyarrow is not installed.
    """
    pa = _pyarrow(name)
    import pyarrow.ipc as ipc

    try:
        head = stream.read(len(ARROW_FILE_MAGIC))
        stream.seek(0)
        if head == ARROW_FILE_MAGIC:
            reader = ipc.open_file(stream)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            batches = iter(ipc.open_stream(stream))
        yield from _rows_of(batches, name, size)
    except _damage(pa) as error:
        raise InvalidInput(f"{name} is a damaged Arrow file: {error}", remedy="Fetch it again.") from error


def _damage(pa: Any) -> tuple[type[Exception], ...]:
    """What decoding damaged data raises: beside Arrow's own errors those of texts, times and nested values."""
    return (pa.ArrowException, OSError, MemoryError, OverflowError, ValueError, TypeError, KeyError, IndexError)


def _rows_of(batches: Iterator[pa.RecordBatch], name: str, size: int) -> Iterator[RawRow]:
    number, left = 0, max_expanded(size)
    for batch in batches:
        batch.validate(full=True)  # readers of Arrow trust offsets: a wrong one reads outside the buffers
        left -= batch.nbytes
        if left < 0:
            raise expands_too_far(name, size)
        # A batch of Arrow has any number of rows; as Python objects they take several times their size.
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            if part.num_rows == 1 and part.nbytes > MAX_ROW_BYTES:
                number += 1
                yield RawRow(f"row {number}", None, f"the row is larger than {MAX_ROW_BYTES >> 20} MiB")
                continue
            for value in part.to_pylist():
                number += 1
                yield RawRow(f"row {number}", value)


def _largest_dictionary(metadata: Any, stream: IO[bytes], name: str, size: int) -> int:
    """Return the size of the largest dictionary of a column. A row may refer to all of it, and each row anew.

    Raises:
        InvalidInput: a row group is larger than the file may expand to.
    """
    largest = 0
    allowed = max_expanded(size)
    for group in range(metadata.num_row_groups):
        group_bytes = 0
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            group_bytes += max(0, chunk.total_uncompressed_size)
            if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                page = _page_bytes(stream, chunk.dictionary_page_offset)
                largest = max(largest, chunk.total_uncompressed_size if page is None else page)
            elif chunk.data_page_offset is not None:
                group_bytes += _page_bytes(stream, chunk.data_page_offset) or 0
        if group_bytes > allowed or largest > allowed:
            raise expands_too_far(name, size)
    return largest


def _page_bytes(stream: IO[bytes], offset: int) -> int | None:
    """Return the decompressed size that the header of a page states; None if the header cannot be read.

    The header is a Thrift struct in compact encoding; its first fields are the page type and the decompressed size.
    """
    stream.seek(offset)
    head = stream.read(4 + 2 * _VARINT_BYTES)
    at = 0
    for field in range(2):
        if at >= len(head) or head[at] != 0x15:  # next field, a 32-bit integer
            return None
        at += 1
        value = shift = 0
        while at < len(head):
            value |= (head[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not head[at - 1] & 0x80:
                break
        if field == 1:
            return (value >> 1) ^ -(value & 1)
    return None
