"""The rollouts of an export, and its format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from cogtui.store.index import Store
from cogtui.store.values.types import Page, Query, RolloutDetail, RolloutRow
from pipelines.errors import InvalidInput

ExportFormat = Literal["jsonl", "csv", "parquet", "html"]
EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class ExportSelection:
    """The rollouts to export, in order."""

    store: Store
    query: Query
    limit: int | None = None

    def __iter__(self) -> Iterator[RolloutDetail]:
        """Yield the complete rollouts, read page by page."""
        left = self.limit
        page: Page[RolloutRow] | None = None
        while page is None or page.after is not None:
            size = _PAGE if left is None else min(_PAGE, left)
            if size <= 0:
                return
            page = self.store.page(self.query, page.after if page else None, limit=size)
            yield from self.store.rollouts(row.id for row in page.rows)
            left = None if left is None else left - len(page.rows)


def format_of(path: Path, given: str | None) -> ExportFormat:
    """Return the format that is given, or that of the ending of a file name.

    Raises:
        InvalidInput: neither names a format.
    """
    wanted = given or path.suffix.removeprefix(".").lower()
    for known in EXPORT_FORMATS:
        if wanted == known:
            return known
    raise InvalidInput(
        f"cannot tell the format of {path.name or 'the output'}",
        remedy=f"Give --format or an ending: {', '.join(EXPORT_FORMATS)}.",
    )
