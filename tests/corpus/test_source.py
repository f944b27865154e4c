"""Documents from files: the same at every reading, whatever is wrong with some of them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpus.documents.source import MAX_LINE_BYTES, ColumnMapping, HubDataset, RawDocument, open_source
from pipelines.errors import InvalidInput
from pipelines.stages import InputFile, Inputs
from tests.corpus.lab import jsonl


def read(
    *paths: Path, columns: dict[str, Any] | None = None, limit: int | None = None, skip: int = 0
) -> list[RawDocument]:
    files = [InputFile.model_validate(str(path)) for path in paths]
    source = open_source(files, None, ColumnMapping.model_validate(columns or {}), limit, Inputs([]))
    return list(source.read(lambda number: number >= skip))


def test_numbers_run_over_all_files_and_bad_lines_keep_theirs(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", [{"text": "one"}, b"{torn", b"[1, 2]", b"", b"\xff\xfe", {"text": "five"}])
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(b'{"text": "six"}\n{"text": "no newline at the end"}'))
    found = read(first, second)
    assert [raw.number for raw in found] == [0, 1, 2, 3, 4, 5, 6]
    assert [raw.values["text"] if raw.values else raw.problem for raw in found] == [
        "one", "unreadable", "unreadable", "unreadable", "five", "six", "no newline at the end",
    ]  # fmt: skip
    assert found[4].where == "a.jsonl:6"
    assert read(first, second, skip=4) == found[4:], "what is passed over changes nothing"
    assert read(first, second, limit=5) == found[:5]
    assert read(first, second, limit=6, skip=5) == found[5:6]


def test_a_line_beyond_all_measure_is_named_and_what_follows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "' + b"x" * (MAX_LINE_BYTES + 10) + b'"}\n{"text": "after"}\n')
    found = read(path)
    assert [(raw.number, raw.problem) for raw in found] == [(0, "too_large"), (1, "")]
    assert found[1].values == {"text": "after"}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_missing_column_is_an_error_that_names_those_there_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    record = {"content": "x", "url": "y"}
    if kind == "jsonl":
        jsonl(path, [record])
    else:
        write_parquet(path, [record])
    with pytest.raises(InvalidInput) as error:
        read(path, columns={"domain": "subject"})
    assert "text = 'text', domain = 'subject'" in error.value.summary
    assert error.value.detail == "It has: content, url"
    mapped = read(path, columns={"text": "content", "id": "url"})
    assert mapped[0].values == {"text": "x", "id": "y"}


def write_parquet(path: Path, records: list[dict[str, Any]]) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.Table.from_pylist(records), path)


def test_parquet_reads_like_jsonl(tmp_path: Path) -> None:
    records = [{"text": f"document {n}" if n % 7 else None, "numbers": [n, 2], "target": n} for n in range(600)]
    write_parquet(tmp_path / "a.parquet", records)
    jsonl(tmp_path / "a.jsonl", records)
    columns = {"numbers": "numbers", "target": "target"}
    wide = read(tmp_path / "a.parquet", columns=columns, skip=250, limit=590)
    assert [raw.values for raw in wide] == [
        raw.values for raw in read(tmp_path / "a.jsonl", columns=columns, skip=250, limit=590)
    ]
    with pytest.raises(InvalidInput, match="no parquet file"):
        read(jsonl(tmp_path / "b.parquet", [{}]))


def test_a_dataset_in_a_folder_is_streamed(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    jsonl(tmp_path / "train.jsonl", [{"text": f"document {n}"} for n in range(5)])
    source = open_source([], HubDataset(path=str(tmp_path)), ColumnMapping(), 4, Inputs([]))
    assert [raw.values for raw in source.read(lambda number: number % 2 == 1)] == [
        {"text": "document 1"}, {"text": "document 3"},
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="has no column for text = 'body'"):
        list(open_source([], HubDataset(path=str(tmp_path)), ColumnMapping(text="body"), None, Inputs([])).read(bool))


def test_there_is_exactly_one_source(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": json.dumps("x")}])
    with pytest.raises(InvalidInput, match="has none"):
        read()
    with pytest.raises(InvalidInput, match="has documents and dataset"):
        open_source([InputFile.model_validate(str(path))], HubDataset(path="x"), ColumnMapping(), None, Inputs([]))
    with pytest.raises(InvalidInput, match="neither JSONL nor parquet"):
        read(jsonl(tmp_path / "a.txt", []))
