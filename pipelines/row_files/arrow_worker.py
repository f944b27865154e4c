"""The process that decodes parquet and Arrow files: damaged ones can abort it inside native code.

It is run as a script and imports nothing of cogtui, so that it starts fast. It imports pyarrow once and forks a decoder
for each file, so that no file is decoded after another one damaged the process. Standard input is a socket; each
message on it has three descriptors: of the file, of a socket to its reader, and of a pipe for standard error. The
parent of the decoder writes there how it ended.

A message between reader and decoder is a length of eight bytes and what `marshal` makes of it, five times as fast as
JSON. A long answer is in a file in memory, whose descriptor comes with its length. The first request is answered by the
column names, `read` by the first rows of the columns named, `next` by more rows or the end.

Cells become JSON. Bytes in UTF-8 become text, other bytes an object with their length, decimals numbers, times text.
"""

import contextlib
import gc
import marshal
import os
import resource
import signal
import socket
import struct
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any, Final, NoReturn

_BATCH_ROWS: Final = 512
_BATCH_BYTES: Final = 64 << 20
_PART_BYTES: Final = 16 << 20
_FRAME_ROWS: Final = 2048
_FRAME_BYTES: Final = 4 << 20
_INLINE_BYTES: Final = 1 << 16
_VARINT_BYTES: Final = 5
_HEADER: Final = struct.Struct(">Q")
_ARROW_FILE_MAGIC: Final = b"ARROW1"


class _ExpandsTooFarError(Exception):
    pass


