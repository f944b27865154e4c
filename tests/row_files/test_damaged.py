"""Whatever the bytes of a file are, reading it gives rows, or an error that names it."""

import gzip
import io
import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import CogtuiError
from pipelines.row_files import container_of, list_zip, read_rows

ROWS = [{"prompt": "6 + 7?", "completion": f"It is {number}."} for number in range(40)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@cache
def whole(kind: str) -> bytes:
    """A good file."""
    if kind == "lines":
        return LINES
    if kind == "document":
        return json.dumps({"rows": ROWS}, indent=1).encode()
    if kind == "gzip":
        return gzip.compress(LINES)
    if kind == "zstd":
        return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(LINES))
    if kind in ("zip", "inspect"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("samples/1.json" if kind == "inspect" else "1.jsonl", LINES)
            archive.writestr("header.json" if kind == "inspect" else "2.jsonl", b'{"eval": {"task": "sums"}}')
        return buffer.getvalue()
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(ROWS)
    buffer = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, buffer)
    else:
        with (pyarrow.ipc.new_file if kind == "arrow file" else pyarrow.ipc.new_stream)(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


def read_all(content: bytes) -> int:
    """The number of good rows in a file of these bytes, or in the members of an archive."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the_file"
        path.write_bytes(content)
        try:
            if container_of(path) != "zip":
                return sum(1 for row in read_rows(path) if row.value is not None)
            good = 0
            for member in list_zip(path, (".json", ".jsonl")).members:
                good += sum(1 for row in read_rows(path, member) if row.value is not None)
            return good
        except CogtuiError as error:
            summary = error.summary
        assert "the_file" in summary
        return 0


MAGICS = (b"", b"{", b"[", b"PAR1", b"ARROW1\0\0", b"\xff" * 4, b"PK\x03\x04", b"\x1f\x8b\x08", b"(\xb5/\xfd")
KINDS = ("lines", "document", "gzip", "zstd", "zip", "inspect", "parquet", "arrow file", "arrow stream")


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(kind: str) -> None:
    assert read_all(whole(kind)) == {"document": 1, "zip": 41, "inspect": 0}.get(kind, 40)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_changed_and_cut_files_are_read_or_refused_by_name(kind: str, data: st.DataObject) -> None:
    content = bytearray(whole(kind))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else len(content)
    read_all(bytes(content[:end]))


@given(
    st.sampled_from(MAGICS),
    st.binary(max_size=200),
)  # fmt: skip
def test_any_bytes_are_read_or_refused_by_name(magic: bytes, rest: bytes) -> None:
    read_all(magic + rest)


def test_a_zip_member_without_a_name_is_named_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rows.jsonl", "{}\n")
    data = path.read_bytes().replace(b"rows.jsonl", b"\0ows.jsonl")  # a NUL ends the name
    path.write_bytes(data)
    content = list_zip(path, (".jsonl",))
    assert content.members == []
    assert [left.reason for left in content.left_out] == ["its name is not that of a file of rows"]
