"""Lays out text for people: tables that fit the terminal and prose that is wrapped between words, never inside one.

Only a terminal, or COLUMNS, sets a width. A pipe gets each row on one line, for grep and awk.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

from pipelines.text_safety import picture_controls

Layout = Literal["split", "stack"]
"""What becomes of a table that is too wide: `split` prints its columns as several tables that repeat the first column;
`stack` prints the columns that do not fit below each row, with their names."""

NARROWEST: Final = 20
"""Columns; a narrower terminal is treated as one of this width."""
_PROSE: Final = 100
"""Columns of prose on a wider terminal."""
_PROSE_PIPED: Final = 80
_GAP: Final = "  "
_BELOW: Final = "    "
_WORD: Final = re.compile(r"\S+(?: ± \S+)*")
"""A word; a value stays on a line with the half-width of its interval."""
_COMMAND: Final = re.compile(r"(.*: )(cogtui .*)")
_EMPTY: Final = frozenset({"", "-", "–"})


def output_width(*, errors: bool = False) -> int | None:
    """Return the columns of standard output, or of standard error; None if there is neither a terminal nor COLUMNS."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdecimal() and int(stated) > 0:
        return max(NARROWEST, int(stated))
    stream = sys.stderr if errors else sys.stdout
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):  # a closed stream, or one without a file
        return None
    return max(NARROWEST, columns) if columns else None


def prose_width() -> int:
    """Return the columns that paragraphs take: of the terminal, at most 100; 80 in a pipe."""
    return min(_PROSE, output_width() or _PROSE_PIPED)


def text_width(text: str) -> int:
    """Return the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrap_words(text: str, width: int | None, hanging: str = "") -> list[str]:
    """Return a text as lines broken at spaces; a word wider than the line gets one of its own, whole.

    Args:
        text: its lines are wrapped one by one; the spaces that one begins with indent its continuation too.
        width: columns; None breaks only at line breaks.
        hanging: what continuation lines begin with, after the indentation.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        if width is None or text_width(line) <= width:
            lines.append(line)
        else:
            below = line[: len(line) - len(line.lstrip())] + hanging
            pieces = wrap_offsets(line, width, len(below))
            lines += [(below if place else "") + line[start:end] for place, (start, end) in enumerate(pieces)]
    return lines


def wrap_offsets(line: str, width: int | None, below: int = 0) -> list[tuple[int, int]]:
    """Return the half-open ranges of a line's wrapped pieces, without the spaces at the breaks.

    Args:
        line: without a line break.
        width: columns; None does not wrap.
        below: columns before the second and later pieces.
    """
    if width is None or text_width(line) <= width:
        return [(0, len(line))]
    ranges: list[tuple[int, int]] = []
    start = end = cells = 0
    for match in _WORD.finditer(line):
        grown = cells + text_width(line[end : match.end()])
        if end > start and grown > width:
            ranges.append((start, end))
            start, grown = match.start(), below + text_width(match[0])
        end, cells = match.end(), grown
    return [*ranges, (start, end)]


def wrap_message(text: str, width: int | None) -> list[str]:
    """Return a message as lines; a command at its end is kept on one line, so that it can be copied."""
    found = None if width is None or text_width(text) <= width else _COMMAND.fullmatch(text)
    if found is None:
        return wrap_words(text, width, _GAP)
    return [*wrap_words(found[1].rstrip(), width, _GAP), f"{_GAP}{found[2]}"]


def format_table(
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    *,
    layout: Layout = "split",
    width: int | None = None,
    indent: str = "",
) -> list[str]:
    """Return a table as lines that fit a width.

    Args:
        rows: of equal length, the head first; the first column tells rows apart.
        right: indices of the columns to align to the right.
        layout: what becomes of columns that do not fit.
        width: columns of the terminal, all on one line if None.
        indent: what every line begins with.
    """
    cells = [[picture_controls(cell.replace("\n", " ").replace("\t", " ")) for cell in row] for row in rows]
    columns = range(len(cells[0]))
    if width is None or _width_of(cells, columns) + len(indent) <= width:
        lines = _aligned(cells, columns, right)
    elif layout == "stack":
        lines = _stacked(cells, right, width - len(indent))
    else:
        lines = _split(cells, right, width - len(indent))
    return [f"{indent}{line}".rstrip() for line in lines]


def columns_that_fit(rows: Sequence[Sequence[str]], drop: Iterable[int], width: int | None) -> list[int]:
    """Return the columns of a table, left to right, without as many of those that may be dropped as make it fit.

    Args:
        rows: of equal length, the head first.
        drop: indices of columns that may be left out, the first to go first.
        width: columns of the terminal; None leaves out none.
    """
    kept = list(range(len(rows[0])))
    for column in drop:
        if width is None or _width_of(rows, kept) <= width:
            break
        kept.remove(column)
    return kept


def _column_width(rows: Sequence[Sequence[str]], column: int) -> int:
    return max(text_width(row[column]) for row in rows)


def _width_of(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> int:
    return sum(_column_width(rows, column) for column in columns) + len(_GAP) * (len(columns) - 1)


def _aligned(rows: Sequence[Sequence[str]], columns: Sequence[int], right: Collection[int]) -> list[str]:
    widths = {column: _column_width(rows, column) for column in columns}
    return [
        _GAP.join(_padded(row[column], widths[column], column in right) for column in columns).rstrip() for row in rows
    ]


def _padded(cell: str, width: int, right: bool) -> str:
    room = " " * (width - text_width(cell))
    return room + cell if right else cell + room


def _split(rows: Sequence[Sequence[str]], right: Collection[int], width: int) -> list[str]:
    """Return the columns as tables one below the other, each with the first column; stack if one alone is too wide."""
    groups: list[list[int]] = [[0]]
    for column in range(1, len(rows[0])):
        if len(groups[-1]) > 1 and _width_of(rows, [*groups[-1], column]) > width:
            groups.append([0])
        groups[-1].append(column)
    if any(_width_of(rows, group) > width for group in groups):
        return _stacked(rows, right, width)
    lines: list[str] = []
    for group in groups:
        lines += [*([""] if lines else []), *_aligned(rows, group, right)]
    return lines


def _stacked(rows: Sequence[Sequence[str]], right: Collection[int], width: int) -> list[str]:
    """Return the first columns as a table, and below each row the names and values of its other cells."""
    kept = [0]
    while len(kept) < len(rows[0]) and _width_of(rows, [*kept, len(kept)]) <= width:
        kept.append(len(kept))
    head = [name.lower() for name in rows[0]] if all(name.isupper() for name in rows[0]) else rows[0]
    lines: list[str] = []
    for place, line in enumerate(_aligned(rows, kept, right)):
        lines += wrap_words(line, width, _BELOW)  # wraps only a first column that is wider than the terminal
        if place:
            pairs = [
                f"{head[column]} {cell}".strip()
                for column, cell in enumerate(rows[place])
                if column >= len(kept) and cell not in _EMPTY
            ]
            lines += _filled(pairs, width)
    return lines


def _filled(pairs: Sequence[str], width: int) -> list[str]:
    """Return texts side by side on indented lines, each whole on one line where it fits."""
    lines: list[str] = []
    for pair in pairs:
        if lines and text_width(lines[-1] + _GAP + pair) <= width:
            lines[-1] += _GAP + pair
        else:
            lines += wrap_words(f"{_BELOW}{pair}", width, _GAP)
    return lines
