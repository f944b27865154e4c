"""Opening a file, or a member of a zip archive, as a stream of decompressed bytes of bounded size."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.row_files.rows import expands_too_far, max_expanded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
PARQUET_MAGIC: Final = b"PAR1"
_BUFFER_BYTES: Final = 1 << 20


class DamagedDataError(ValueError):
    """Compressed data that cannot be decompressed; the message says why."""


class _BoundedReader(io.RawIOBase):
    """Decompressed bytes. Refuses those beyond the size to which the compressed ones may expand."""

    def __init__(self, source: IO[bytes], name: str, compressed: int, beneath: IO[bytes] | None) -> None:
        self._source = source
        self._beneath = beneath
        self._name = name
        self._compressed = compressed
        self._left = max_expanded(compressed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read(len(view))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:  # also gzip.BadGzipFile
            raise DamagedDataError(str(error)) from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":  # zstandard is imported only where it is needed
                raise
            raise DamagedDataError(str(error)) from error
        self._left -= len(data)
        if self._left < 0:
            raise expands_too_far(self._name, self._compressed)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        if self._beneath is not None:
            self._beneath.close()
        super().close()


def bounded(source: IO[bytes], name: str, compressed: int, beneath: IO[bytes] | None = None) -> IO[bytes]:
    """Return a buffered stream of decompressed bytes that is refused where it expands too far.

    Args:
        source: gives decompressed bytes.
        name: of the file, for the error.
        compressed: size of the compressed data in bytes.
        beneath: the stream of compressed data, closed with the source, which may not do so.
    """
    return io.BufferedReader(_BoundedReader(source, name, compressed, beneath), _BUFFER_BYTES)


def decompressed(stream: IO[bytes], name: str, size: int) -> IO[bytes]:
    """Return a stream of the bytes that gzip or zstd data expands to; any other stream as it is.

    Args:
        stream: buffered; its beginning is peeked at.
        name: of the file, for errors.
        size: of the data in bytes.

    Raises:
        MissingRequirement: it is zstd, and zstandard is not installed.
    """
    head = stream.peek(4)[:4] if isinstance(stream, io.BufferedReader) else b""
    if head.startswith(GZIP_MAGIC):
        return bounded(cast("IO[bytes]", gzip.GzipFile(fileobj=stream)), name, size, stream)
    if head.startswith(ZSTD_MAGIC):
        return bounded(zstd_reader(stream, name), name, size, stream)
    return stream


def zstd_reader(stream: IO[bytes], name: str) -> IO[bytes]:
    """Return a reader of zstd data, of one frame or several.

    Raises:
        MissingRequirement: zstandard is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        stream.close()
        raise MissingRequirement(
            f"reading zstd needs zstandard, not installed for this Python: {name}",
            remedy="Install it: pip install zstandard",
        ) from error
    # The library's default limits the window, and with it the memory, to 128 MiB.
    reader: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return reader


def open_file(path: Path) -> IO[bytes]:
    """Open a file as a stream of its decompressed bytes.

    Raises:
        InvalidInput: it cannot be read, or is not a regular file.
        MissingRequirement: it is zstd, and zstandard is not installed.
    """
    try:
        if not path.is_file():
            raise InvalidInput(f"{path} is not a file")
        return decompressed(path.open("rb", buffering=_BUFFER_BYTES), str(path), path.stat().st_size)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def seekable(open_stream: Callable[[], IO[bytes]]) -> IO[bytes]:
    """Return a stream that can seek: the stream itself, or a temporary file with its bytes, of bounded size."""
    stream = open_stream()
    if stream.seekable():
        return stream
    with stream:
        copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- the caller closes it
        try:
            while block := stream.read(_BUFFER_BYTES):
                copy.write(block)
        except BaseException:
            copy.close()
            raise
    copy.seek(0)
    return copy


def is_parquet(path: Path) -> bool:
    """Return whether a file is parquet.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
