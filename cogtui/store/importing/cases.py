"""Prints what is understood of every file in a folder: `python -m cogtui.store.importing.cases DIR`, `make cases`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cogtui.store.importing.convert import Converter
from cogtui.store.importing.plan import PlannedFile, plan_import
from cogtui.store.importing.preview import RowPreview
from cogtui.store.importing.protocol import BadRowError
from pipelines.errors import CogtuiError
from pipelines.row_files import row_stem
from pipelines.text_safety import picture_controls

_SHOWN: Final = 8
_LONGEST: Final = 300


def describe_files(folder: Path) -> Iterator[str]:
    """Yield lines about each file and folder in a folder: its format, its first rollouts, the rows that are none."""
    for path in sorted(folder.iterdir()):
        yield f"== {path.name}"
        try:
            plan = plan_import([path])
            yield from plan.lines()
            for file in plan.files:
                yield from _describe(file, plan.key)
        except CogtuiError as error:
            yield f"   error: {error.summary}"
            yield from (f"   {line}" for line in (*error.detail.splitlines(), *error.remedy.splitlines()))
        yield ""


def _describe(file: PlannedFile, key: str) -> Iterator[str]:
    if file.is_record:
        yield f"   {sum(1 for _ in file.rows()):,} records"
        return
    converter = Converter(file.importer, file.columns, key, row_stem(file.place), file.stream)
    rollouts = bad = 0
    for row in file.rows():
        preview = RowPreview(row.place, row.value, problem=row.problem)
        if row.value is not None:
            try:
                converted = converter.convert(row.value)
            except BadRowError as error:
                preview.problem = str(error)
            else:
                preview.rollouts = [converter.record(one, rollouts + at) for at, one in enumerate(converted.rollouts)]
                preview.problem = "; ".join(converted.problems)
        if preview.problem:
            bad += 1
            if bad <= _SHOWN:
                yield f"   {row.place}: not read: {preview.problem}"
        if preview.rollouts and rollouts < _SHOWN:
            yield f"   {row.place}:"
            yield from (f"      {name:<14} {_one_line(value)}" for name, value in preview.fields())
        rollouts += len(preview.rollouts)
    yield f"   {rollouts:,} rollouts, {bad:,} rows not read"


def _one_line(text: str) -> str:
    shown = picture_controls(text.replace("\n", "⏎"), keep="\t")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(text):,} characters)"


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for line in describe_files(Path(sys.argv[1])):
        sys.stdout.write(line + "\n")
