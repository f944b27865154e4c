"""Planning an import from the first rows of its files, to show the plan before anything is written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from cogtui.store.importing.protocol import FileSample, ImportColumns, RecordFamily, RowImporter
from cogtui.store.importing.registry import AUTO, IMPORTERS, choose_importer
from pipelines.errors import InvalidInput, NotFound
from pipelines.files import canonical_json
from pipelines.row_files import SUFFIXES, container_of, read_rows
from pipelines.stages.builtin import IMPORT

_SAMPLE_ROWS: Final = 50
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file and how it is read."""

    path: Path
    format: str
    """Name of its importer."""
    label: str
    """What the importer calls such a file."""
    family: RecordFamily
    """What its rows become."""
    columns: ImportColumns
    """Empty for a layout with fixed fields."""
    stream: str
    """Name of the stream its rows are written to."""
    is_record: bool = False
    """Whether its rows are records already, so that it is copied or linked."""

    @property
    def importer(self) -> RowImporter:
        """The importer of its layout."""
        return IMPORTERS.get(self.format)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """An import: files, labels, and the key that follows from them."""

    files: tuple[PlannedFile, ...]
    labels: Mapping[str, str | int]
    key: str

    def lines(self) -> list[str]:
        """Describe what was found and guessed, for people; files that are read alike are described once."""
        shown: dict[tuple[str, ...], list[str]] = {}
        for file in self.files:
            what = (f"format {file.format}, {file.label}", *file.columns.lines())
            shown.setdefault(what, []).append(file.path.name)
        lines = []
        for what, names in shown.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines += [f"{names[0]}{more}: {what[0]}", *(f"  {line}" for line in what[1:])]
        return lines


def plan_import(
    paths: Sequence[Path],
    *,
    chosen: str = AUTO,
    mapping: Mapping[str, str] | None = None,
    labels: Mapping[str, str | int] | None = None,
) -> ImportPlan:
    """Look into files and decide how they will be read.

    Args:
        paths: files, or folders of files.
        chosen: name of an importer; `auto` chooses one for each file.
        mapping: field → column where the guess is wrong; an empty column for a field that is not there.
        labels: of all imported rollouts, e.g. condition and seed.

    Raises:
        NotFound: a file does not exist. InvalidInput: a file has no rollouts, or format or mapping do not fit.
        MissingRequirement: a file is parquet, and pyarrow is not installed.
    """
    if chosen != AUTO:
        IMPORTERS.get(chosen)
    for name in labels or {}:
        if not _LABEL.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot be the name of a label")
    files = tuple(_plan_file(path, chosen, mapping or {}) for path in find_files(paths))
    identity = {
        "files": [[str(file.path.resolve()), file.format, file.columns.fields] for file in files],
        "labels": labels or {},
    }
    digest = hashlib.sha256(canonical_json(identity).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return ImportPlan(files, labels or {}, f"{IMPORT.name}-{digest}")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files to import: of a folder those with rows in it, in the order of the numbers in their names.

    Raises:
        NotFound: a path does not exist, or a folder has no such files.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file()]
            if not inside:
                raise NotFound(f"there are no rollout files in {path}", remedy=f"Looked for {', '.join(SUFFIXES)}.")
            found += sorted(inside, key=_natural)
        elif path.is_file():
            found.append(path)
        else:
            raise NotFound(f"there is no file {path}")
    return [path.absolute() for path in dict.fromkeys(found)]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    pieces = re.split(r"([0-9]{1,18})", path.name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece]


def _plan_file(path: Path, chosen: str, mapping: Mapping[str, str]) -> PlannedFile:
    sample = FileSample(path, _first_rows(path))
    importer = choose_importer(sample) if chosen == AUTO else IMPORTERS.get(chosen)
    stem = re.sub(r"[^a-z0-9]+", "_", path.stem.lower())[:24].strip("_")
    stream = f"{stem or 'rows'}_{hashlib.sha256(str(path.resolve()).encode('utf-8', 'replace')).hexdigest()[:8]}"
    record_family = getattr(importer, "record_family", None)
    if record_family is not None:
        family: RecordFamily | None = record_family(sample)
        if family is None:
            raise InvalidInput(f"{path} does not hold {importer.label}", remedy="Use --format auto.")
        return PlannedFile(path, importer.name, importer.label, family, ImportColumns(), stream, is_record=True)
    try:
        columns = importer.columns(sample, mapping)
        if mapping and not columns.fields:
            raise InvalidInput(
                f"it is {importer.label}, whose fields are fixed",
                remedy="Leave --map out, or use --format plain to read its columns.",
            )
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.summary}", detail=error.detail, remedy=error.remedy) from error
    return PlannedFile(path, importer.name, importer.label, "rollouts", columns, stream)


def _first_rows(path: Path) -> list[dict[str, Any]]:
    rows, reasons = [], []
    for row in islice(read_rows(path), _SAMPLE_ROWS):
        if row.value is None:
            reasons.append(f"{row.place}: {row.problem}")
        else:
            rows.append(row.value)
    if not rows:
        container = container_of(path)
        what = "its JSON list is empty" if container == "list" and not reasons else "no row can be read"
        raise InvalidInput(f"{path}: {what}", detail="\n".join(reasons[:3]))
    return rows
