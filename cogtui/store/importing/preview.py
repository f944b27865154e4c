"""The first row of a file as it is stored beside the rollouts it is read as, for `cogtui import --dry-run`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.store.importing.convert import Converter
from cogtui.store.importing.plan import ImportPlan, PlannedFile
from cogtui.store.importing.protocol import BadRowError
from pipelines.row_files import read_rows, row_stem

_LONGEST_RAW: Final = 2000
_LONGEST_TEXT: Final = 400
_LONGEST_LIST: Final = 8
_LOOKED_AT: Final = 100
_FIELDS: Final = ("step", "split", "problem_id", "sample", "task", "problem", "prompt", "completion", "reward",
                  "correct", "answer", "finish_reason", "n_tokens")  # fmt: skip
_LABELS: Final = ("condition", "seed", "source_id", "gold", "checked")


@dataclass(slots=True)
class RowPreview:
    """One row, raw and as it is read."""

    place: str
    raw: Any
    """The row as it is stored; long texts in it are cut."""
    rollouts: list[dict[str, Any]] = field(default_factory=list)
    """The records of its rollouts; those of a file of cogtui records are the row itself."""
    problem: str = ""
    """Why it is no rollout, or not all of it."""

    def as_json(self) -> dict[str, Any]:
        """Return the preview for programs."""
        return {"place": self.place, "raw": self.raw, "rollouts": self.rollouts, "problem": self.problem}

    def fields(self) -> Iterator[tuple[str, str]]:
        """Yield field and value of each rollout, for people; unknown and computed values say so."""
        for number, record in enumerate(self.rollouts):
            if len(self.rollouts) > 1:
                yield f"rollout {number + 1}", f"of {len(self.rollouts)}"
            meta = record.get("meta", {})
            unknown, computed, empty = (set(meta.get(name, ())) for name in ("unknown", "worked_out", "left_empty"))
            for name in _FIELDS:
                note = "left empty" if name in empty else "computed" if name in computed else ""
                value = "unknown" if name in unknown else _shown(record.get(name))
                yield name, f"{value}  ({note})" if note else value
            for name in _LABELS:
                if name in meta:
                    yield name, _shown(meta[name])


def preview_first_row(file: PlannedFile, key: str) -> RowPreview:
    """Return the first row of a file that is a rollout; the first row of all if none of the first hundred is.

    Args:
        file: how the file is read.
        key: of the import; part of the ids.

    Raises:
        InvalidInput: the file cannot be read.
    """
    if file.is_record:
        row = next(row for row in read_rows(file.path, file.member) if row.value is not None)
        return RowPreview(row.place, _cut(row.value), [row.value])
    converter = Converter(file.importer, file.columns, key, row_stem(file.place), file.stream)
    first: RowPreview | None = None
    for count, row in enumerate(file.rows()):
        preview = RowPreview(row.place, _cut(row.value), problem=row.problem)
        if row.value is not None:
            try:
                converted = converter.convert(row.value)
            except BadRowError as error:
                preview.problem = str(error)
            else:
                preview.rollouts = [converter.record(one, at) for at, one in enumerate(converted.rollouts)]
                preview.problem = "; ".join(converted.problems)
        if preview.rollouts:
            return preview
        first = first or preview
        if count + 1 == _LOOKED_AT:
            break
    return first or RowPreview("", None, problem="the file has no rows")


def previews(plan: ImportPlan) -> Iterator[tuple[PlannedFile, RowPreview]]:
    """Yield the first file of each format and set of columns with a preview of its first row."""
    seen = set()
    for file in plan.files:
        alike = (file.format, file.rows_key, tuple(file.columns.lines()))
        if alike not in seen:
            seen.add(alike)
            yield file, preview_first_row(file, plan.key)


def raw_text(preview: RowPreview) -> str:
    """Return the raw row as indented JSON, cut where it is long."""
    text = json.dumps(preview.raw, indent=1, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_RAW else f"{text[:_LONGEST_RAW]}…"


def _cut(value: Any) -> Any:
    """A value as JSON with long texts and lists cut."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}… ({len(value):,} characters)"
    if isinstance(value, Mapping):
        return {str(name): _cut(each) for name, each in value.items()}
    if isinstance(value, list):
        more = [f"… ({len(value):,} in all)"] if len(value) > _LONGEST_LIST else []
        return [*map(_cut, value[:_LONGEST_LIST]), *more]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
