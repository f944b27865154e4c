"""Zip archives of row files. A log of Inspect is one: a file per sample, and a header."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from pipelines.errors import InvalidInput
from pipelines.row_files.json_rows import whole_text
from pipelines.row_files.opening import DamagedDataError, bounded, decompressed, zstd_reader
from pipelines.row_files.rows import LeftOutFile, RawRow, expands_too_far, max_expanded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

INSPECT_SAMPLES: Final = "samples/"
"""Stands for all samples of an Inspect log: they are one file of rows."""
ARCHIVE_SUFFIXES: Final = (".zip", ".eval")
_INSPECT_HEADERS: Final = ("header.json", "_journal/start.json")
_ZSTD_METHOD: Final = 93
_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_MAX_MEMBERS: Final = 200_000
_ENCRYPTED: Final = 1


class ZipContent(NamedTuple):
    """What is in a zip archive."""

    members: list[str]
    """Files that may hold rows, in natural order."""
    left_out: list[LeftOutFile]
    is_inspect_log: bool


class _Slice(io.RawIOBase):
    """A part of a file."""

    def __init__(self, source: IO[bytes], start: int, length: int) -> None:
        self._source = source
        self._left = length
        source.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._source.read(min(len(view), self._left))
        self._left -= len(data)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def list_zip(path: Path, suffixes: tuple[str, ...]) -> ZipContent:
    """Return the members of an archive that may hold rows, by their names, and those that do not.

    Args:
        path: the archive.
        suffixes: endings of names of row files, in lower case.

    Raises:
        InvalidInput: it is damaged, or has too many members.
    """
    with _open_zip(path) as archive:
        # Not `is_dir()`: before Python 3.12 it raises IndexError for a member without a name.
        infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    names = {info.filename for info in infos}
    if any(header in names for header in _INSPECT_HEADERS) and any(n.startswith(INSPECT_SAMPLES) for n in names):
        return ZipContent([INSPECT_SAMPLES], [], is_inspect_log=True)
    members, left_out = [], []
    for info in sorted(infos, key=lambda info: natural_key(info.filename)):
        place = path / info.filename
        if info.flag_bits & _ENCRYPTED:
            left_out.append(LeftOutFile(place, "it is encrypted"))
        elif info.file_size > max_expanded(info.compress_size):
            left_out.append(LeftOutFile(place, expands_too_far(info.filename, info.compress_size).summary))
        elif info.filename.lower().endswith(suffixes):
            members.append(info.filename)
        elif info.filename.lower().endswith(ARCHIVE_SUFFIXES):
            left_out.append(LeftOutFile(place, "it is an archive inside an archive: unpack the outer one"))
        else:
            left_out.append(LeftOutFile(place, "its name is not that of a file of rows"))
    return ZipContent(members, left_out, is_inspect_log=False)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return the sort key by which `step2` comes before `step10`."""
    pieces = re.split(r"([0-9]{1,18})", name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece]


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, UnicodeDecodeError, NotImplementedError) as error:
        raise InvalidInput(f"{path} is a damaged zip archive: {error}", remedy="Fetch it again.") from error
    if len(archive.infolist()) > _MAX_MEMBERS:
        archive.close()
        raise InvalidInput(f"{path} has more than {_MAX_MEMBERS:,} members", remedy="Unpack it and import the folder.")
    return archive


def open_member(path: Path, member: str) -> IO[bytes]:
    """Open a file inside an archive as a stream of its decompressed bytes.

    Raises:
        InvalidInput: there is no such member, or it cannot be read. MissingRequirement: as for `open_file`.
    """
    archive = _open_zip(path)
    try:
        return _open_in(archive, path, member)
    finally:
        archive.close()  # the file stays open for the member that is read


def _open_in(archive: zipfile.ZipFile, path: Path, member: str) -> IO[bytes]:
    name = str(path / member)
    try:
        info = archive.getinfo(member)
        if info.file_size > max_expanded(info.compress_size):
            raise expands_too_far(name, info.compress_size)
        if info.compress_type == _ZSTD_METHOD:  # which zipfile does not know before Python 3.14
            packed = _raw_member(path, info)
            stream = bounded(zstd_reader(packed, name), name, info.compress_size, packed)
        else:
            stream = bounded(archive.open(info), name, info.compress_size)
        return decompressed(stream, name, info.file_size)
    except KeyError as error:
        raise InvalidInput(f"there is no {member} in {path}") from error
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, zlib.error, DamagedDataError) as error:
        raise InvalidInput(f"cannot read {name}: {error}") from error


def _raw_member(path: Path, info: zipfile.ZipInfo) -> IO[bytes]:
    source = path.open("rb")
    try:
        source.seek(info.header_offset)
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(source.read(_LOCAL_HEADER.size))
        if magic != b"PK\x03\x04":
            raise zipfile.BadZipFile("bad local header")
        start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        return io.BufferedReader(_Slice(source, start, info.compress_size))
    except (struct.error, zipfile.BadZipFile) as error:
        source.close()
        raise zipfile.BadZipFile(str(error)) from error


def inspect_rows(path: Path) -> Iterator[RawRow]:
    """Yield the samples of an Inspect log, each in the shape of Inspect's JSON logs: `{"eval": …, "samples": [one]}`.

    Raises:
        InvalidInput: the archive is damaged.
    """
    with _open_zip(path) as archive:
        names = {info.filename for info in archive.infolist()}
        header = next((name for name in _INSPECT_HEADERS if name in names), None)
        evaluation: Any = None
        if header is not None:
            document = _json_member(archive, path, header).value
            evaluation = document.get("eval") if isinstance(document, dict) else None
        for name in sorted(names, key=natural_key):
            if name.startswith(INSPECT_SAMPLES) and name.endswith(".json"):
                row = _json_member(archive, path, name)
                yield row if row.problem else RawRow(row.place, {"eval": evaluation, "samples": [row.value]})


def _json_member(archive: zipfile.ZipFile, path: Path, member: str) -> RawRow:
    try:
        with _open_in(archive, path, member) as stream:
            return RawRow(member, json.loads(whole_text(stream, str(path / member))))
    except InvalidInput as error:
        return RawRow(member, None, error.summary)
    except (ValueError, RecursionError) as error:
        return RawRow(member, None, f"not valid JSON: {error}")
