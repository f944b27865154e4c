"""Document sources: JSONL and parquet files, datasets of the Hugging Face hub, a `corpus` stage.

All of them are streamed. Every record has a number over the whole source, readable or not.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ConfigDict, Field

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.row_files import count_parquet_rows, is_parquet, read_parquet
from pipelines.stages import ConfigModel, InputFile, Inputs

DOCUMENTS_NAME: Final = "documents.jsonl"
"""Name of the artifact of a `corpus` stage."""
MAX_LINE_BYTES: Final = 64 * 2**20
"""Longest JSONL line that is read."""
_COUNTED_BYTES: Final = 20 * 2**30
"""Largest file whose lines are counted."""

NumberFilter = Callable[[int], bool]
"""Document number → whether it is needed; other documents are skipped without parsing."""


class ColumnMapping(ConfigModel):
    """Names of the columns of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    text: str = "text"
    """Column with the text."""
    id: str | None = None
    """Column with the name, e.g. a URL; by default documents are named by their number."""
    domain: str | None = None
    """Column with the domain, e.g. algebra; by default the judge decides."""
    source: str | None = None
    """Column with the origin, for the data card."""
    licence: str | None = None
    """Column with the licence, for the data card."""
    numbers: str | None = None
    """Column with the list of given numbers of a Countdown problem."""
    target: str | None = None
    """Column with the target of these numbers."""

    def named(self) -> dict[str, str]:
        """Return field → column for the mapped fields."""
        return {field: column for field, column in self.model_dump().items() if column is not None}


CORPUS_COLUMNS: Final = ColumnMapping(
    id="id", domain="domain", source="source", licence="licence", numbers="numbers", target="target"
)
"""Columns of the documents of a `corpus` stage."""


class HubDataset(ConfigModel):
    """A dataset of the Hugging Face hub, or a local folder that `datasets.load_dataset` reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: str
    """Hub id or folder."""
    name: str | None = None
    """Its configuration."""
    split: str = "train"
    """Name of the split."""
    revision: str | None = None
    """Commit of the dataset. Set it: otherwise the content key does not depend on the content."""


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One record of a source, not filtered yet."""

    number: int
    """Number in the whole source, from 0."""
    where: str
    """File and line or row, for messages."""
    values: Mapping[str, Any] | None
    """Field of `ColumnMapping` → value; None if the record is unreadable."""
    problem: str = ""
    """Why it is unreadable."""


class DocumentSource(Protocol):
    """A sequence of documents, equal at every reading."""

    def read(self, wanted: NumberFilter, end: int | None = None) -> Iterator[RawDocument]:
        """Iterate over the wanted documents in order, up to number `end` (exclusive).

        Raises:
            InvalidInput: a mapped column does not exist; lists the existing ones.
        """
        ...

    def count(self) -> int | None:
        """Return the number of documents; None if it is not known without reading them."""
        ...


def open_source(
    files: Iterable[InputFile], dataset: HubDataset | None, columns: ColumnMapping, limit: int | None, inputs: Inputs
) -> DocumentSource:
    """Open the source that a config and its inputs name.

    Raises:
        InvalidInput: they name no source, or several.
    """
    parts: list[DocumentSource] = [_file(file.path, columns) for file in files]
    kinds = [name for name, given in (("documents", parts), ("dataset", dataset)) if given]
    if dataset is not None:
        parts.append(_HubSource(dataset, columns))
    upstream = inputs.all_of("corpus")
    if upstream:
        kinds.append("a corpus stage in needs")
        parts += [_JsonlSource(folder.artifact(DOCUMENTS_NAME), CORPUS_COLUMNS) for folder in upstream]
    if len(kinds) != 1:
        raise InvalidInput(
            f"this stage needs one source of documents and has {' and '.join(kinds) or 'none'}",
            remedy="Give `documents` (JSONL or parquet files), `dataset`, or a corpus stage in `needs`.",
        )
    return _ConcatenatedSource(parts, limit)


class _ConcatenatedSource:
    def __init__(self, parts: list[DocumentSource], limit: int | None) -> None:
        self._parts = parts
        self._limit = limit

    def read(self, wanted: NumberFilter, end: int | None = None) -> Iterator[RawDocument]:
        ends = [each for each in (self._limit, end) if each is not None]
        last = min(ends, default=None)
        first = 0
        for part in self._parts:
            seen = 0

            def here(number: int, first: int = first) -> bool:
                nonlocal seen
                seen = number + 1
                return wanted(first + number)

            for raw in part.read(here, None if last is None else last - first):
                yield RawDocument(first + raw.number, raw.where, raw.values, raw.problem)
            first += seen
            if last is not None and first >= last:
                return

    def count(self) -> int | None:
        counts = [part.count() for part in self._parts]
        if any(count is None for count in counts):
            return self._limit
        total = sum(count for count in counts if count is not None)
        return total if self._limit is None else min(total, self._limit)


def _file(path: Path, columns: ColumnMapping) -> DocumentSource:
    if path.suffix == ".parquet":
        return _ParquetSource(path, columns)
    if path.name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".json")):
        return _JsonlSource(path, columns)
    raise InvalidInput(f"{path} is neither JSONL nor parquet", remedy="Name it .jsonl, .jsonl.gz or .parquet.")