class _OpenFile:
    """A file that is read."""

    def __init__(self, request: dict[str, Any], stream: IO[bytes]) -> None:
        self._stream = stream
        self._allowed = int(request["allowed"])
        self._longest = int(request["longest_row"])
        self._parquet: Any = None
        self._parts: Iterator[Any] = iter(())
        stream.seek(0)
        if request["container"] == "parquet":
            import pyarrow.parquet as pq

            self._parquet = pq.ParquetFile(stream)

    def describe(self) -> dict[str, Any]:
        """Return column names and the number of rows, which only parquet states."""
        if self._parquet is None:
            return {"names": [], "rows": None}
        return {"names": list(self._parquet.schema_arrow.names), "rows": self._parquet.metadata.num_rows}

    def read(self, columns: list[str] | None) -> dict[str, Any]:
        self._parts = self._cut(self._batches(columns))
        return self._frame(next(self._parts, None))

    def next(self) -> dict[str, Any]:
        """Return a frame of several parts, since the columns of a dictionary come in small ones."""
        part = next(self._parts, None)
        frame = self._frame(part)
        size = part.nbytes if part is not None else 0
        while "rows" in frame and len(frame["rows"]) < _FRAME_ROWS and size < _FRAME_BYTES:
            part = next(self._parts, None)
            if part is None:
                break
            size += part.nbytes
            if self._is_too_large(part):
                frame["too_large"] = True
                break
            frame["rows"] += _plain_rows(part)
        return frame

    def _frame(self, part: Any) -> dict[str, Any]:
        if part is None:
            return {"end": True}
        return {"rows": [], "too_large": True} if self._is_too_large(part) else {"rows": _plain_rows(part)}

    def _is_too_large(self, part: Any) -> bool:
        return bool(part.num_rows == 1 and part.nbytes > self._longest)

    def _batches(self, columns: list[str] | None) -> Iterator[Any]:
        if self._parquet is not None:
            largest = self._largest_dictionary()
            rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))
            yield from self._parquet.iter_batches(batch_size=rows, columns=columns)
            return
        import pyarrow.ipc as ipc

        head = self._stream.read(len(_ARROW_FILE_MAGIC))
        self._stream.seek(0)
        if head == _ARROW_FILE_MAGIC:
            reader = ipc.open_file(self._stream)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        else:
            yield from ipc.open_stream(self._stream)

    def _cut(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches of bounded size."""
        left = self._allowed
        for batch in batches:
            batch.validate(full=True)  # readers of Arrow trust offsets: a wrong one reads outside the buffers
            left -= batch.nbytes
            if left < 0:
                raise _ExpandsTooFarError
            # A batch of Arrow has any number of rows; as Python objects they take several times their size.
            rows = max(1, min(_BATCH_ROWS, _PART_BYTES * batch.num_rows // max(1, batch.nbytes)))
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)

    def _largest_dictionary(self) -> int:
        """Return the size of the largest dictionary of a column. A row may refer to all of it, and each row anew."""
        largest = 0
        metadata = self._parquet.metadata
        for group in range(metadata.num_row_groups):
            group_bytes = 0
            for index in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(index)
                group_bytes += max(0, chunk.total_uncompressed_size)
                if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                    page = self._page_bytes(chunk.dictionary_page_offset)
                    largest = max(largest, chunk.total_uncompressed_size if page is None else page)
                elif chunk.data_page_offset is not None:
                    group_bytes += self._page_bytes(chunk.data_page_offset) or 0
            if group_bytes > self._allowed or largest > self._allowed:
                raise _ExpandsTooFarError
        return largest

    def _page_bytes(self, offset: int) -> int | None:
        """Return the decompressed size that the header of a page states; None if the header cannot be read.

        The header is a Thrift struct in compact encoding; its first fields are the page type and the decompressed size.
        """
        self._stream.seek(offset)
        head = self._stream.read(4 + 2 * _VARINT_BYTES)
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


def _plain_rows(part: Any) -> list[Any]:
    """Return the rows of a batch as JSON."""
    rows: list[Any] = part.to_pylist()
    return rows if all(_is_plain(field.type) for field in part.schema) else [_as_json(row) for row in rows]


def _is_plain(type_: Any) -> bool:
    """Return whether cells of an Arrow type are JSON as pyarrow returns them."""
    import pyarrow.types as types

    if types.is_struct(type_):
        return all(_is_plain(type_.field(index).type) for index in range(type_.num_fields))
    if types.is_list(type_) or types.is_large_list(type_):
        return _is_plain(type_.value_type)
    return any(
        is_type(type_)
        for is_type in (
            types.is_string, types.is_large_string, types.is_boolean, types.is_integer, types.is_float32,
            types.is_float64, types.is_null,
        )
    )  # fmt: skip


def _as_json(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {str(name): _as_json(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"bytes": len(value)}
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value.as_tuple().exponent == 0 else float(value)
    return str(value)


def _receive(channel: socket.socket) -> dict[str, Any]:
    (left,) = _HEADER.unpack(_exactly(channel, _HEADER.size))
    request: dict[str, Any] = marshal.loads(_exactly(channel, left))
    return request


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _send(channel: socket.socket, frame: dict[str, Any]) -> None:
    body = marshal.dumps(frame)
    header = _HEADER.pack(len(body))
    if len(body) <= _INLINE_BYTES:
        channel.sendall(header + body)
        return
    # A socket holds some 200 kB: on a busy machine a frame through it would wait for its turn ten times.
    with _memory_file() as file:
        file.write(body)
        file.flush()
        socket.send_fds(channel, [header], [file.fileno()])


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("rows"), "wb")
    return tempfile.TemporaryFile()


def _decode(descriptor: int, channel: socket.socket) -> None:
    """Answer requests for one file until its reader closes the channel."""
    file: _OpenFile | None = None
    while True:
        request = _receive(channel)
        try:
            if file is None:
                file = _OpenFile(request, os.fdopen(descriptor, "rb"))
                reply = file.describe()
            else:
                reply = file.read(request["columns"]) if request["do"] == "read" else file.next()
            _send(channel, reply)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except ImportError as error:
            _send(channel, {"missing": str(error)})
        except _ExpandsTooFarError:
            _send(channel, {"expands": True})
        except Exception as error:
            # Beside Arrow's own errors, damaged data raises those of texts, times and nested values.
            _send(channel, {"damage": str(error) or type(error).__name__})


def _run_decoder(descriptor: int, channel: int) -> NoReturn:
    try:
        with socket.socket(fileno=channel) as reader:
            _decode(descriptor, reader)
    except (EOFError, OSError):
        pass  # nobody reads any more
    finally:
        os._exit(0)


def _watch_decoder(descriptor: int, channel: int, errors: int) -> NoReturn:
    """Fork the decoder and write how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(errors, 2)
    child = os.fork()
    if child == 0:
        _run_decoder(descriptor, channel)
    os.close(channel)
    os.close(descriptor)
    _, status = os.waitpid(child, 0)
    if status:
        os.write(2, f"\n{os.waitstatus_to_exitcode(status)}".encode())
    os._exit(0)


def main() -> None:
    """Fork a decoder for each file that is sent, until the other side closes the socket."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the children
    with contextlib.suppress(ImportError):  # the decoder reports it
        import pyarrow.ipc
        import pyarrow.parquet  # noqa: F401 -- for the decoders
    gc.freeze()
    with socket.socket(fileno=0) as control:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 3)
            if not message:
                return
            if os.fork() == 0:
                control.close()
                _watch_decoder(*descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


if __name__ == "__main__":
    main()
