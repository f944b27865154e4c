"""Printing how the first row of each kind of file is read: its fields on the left, the raw row on the right."""

import shutil
import textwrap
from itertools import zip_longest
from typing import Final

from cogtui.cli.console.output import narrate, printable
from cogtui.store.importing.plan import ImportPlan
from cogtui.store.importing.preview import RowPreview, previews, raw_text

_NARROWEST: Final = 60
_LINES: Final = 60
_LINES_OF_FIELD: Final = 6
_NAME: Final = 14


def print_previews(plan: ImportPlan) -> None:
    """Print the first row of each kind of file, as it would be read beside the raw one."""
    width = max(_NARROWEST, shutil.get_terminal_size((120, 24)).columns)
    for file, preview in previews(plan):
        narrate("")
        narrate(f"{file.place.name}, {preview.place or 'no row'}:")
        for line in side_by_side(preview, width):
            narrate(line)


def side_by_side(preview: RowPreview, width: int) -> list[str]:
    """Return the lines of a preview.

    Args:
        preview: the row.
        width: of the terminal, in columns.
    """
    half = (width - 3) // 2
    left = ["as it would be read", ""]
    for name, value in preview.fields():
        wrapped = _wrapped(value, half - _NAME - 1)
        left += [f"{name if number == 0 else '':<{_NAME}} {line}" for number, line in enumerate(wrapped)]
    if preview.problem:
        left += [f"{'problem':<{_NAME}} {line}" for line in _wrapped(preview.problem, half - _NAME - 1)]
    right = ["raw row", ""]
    for line in raw_text(preview).splitlines():
        right += textwrap.wrap(
            printable(line), half, drop_whitespace=False, break_long_words=True, break_on_hyphens=False
        ) or [""]
    lines = [f"{ours:<{half}} │ {raw}".rstrip() for ours, raw in zip_longest(left, right, fillvalue="")]
    return lines if len(lines) <= _LINES else [*lines[:_LINES], f"… {len(lines) - _LINES} more lines"]


def _wrapped(text: str, width: int) -> list[str]:
    lines = [
        piece
        for line in printable(text).expandtabs(4).split("\n")
        for piece in textwrap.wrap(line, width, break_long_words=True, break_on_hyphens=False) or [""]
    ]
    more = len(lines) - _LINES_OF_FIELD
    return lines if more <= 1 else [*lines[:_LINES_OF_FIELD], f"… {more} more lines"]