def _check_columns(columns: ColumnMapping, there: Iterable[str], where: str) -> None:
    names = list(there)
    missing = [f"{field} = {column!r}" for field, column in columns.named().items() if column not in names]
    if missing:
        raise InvalidInput(
            f"{where} has no column for {', '.join(missing)}",
            detail=f"It has: {', '.join(map(str, names)) or 'none'}",
            remedy='Map them in the stage, e.g. columns = { text = "content" }.',
        )


def _mapped(columns: Mapping[str, str], record: Mapping[str, Any]) -> dict[str, Any]:
    return {field: record.get(column) for field, column in columns.items()}


class _JsonlSource:
    def __init__(self, path: Path, columns: ColumnMapping) -> None:
        self._path = path
        self._columns = columns

    def read(self, wanted: NumberFilter, end: int | None = None) -> Iterator[RawDocument]:
        columns = self._columns.named()
        number, checked = -1, False
        for place, line in enumerate(self._lines(), start=1):
            if not line.strip():
                continue
            number += 1
            if number == end:
                return
            if not wanted(number):
                continue
            where = f"{self._path.name}:{place}"
            if len(line) > MAX_LINE_BYTES:
                yield RawDocument(number, where, None, "too_large")
                continue
            record = _object(line)
            if record is None:
                yield RawDocument(number, where, None, "unreadable")
                continue
            if not checked:
                _check_columns(self._columns, record, f"{self._path}, line {place}")
                checked = True
            yield RawDocument(number, where, _mapped(columns, record))

    def _lines(self) -> Iterator[bytes]:
        with gzip.open(self._path, "rb") if self._path.suffix == ".gz" else self._path.open("rb") as stream:
            while line := stream.readline(MAX_LINE_BYTES + 1):
                yield line
                while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE_BYTES + 1)
                    if not line:
                        return

    def count(self) -> int | None:
        if self._path.suffix == ".gz" or self._path.stat().st_size > _COUNTED_BYTES:
            return None
        lines, last = 0, b"\n"
        with self._path.open("rb") as stream:
            while block := stream.read(1 << 22):
                lines += block.count(b"\n")
                last = block[-1:]
        return lines + (last != b"\n")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class _ParquetSource:
    def __init__(self, path: Path, columns: ColumnMapping) -> None:
        self._path = path
        self._columns = columns

    def read(self, wanted: NumberFilter, end: int | None = None) -> Iterator[RawDocument]:
        self._check()
        columns = self._columns.named()

        def choose(names: Sequence[str]) -> list[str]:
            _check_columns(self._columns, names, str(self._path))
            return list(dict.fromkeys(columns.values()))

        for number, row in enumerate(read_parquet(self._path, choose)):
            if number == end:
                return
            if wanted(number):
                place = f"{self._path.name}:{number + 1}"
                if row.value is None:
                    yield RawDocument(number, place, None, "too_large")
                else:
                    yield RawDocument(number, place, _mapped(columns, row.value))

    def count(self) -> int | None:
        self._check()
        return count_parquet_rows(self._path)

    def _check(self) -> None:
        try:
            if not is_parquet(self._path):
                raise InvalidInput(f"{self._path} is no parquet file")
        except OSError as error:
            raise InvalidInput(f"cannot read {self._path}: {error.strerror}") from error


class _HubSource:
    def __init__(self, dataset: HubDataset, columns: ColumnMapping) -> None:
        self._dataset = dataset
        self._columns = columns

    def _open(self) -> Any:
        try:
            import datasets
        except ModuleNotFoundError as error:
            raise MissingRequirement(
                "reading a hub dataset needs the package datasets",
                remedy="Install the extra: pip install 'cogtui[corpus]'",
            ) from error
        given = self._dataset
        try:
            return datasets.load_dataset(
                given.path, given.name, split=given.split, revision=given.revision, streaming=True
            )
        except (OSError, ValueError) as error:
            raise InvalidInput(f"the dataset {given.path} cannot be opened", detail=str(error)) from error

    def read(self, wanted: NumberFilter, end: int | None = None) -> Iterator[RawDocument]:
        columns = self._columns.named()
        for number, record in enumerate(self._open()):
            if number == 0:
                _check_columns(self._columns, record, self._dataset.path)
            if number == end:
                return
            if wanted(number):
                yield RawDocument(number, f"{self._dataset.path}:{number + 1}", _mapped(columns, record))

    def count(self) -> int | None:
        info = getattr(self._open(), "info", None)
        splits = getattr(info, "splits", None) or {}
        found = splits.get(self._dataset.split)
        return int(found.num_examples) if found is not None and found.num_examples else None


class DocumentSourceConfig(ConfigModel):
    """Config fields of a stage that reads documents."""

    documents: tuple[InputFile, ...] = Field(
        default=(), description="JSONL (also .gz) or parquet files; their content is part of the key."
    )
    dataset: HubDataset | None = Field(default=None, description="A dataset of the Hugging Face hub, streamed.")
    columns: ColumnMapping = Field(
        default=ColumnMapping(), description="Names of the columns with text, id, domain and so on."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Number of documents to read, from the first; none reads all."
    )
