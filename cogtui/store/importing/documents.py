"""JSON documents as rows: an importer may split its documents, and `--map rows=KEY` splits any object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from cogtui.store.importing.columns import value_at
from cogtui.store.importing.protocol import RowImporter
from pipelines.row_files import RawRow

ROWS_FIELD: Final = "rows"
"""What `--map` calls the list inside a document that holds the rows."""
_DEEPEST: Final = 3
VALUES_OF_OBJECT: Final = "*"
"""Stands for the values of an object instead of a list: rows by their ids."""


@runtime_checkable
class DocumentImporter(Protocol):
    """An importer whose files are documents of several rows each."""

    def parts(self, document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Return the rows of a document, each with its place in it: `samples[3]`. Anything else is one row."""
        ...


class RowList(NamedTuple):
    """A list of objects inside a document."""

    key: str
    """Its name, with dots where it is inside objects."""
    rows: list[Any]


def split_rows(rows: Iterable[RawRow], importer: RowImporter, rows_key: str = "") -> Iterator[RawRow]:
    """Yield the rows of a file with its documents split.

    Args:
        rows: of the file.
        importer: of its layout; splits its documents if it is a `DocumentImporter`.
        rows_key: name of the list inside each document that holds the rows; empty if the file is not split so.
    """
    splits = isinstance(importer, DocumentImporter)  # once a file: the check takes as long as reading a row
    for row in rows:
        if rows_key and row.value is not None:
            yield from _rows_under(row, rows_key, importer)
        elif splits:
            yield from _split(row, importer)
        else:
            yield row


def _rows_under(row: RawRow, key: str, importer: RowImporter) -> Iterator[RawRow]:
    if key == VALUES_OF_OBJECT:
        for name, value in row.value.items():
            yield from _split(_object(str(name), {"id": name, **value} if isinstance(value, dict) else value), importer)
        return
    inner = value_at(row.value, key)
    if not isinstance(inner, list):
        yield RawRow(row.place, None, f"no list under {key}")
        return
    for number, value in enumerate(inner, 1):
        place = f"{key}[{number}]" if row.place == "object 1" else f"{row.place}, {key}[{number}]"
        yield from _split(_object(place, value), importer)


def _split(row: RawRow, importer: RowImporter) -> Iterator[RawRow]:
    if row.value is None or not isinstance(importer, DocumentImporter):
        yield row
        return
    try:
        for place, part in importer.parts(row.value):
            inside = place and row.place == "object 1"  # the only object of the file
            yield _object(place if inside else ", ".join(filter(None, (row.place, place))), part)
    except Exception as error:  # a document of an unexpected shape, or a bug of a plug-in: the others go on
        text = " ".join(str(error).split())
        yield RawRow(row.place, None, f"the importer {importer.name} failed: {type(error).__name__}: {text}")


def _object(place: str, value: Any) -> RawRow:
    return RawRow(place, value) if isinstance(value, dict) else RawRow(place, None, "not an object")


def row_lists(document: Mapping[str, Any], depth: int = _DEEPEST) -> list[RowList]:
    """Return the lists of objects inside a document, the longest first."""
    found = []
    for name, value in document.items():
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            found.append(RowList(str(name), value))
        elif isinstance(value, Mapping) and depth > 1:
            found += [RowList(f"{name}.{inner.key}", inner.rows) for inner in row_lists(value, depth - 1)]
    return sorted(found, key=lambda each: -len(each.rows))
