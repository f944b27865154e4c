"""Rows are the same whatever file they are in; what is too large or damaged is refused with the file's name."""

import gzip
import io
import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.row_files import container_of, list_zip, read_rows, row_stem
from pipelines.row_files import rows as limits

TEXT = "line one\u2028of \U0001f3af"
ROWS: list[dict[str, Any]] = [{"n": number, "text": TEXT, "deep": {"a": [1, None]}} for number in range(5)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def values(path: Path, member: str = "") -> list[Any]:
    return [row.value for row in read_rows(path, member)]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def zstd(content: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    packed: bytes = zstandard.ZstdCompressor().compress(content)
    return packed


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as module

    module.write_table(pyarrow.table(columns), path, **options)
    return path


def test_lines_lists_and_documents(tmp_path: Path) -> None:
    assert values(write(tmp_path / "a", LINES)) == ROWS
    assert values(write(tmp_path / "b", json.dumps(ROWS, indent=2).encode())) == ROWS
    document = write(tmp_path / "c", json.dumps({"rows": ROWS}, indent=2).encode())
    assert container_of(document) == "document"
    assert values(document) == [{"rows": ROWS}]
    several = write(tmp_path / "d", "\n".join(json.dumps(row, indent=1) for row in ROWS).encode())
    assert values(several) == ROWS
    bad_first = write(tmp_path / "e", b'{"n": nope}\n' + LINES)
    assert [row.value for row in read_rows(bad_first)] == [None, *ROWS]


@pytest.mark.parametrize("name", ["gzip", "two gzip members", "zstd", "two zstd frames"])
def test_compressed(tmp_path: Path, name: str) -> None:
    half = LINES.index(b"\n") + 1
    if "zstd" in name:
        content = zstd(LINES[:half]) + zstd(LINES[half:]) if "two" in name else zstd(LINES)
    else:
        content = gzip.compress(LINES[:half]) + gzip.compress(LINES[half:]) if "two" in name else gzip.compress(LINES)
    path = write(tmp_path / "misleading.json", content)
    assert container_of(path) == "lines"
    assert values(path) == ROWS


def test_the_rows_before_damage_are_read(tmp_path: Path) -> None:
    content = gzip.compress(LINES * 10_000)
    rows = list(read_rows(write(tmp_path / "cut.jsonl.gz", content[: len(content) // 2])))
    assert rows[0].value == ROWS[0]
    assert len(rows) > 100
    assert "damaged" in rows[-1].problem


def test_parquet_and_arrow(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    path = parquet(tmp_path / "a.parquet", {"n": [1, 2], "text": ["a", None]})
    expected = [{"n": 1, "text": "a"}, {"n": 2, "text": None}]
    assert values(path) == expected
    assert values(write(tmp_path / "a.parquet.gz", gzip.compress(path.read_bytes()))) == expected
    table = pyarrow.table({"n": [1, 2], "text": ["a", None]})
    for name, new in (("stream", pyarrow.ipc.new_stream), ("file", pyarrow.ipc.new_file)):
        with new(tmp_path / name, table.schema) as writer:
            writer.write_table(table)
        assert container_of(tmp_path / name) == "arrow"
        assert values(tmp_path / name) == expected
    with pytest.raises(InvalidInput, match=r"cut.*damaged"):
        values(write(tmp_path / "cut", (tmp_path / "stream").read_bytes()[:-200]))


def test_zip_members_in_natural_order(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("b/10.jsonl", "b/9.jsonl.gz", "readme.txt", "b/"):
            archive.writestr(name, gzip.compress(LINES) if name.endswith(".gz") else LINES)
    content = list_zip(path, (".jsonl", ".jsonl.gz"))
    assert content.members == ["b/9.jsonl.gz", "b/10.jsonl"]
    assert [each.path.name for each in content.left_out] == ["readme.txt"]
    assert [values(path, member) for member in content.members] == [ROWS, ROWS]


def test_zstd_members_of_a_zip(tmp_path: Path) -> None:
    """Python before 3.14 neither writes nor reads them: a stored member is relabelled as method 93."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jsonl", zstd(LINES))
    content = buffer.getvalue()
    content = content[:8] + struct.pack("<H", 93) + content[10:]
    central = content.index(b"PK\x01\x02")
    content = content[: central + 10] + struct.pack("<H", 93) + content[central + 12 :]
    assert values(write(tmp_path / "z.zip", content), "a.jsonl") == ROWS


def test_compressed_bombs_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_EXPANSION_BYTES", 1 << 16)
    zeros = b'{"text": "' + b"0" * (1 << 22) + b'"}\n'
    for name, content in (("bomb.gz", gzip.compress(zeros)), ("bomb.zst", zstd(zeros))):
        with pytest.raises(InvalidInput, match=rf"{name} expands to more than"):
            values(write(tmp_path / name, content))
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jsonl", zeros)
    assert "expands" in list_zip(path, (".jsonl",)).left_out[0].reason
    with pytest.raises(InvalidInput, match=r"bomb\.jsonl expands"):  # what it declares
        values(path, "bomb.jsonl")
    lie = bytearray(path.read_bytes())
    central = lie.index(b"PK\x01\x02")
    lie[central + 24 : central + 28] = struct.pack("<I", 100)  # it declares less than it is
    write(path, bytes(lie))
    with pytest.raises(InvalidInput, match=r"bomb\.jsonl|bomb\.zip"):
        values(path, "bomb.jsonl")


def test_parquet_bombs_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_EXPANSION_BYTES", 1 << 16)
    repeated = parquet(tmp_path / "dictionary.parquet", {"text": ["0" * 1_000] * 100_000})
    assert repeated.stat().st_size < 60_000
    with pytest.raises(InvalidInput, match=r"dictionary\.parquet expands"):  # decoded, it is 100 MB
        values(repeated)
    declared = parquet(
        tmp_path / "plain.parquet", {"text": ["0" * (1 << 22)]}, use_dictionary=False, compression="zstd"
    )
    with pytest.raises(InvalidInput, match=r"plain\.parquet expands"):
        values(declared)


def test_long_lines_are_rows_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.row_files.json_rows.MAX_ROW_BYTES", 1000)
    long = json.dumps({"text": "x" * 5000}).encode() + b"\n"
    rows = list(read_rows(write(tmp_path / "long.jsonl", LINES + long + LINES)))
    assert [row.value for row in rows] == [*ROWS, None, *ROWS]
    assert "longer than" in rows[5].problem


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a,b\n1,2\n", "holds no rows"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"SQLite format 3\0", "SQLite"),
        ('{"a": 1}\n'.encode("utf-16"), "UTF-16"),
        (b"\x80\x04\x95", "pickle"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"\x00\x01\x02", "binary"),
        (b"\x1f\x8b\x08\x00 not gzip", "damaged"),
        (b"PAR1 not parquet", "damaged parquet"),
        (b"{\n nope", "not valid JSON"),
        (b"[1, 2", "not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_described(tmp_path: Path, content: bytes, what: str) -> None:
    path = write(tmp_path / "odd.jsonl", content)
    with pytest.raises(InvalidInput, match=what) as caught:
        list(read_rows(path))
    assert "odd.jsonl" in caught.value.summary


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("zstandard", b"\x28\xb5\x2f\xfd"), ("pyarrow", b"PAR1")):
        monkeypatch.setitem(sys.modules, name, None)
        path = write(tmp_path / f"needs_{name}.jsonl", content)
        with pytest.raises(MissingRequirement, match=f"needs {name}, not installed.*needs_{name}") as caught:
            values(path)
        assert "pip install" in caught.value.remedy


def test_stems() -> None:
    names = ("7.jsonl.gz", "step_3.parquet", "a.b.jsonl", "log.eval", "7.txt", ".jsonl")
    assert [row_stem(Path(name)) for name in names] == ["7", "step_3", "a.b", "log", "7", ".jsonl"]
