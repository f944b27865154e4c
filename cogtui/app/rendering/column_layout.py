"""Layout of list columns: which columns fit a width, and the cells of a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import cut_middle, fit


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list or table."""

    name: str
    title: str
    width: int
    """Wanted width in cells."""
    right: bool = False
    """Whether the text is aligned to the right."""
    grows: bool = False
    """Whether the column takes spare width."""
    keeps_end: bool = False
    """Whether a text that is too long loses its middle rather than its end, because names differ at their ends."""
    rank: int = 0
    """When width is short, columns of the highest rank are hidden first; rank 0 is never hidden."""


def fit_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Return the columns that fit, in order, with their widths; one cell separates columns."""
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
    """Return the line of titles.

    Args:
        columns: with their widths, from `fit_columns`.
        marks: column name to a sign after its title, e.g. the direction of sorting.
    """
    texts = [
        fit(column.title + (marks or {}).get(column.name, ""), width, right=column.right) for column, width in columns
    ]
    return [(" ".join(texts), "heading")]


def row_parts(columns: Sequence[tuple[Column, int]], cells: Mapping[str, Part]) -> list[Part]:
    """Return a row: one part per column, missing cells blank."""
    parts: list[Part] = []
    for column, width in columns:
        text, style = cells.get(column.name, ("", ""))
        if column.keeps_end:
            text = cut_middle(text, width)
        parts.append((fit(text, width, right=column.right), style))
        parts.append((" ", ""))
    return parts[:-1]
