"""Reads the rows of a file in any container, which is recognised by content, not by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final

from pipelines.errors import InvalidInput
from pipelines.row_files.archive import ARCHIVE_SUFFIXES, INSPECT_SAMPLES, inspect_rows, open_member
from pipelines.row_files.columnar import ARROW_FILE_MAGIC, ARROW_STREAM_MAGIC, columnar_rows
from pipelines.row_files.json_rows import BYTE_ORDER_MARK, documents_of, lines_of, list_of, starts_document
from pipelines.row_files.opening import PARQUET_MAGIC, DamagedDataError, open_file, seekable
from pipelines.row_files.rows import Container, RawRow

SUFFIXES: Final = (".jsonl", ".json", ".parquet", ".ndjson", ".arrow")
COMPRESSED_SUFFIXES: Final = (".gz", ".zst")
ROW_SUFFIXES: Final = (*SUFFIXES, *(suffix + packed for suffix in SUFFIXES for packed in COMPRESSED_SUFFIXES))
_HEAD_BYTES: Final = 1 << 16
_ZIP_MAGIC: Final = b"PK\x03\x04"
_KNOWN: Final = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself", "Fetch the file with git lfs pull."),
    (b"%PDF", "is a PDF", ""),
    (b"\x89PNG", "is a PNG image", ""),
    (b"SQLite format 3", "is an SQLite database", ""),
    (b"\x80", "looks like a pickle, which is never loaded", ""),
    (b"\xfd7zXZ", "is xz data", "Decompress it with unxz."),
    (b"BZh", "is bzip2 data", "Decompress it with bunzip2."),
    (b"\x93NUMPY", "is a NumPy array", ""),
    (b"\x89HDF", "is an HDF5 file", ""),
    (b"\xff\xfe", "is UTF-16 text", "Convert it with iconv -f UTF-16 -t UTF-8."),
    (b"\xfe\xff", "is UTF-16 text", "Convert it with iconv -f UTF-16 -t UTF-8."),
    (b"<", "is HTML or XML", "If it was downloaded, fetch the raw file instead of its page."),
)
"""First bytes, what such a file is, what to do."""
_READABLE: Final = (
    "Rows come as JSON lines, a JSON list or object, parquet, Arrow, or a zip of them; also as .gz or .zst."
)


def has_row_suffix(name: str) -> bool:
    """Return whether a file is named like one with rows, or like an archive of them."""
    return name.lower().endswith((*ROW_SUFFIXES, *ARCHIVE_SUFFIXES))


def row_stem(path: Path) -> str:
    """Return the name of a row file without its endings: `7` for `7.jsonl.gz`."""
    name = path.name
    for suffix in (*COMPRESSED_SUFFIXES, *SUFFIXES, *ARCHIVE_SUFFIXES):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return path.stem if name == path.name else name


def container_of(path: Path, member: str = "") -> Container:
    """Return the container of a file, by its first bytes.

    Args:
        path: the file.
        member: name of the file inside it, if it is a zip archive.

    Raises:
        InvalidInput: it cannot be read, is empty, or starts like none of them; says what it is as far as is known.
        MissingRequirement: it is zstd, and zstandard is not installed.
    """
    if member == INSPECT_SAMPLES:
        return "zip"
    name = str(path / member) if member else str(path)
    try:
        with _open(path, member) as stream:
            head = stream.read(_HEAD_BYTES)
    except DamagedDataError as error:
        raise InvalidInput(f"{name} is damaged: {error}", remedy="Fetch it again.") from error
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {error.strerror}") from error
    return _container(head, name)


def _open(path: Path, member: str) -> IO[bytes]:
    return open_member(path, member) if member else open_file(path)


def _container(head: bytes, name: str) -> Container:
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    if head.startswith((ARROW_FILE_MAGIC, ARROW_STREAM_MAGIC)):
        return "arrow"
    if head.startswith(_ZIP_MAGIC):
        return "zip"
    start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if start.startswith(b"["):
        return "list"
    if start.startswith(b"{"):
        return "document" if starts_document(start, complete=len(head) < _HEAD_BYTES) else "lines"
    if not start:
        raise InvalidInput(f"{name} is empty", remedy=_READABLE)
    for magic, what, remedy in _KNOWN:
        if start.startswith(magic):
            raise InvalidInput(f"{name} {what}", remedy=remedy or _READABLE)
    if b"\0" in head:
        raise InvalidInput(f"{name} is binary, of a kind that is not known here", remedy=_READABLE)
    first = start[:40].decode("utf-8", "replace").splitlines()[0]
    raise InvalidInput(f"{name} holds no rows", detail=f"It begins with {first!r}.", remedy=_READABLE)


def read_rows(path: Path, member: str = "") -> Iterator[RawRow]:
    """Yield the rows of a file one at a time; a row that cannot be read, or is not an object, says why.

    Args:
        path: the file.
        member: name of the file inside it, if it is a zip archive.

    Raises:
        InvalidInput: the file as a whole cannot be read.
        MissingRequirement: it needs pyarrow or zstandard, which is not installed.
    """
    container = container_of(path, member)
    return map(_checked, _raw_rows(path, member, container))


def _raw_rows(path: Path, member: str, container: Container) -> Iterator[RawRow]:
    if member == INSPECT_SAMPLES:
        yield from inspect_rows(path)
        return
    name = str(path / member) if member else str(path)
    if container == "parquet" or container == "arrow":
        try:
            with seekable(partial(_open, path, member)) as stream:
                yield from columnar_rows(stream, container, name, path.stat().st_size)
        except DamagedDataError as error:
            raise InvalidInput(f"{name} is damaged: {error}", remedy="Fetch it again.") from error
    elif container == "zip":
        raise InvalidInput(f"{name} is a zip archive inside another file", remedy="Unpack it and import the folder.")
    else:
        read_text = {"list": list_of, "document": documents_of}.get(container)
        with _open(path, member) as stream:
            yield from lines_of(stream) if read_text is None else read_text(stream, name)


def _checked(row: RawRow) -> RawRow:
    return row if row.problem or isinstance(row.value, dict) else RawRow(row.place, None, "not an object")
