"""Columns of a list: which of them fit a width, and a row's cells laid out in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list."""

    name: str
    title: str
    width: int
    """Cells it wants."""
    right: bool = False
    """Numbers stand to the right."""
    grows: bool = False
    """Takes what width is left over."""
    rank: int = 0
    """When width is short, columns of the highest rank go first; rank 0 stays."""


def fit_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that fit, in order, with their widths; one cell stands between columns."""
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + 1 for column in kept) - 1 > width:
        worst = max(kept, key=lambda column: (column.rank, kept.index(column)))
        if worst.rank == 0:
            break
        kept.remove(worst)
    spare = max(0, width - (sum(column.width + 1 for column in kept) - 1))
    growing = [column for column in kept if column.grows]
    share, rest = divmod(spare, len(growing)) if growing else (0, 0)
    widths = []
    for column in kept:
        extra = 0
        if column.grows:
            extra = share + (1 if rest > 0 else 0)
            rest -= 1
        widths.append((column, column.width + extra))
    return widths


def heading_parts(columns: Sequence[tuple[Column, int]], marks: Mapping[str, str] | None = None) -> list[Part]:
    """The line of titles.

    Args:
        columns: as from `fitted`.
        marks: a sign after a column's title, by name, e.g. the direction of sorting.
    """
    texts = [
        fit(column.title + (marks or {}).get(column.name, ""), width, right=column.right) for column, width in columns
    ]
    return [(" ".join(texts), "heading")]


def row_parts(columns: Sequence[tuple[Column, int]], cells: Mapping[str, Part]) -> list[Part]:
    """A row: one part a column, absent cells left blank."""
    parts: list[Part] = []
    for column, width in columns:
        text, style = cells.get(column.name, ("", ""))
        parts.append((fit(text, width, right=column.right), style))
        parts.append((" ", ""))
    return parts[:-1]
