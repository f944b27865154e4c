"""Rows of cells as aligned lines of text."""

from collections.abc import Collection, Sequence


def align_columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return one line a row, columns aligned and two spaces apart.

    Args:
        rows: of equal length, the head first.
        right: indices of the columns to align to the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
