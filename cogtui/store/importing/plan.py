"""Planning an import from the first rows of its files, to show the plan before anything is written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from cogtui.store.importing.columns import value_at
from cogtui.store.importing.documents import ROWS_FIELD, VALUES_OF_OBJECT, RowList, row_lists, split_rows
from cogtui.store.importing.explaining import explain, has_completion, has_prompt_and_completion
from cogtui.store.importing.finding import FoundFile, FoundFiles, find_files
from cogtui.store.importing.protocol import FileSample, ImportColumns, RecordFamily, RowImporter
from cogtui.store.importing.registry import AUTO, IMPORTERS, choose_importer
from cogtui.store.importing.siblings import sibling_places, with_siblings
from pipelines.errors import InvalidInput
from pipelines.files import canonical_json
from pipelines.row_files import LeftOutFile, RawRow, container_of, read_rows, row_stem
from pipelines.stages.builtin import IMPORT

PLAIN: Final = "plain"
REPEATED_FILES: Final = {"display_predictions.json": "scenario_state.json"}
"""Files of HELM whose rollouts are also in another one beside them, which has the prompts too."""
_SAMPLE_ROWS: Final = 50
_NAMED: Final = 5
"""Files named in one line; the others are counted."""
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
    member: str = ""
    """Its name inside `path`, if that is a zip archive."""
    rows_key: str = ""
    """Name of the list inside its JSON documents that holds the rows."""
    is_record: bool = False
    """Whether its rows are records already, so that it is copied or linked."""

    @property
    def importer(self) -> RowImporter:
        """The importer of its layout, which may read scores from files beside it."""
        return with_siblings(IMPORTERS.get(self.format), self.path, self.member)

    @property
    def place(self) -> Path:
        """The path to show: that of a member continues the path of its archive."""
        return self.path / self.member if self.member else self.path

    def rows(self) -> Iterator[RawRow]:
        """Yield its rows, with documents split; one that cannot be read says why."""
        return split_rows(read_rows(self.path, self.member), self.importer, self.rows_key)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """An import: files, labels, and the key that follows from them."""

    files: tuple[PlannedFile, ...]
    labels: Mapping[str, str | int]
    key: str
    left_out: tuple[LeftOutFile, ...] = ()
    """Files in the folders and archives that are not read."""

    def lines(self) -> list[str]:
        """Describe what was found and guessed, for people; files that are read alike are described once."""
        shown: dict[tuple[str, ...], list[str]] = {}
        for file in self.files:
            under = (f"rows           under {file.rows_key}",) if file.rows_key else ()
            if file.rows_key == VALUES_OF_OBJECT:
                under = ("rows           the values of the object",)
            what = (f"format {file.format}, {file.label}", *under, *file.columns.lines())
            shown.setdefault(what, []).append(file.place.name)
        lines = []
        for what, names in shown.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines += [f"{names[0]}{more}: {what[0]}", *(f"  {line}" for line in what[1:])]
        return lines + self._left_out_lines()

    def _left_out_lines(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for file in self.left_out:
            reasons.setdefault(file.reason, []).append(file.path.name)
        return [
            f"left out: {', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''}"
            f" ({reason})"
            for reason, names in reasons.items()
        ]


def plan_import(
    paths: Sequence[Path],
    *,
    chosen: str = AUTO,
    mapping: Mapping[str, str] | None = None,
    labels: Mapping[str, str | int] | None = None,
) -> ImportPlan:
    """Look into files and decide how they will be read.

    Args:
        paths: files, zip archives, or folders, which are searched at any depth.
        chosen: name of an importer; `auto` chooses one for each file.
        mapping: field → column where the guess is wrong; an empty column for a field that is not there. `rows` names
            the list inside a JSON document that holds the rows.
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
    found = find_files(paths)
    files = _plan_files(found, chosen, mapping or {})
    identity = {
        "files": [
            [str(file.path.resolve()), file.format, file.columns.fields, *filter(None, (file.member, file.rows_key))]
            for file in files
        ],
        "labels": labels or {},
    }
    digest = hashlib.sha256(canonical_json(identity).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return ImportPlan(files, labels or {}, f"{IMPORT.name}-{digest}", tuple(found.left_out))


def _plan_files(found: FoundFiles, chosen: str, mapping: Mapping[str, str]) -> tuple[PlannedFile, ...]:
    """Plan the files that can be read; add the others to those left out."""
    planned = []
    places = {file.place for file in found.files}
    for file in found.files:
        original = REPEATED_FILES.get(file.place.name)
        if original is not None and not file.is_named and file.place.with_name(original) in places:
            found.left_out.append(LeftOutFile(file.place, f"its rollouts are those of {original}"))
            continue
        try:
            planned.append(_plan_file(file, chosen, mapping))
        except InvalidInput as error:
            if file.is_named:
                raise
            found.left_out.append(LeftOutFile(file.place, _without_path(error, file)))
    read_with = {
        place: file.place.name
        for file in planned
        for place in sibling_places(IMPORTERS.get(file.format), file.path, file.member)
    }
    found.left_out = [
        LeftOutFile(file.path, f"it is read with {read_with[file.path]}") if file.path in read_with else file
        for file in found.left_out
    ]
    if not planned:
        reasons = [f"{each.path.name}: {each.reason}" for each in found.left_out]
        more = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
        raise InvalidInput("no file can be read as rollouts", detail="\n".join([*reasons[:_NAMED], *more]))
    return tuple(planned)


def _without_path(error: InvalidInput, file: FoundFile) -> str:
    return error.summary.removeprefix(str(file.place)).removeprefix(":").strip()


def _plan_file(file: FoundFile, chosen: str, mapping: Mapping[str, str]) -> PlannedFile:
    path = file.place
    rows_key = mapping.get(ROWS_FIELD, "")
    mapping = {name: column for name, column in mapping.items() if name != ROWS_FIELD}
    raw = _first_rows(file)
    container = container_of(file.path, file.member)
    is_document = container == "document" or (len(raw) == 1 and container == "lines")
    if rows_key:
        raw = _rows_under(raw, rows_key, path)
    importer = choose_importer(FileSample(path, raw)) if chosen == AUTO else IMPORTERS.get(chosen)
    if is_document and not rows_key and importer.name == PLAIN:
        inner = _only_rollout_list(raw[0], mapping)
        if inner is not None:
            rows_key, raw = inner.key, inner.rows[:_SAMPLE_ROWS]
            importer = choose_importer(FileSample(path, raw)) if chosen == AUTO else importer
        elif not file.is_named and not has_prompt_and_completion(raw):
            raise InvalidInput(f"{path}: a JSON object of no layout known here")
    digest = hashlib.sha256(str(file.path.resolve() / file.member).encode("utf-8", "replace")).hexdigest()[:8]
    stem = re.sub(r"[^a-z0-9]+", "_", row_stem(path).lower())[:24].strip("_")
    stream = f"{stem or 'rows'}_{digest}"
    record_family = getattr(importer, "record_family", None)
    if record_family is not None:
        family: RecordFamily | None = record_family(FileSample(path, raw))
        if family is None:
            raise InvalidInput(f"{path} does not hold {importer.label}", remedy="Use --format auto.")
        return PlannedFile(
            file.path, importer.name, importer.label, family, ImportColumns(), stream, file.member, is_record=True
        )
    rows = [row.value for row in split_rows((RawRow("", row) for row in raw), importer) if row.value is not None]
    if not rows:
        raise InvalidInput(f"{path}: {importer.label} without rows")
    try:
        columns = importer.columns(FileSample(path, rows[:_SAMPLE_ROWS]), mapping)
        if mapping and not columns.fields:
            raise InvalidInput(
                f"it is {importer.label}, whose fields are fixed",
                remedy="Leave --map out, or use --format plain to read its columns.",
            )
    except InvalidInput as error:
        raise explain(error, path, raw, container, rows_key) from error
    return PlannedFile(
        file.path, importer.name, importer.label, "rollouts", columns, stream, file.member, rows_key=rows_key
    )


def _first_rows(file: FoundFile) -> list[dict[str, Any]]:
    rows, reasons = [], []
    for row in islice(read_rows(file.path, file.member), _SAMPLE_ROWS):
        if row.value is None:
            reasons.append(f"{row.place}: {row.problem}")
        else:
            rows.append(row.value)
    if not rows:
        container = container_of(file.path, file.member)
        what = "its JSON list is empty" if container == "list" and not reasons else "no row can be read"
        raise InvalidInput(f"{file.place}: {what}", detail="\n".join(reasons[:3]))
    return rows


def _rows_under(raw: Sequence[Mapping[str, Any]], key: str, path: Path) -> list[dict[str, Any]]:
    """The first rows of the lists under a key of documents."""
    lists = [found for row in raw if isinstance(found := value_at(row, key), list)]
    rows = [row for each in lists for row in each if isinstance(row, dict)]
    if not rows:
        known = ", ".join(each.key for each in row_lists(raw[0]))
        raise InvalidInput(
            f"{path}: there is no list of objects under {key!r}",
            remedy=f"Lists of objects: {known}." if known else "The file has no list of objects.",
        )
    return rows[:_SAMPLE_ROWS]


def _only_rollout_list(document: Mapping[str, Any], mapping: Mapping[str, str]) -> RowList | None:
    """The list in a document whose rows have completions, if there is exactly one."""
    if has_completion([document], mapping):
        return None
    found = [each for each in row_lists(document) if has_completion(each.rows[:_SAMPLE_ROWS], mapping)]
    first = list(islice(document.items(), _SAMPLE_ROWS))
    if not found and first and all(isinstance(row, dict) and has_completion([row], mapping) for _, row in first):
        return RowList(VALUES_OF_OBJECT, [{"id": name, **row} for name, row in first])
    return found[0] if len(found) == 1 else None
