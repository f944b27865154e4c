"""What an import will do, known from the first rows: shown before anything is written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from cogtui.store.importing.columns import (
    DEFAULT_SPLITS,
    FORMATS,
    ColumnMapping,
    Format,
    choose_columns,
    guess_format,
    our_family,
)
from cogtui.store.importing.tables import container_of, expand, rows_of
from pipelines.errors import InvalidInput
from pipelines.files import canonical_json
from pipelines.stages.builtin import IMPORT

_LOOK_AT: Final = 50
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file and how it is read."""

    path: Path
    format: Format
    family: Literal["rollouts", "traces", "judgements"]
    """What its rows become."""
    columns: ColumnMapping
    """Empty for our own files, which are taken as they are."""
    stream: str
    """Name of the stream its rows are written to."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """An import: files, labels, and the key that follows from them."""

    files: tuple[PlannedFile, ...]
    labels: Mapping[str, str | int]
    key: str

    def lines(self) -> list[str]:
        """What was found and guessed, for people; equal files are told once."""
        shown: dict[tuple[str, ...], list[str]] = {}
        for file in self.files:
            what = (f"format {file.format}", *file.columns.lines())
            shown.setdefault(what, []).append(file.path.name)
        lines = []
        for what, names in shown.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines += [f"{names[0]}{more}: {what[0]}", *(f"  {line}" for line in what[1:])]
        return lines


def plan_import(
    paths: Sequence[Path],
    *,
    chosen: str = "auto",
    mapping: Mapping[str, str] | None = None,
    labels: Mapping[str, str | int] | None = None,
) -> ImportPlan:
    """Looks into files and decides how they will be read.

    Args:
        paths: files, or folders of them.
        chosen: their format; `auto` looks at each.
        mapping: field → column where the guess is not right; an empty column for a field that is not there.
        labels: of all their rollouts, e.g. condition and seed.

    Raises:
        NotFound: a file is not there. InvalidInput: a file holds no rollouts, or the mapping does not fit.
        MissingRequirement: a file is parquet, and pyarrow is not installed.
    """
    if chosen not in ("auto", *FORMATS):
        raise InvalidInput(f"there is no format {chosen!r}", remedy=f"One of: auto, {', '.join(FORMATS)}.")
    for name in labels or {}:
        if not _LABEL.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot be the name of a label")
    files = tuple(_plan_file(path, chosen, mapping or {}) for path in expand(paths))
    identity = {
        "files": [[str(file.path.resolve()), file.format, file.columns.fields] for file in files],
        "labels": labels or {},
    }
    digest = hashlib.sha256(canonical_json(identity).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return ImportPlan(files, labels or {}, f"{IMPORT.name}-{digest}")


def _plan_file(path: Path, chosen: str, mapping: Mapping[str, str]) -> PlannedFile:
    rows = _first_rows(path)
    found: Format = guess_format(rows)
    if chosen != "auto":
        found = next(name for name in FORMATS if name == chosen)
    stem = re.sub(r"[^a-z0-9]+", "_", path.stem.lower())[:24].strip("_")
    stream = f"{stem or 'rows'}_{hashlib.sha256(str(path.resolve()).encode('utf-8', 'replace')).hexdigest()[:8]}"
    if found == "cogtui":
        family = our_family(rows[0])
        if family is None:
            raise InvalidInput(f"{path} holds none of our own records", remedy="Use --format auto.")
        return PlannedFile(path, found, family, ColumnMapping(), stream)
    try:
        return PlannedFile(path, found, "rollouts", choose_columns(found, rows, mapping), stream)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.summary}", detail=error.detail, remedy=error.remedy) from error


def _first_rows(path: Path) -> list[dict[str, Any]]:
    rows, reasons = [], []
    for row in islice(rows_of(path), _LOOK_AT):
        if row.value is None:
            reasons.append(f"{row.place}: {row.problem}")
        else:
            rows.append(row.value)
    if not rows:
        container = container_of(path)
        what = "its JSON list is empty" if container == "list" and not reasons else "no row can be read"
        raise InvalidInput(f"{path}: {what}", detail="\n".join(reasons[:3]))
    return rows


def default_split(file: PlannedFile) -> str:
    """The split of rows that name none."""
    return DEFAULT_SPLITS[file.format]
