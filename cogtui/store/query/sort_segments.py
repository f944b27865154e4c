"""The parts of a sorted list: each has one ORDER BY, and rows without a value come last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cogtui.store.columns import VALUE_COLUMNS
from cogtui.store.query.filter_sql import SqlPart
from cogtui.store.values.series import RolloutSeries
from cogtui.store.values.types import Sort

_SORT_COLUMNS: Final = {column.name: column.column for column in VALUE_COLUMNS if column.sortable}
_NEVER_MISSING: Final = frozenset(column.name for column in VALUE_COLUMNS if not column.optional)
_SERIES_FIELDS: Final = ("condition", "seed", "stage")


@dataclass(frozen=True, slots=True)
class SortSegment:
    """A part of a list with one ORDER BY."""

    label: Any
    """Identifies it within the list; the first value of every cursor into it."""
    where: SqlPart
    order: tuple[str, ...]
    """Columns of `rollout`, the last of them unique."""
    series: frozenset[int] | None = None


def segments(sort: Sort, series: Mapping[int, RolloutSeries]) -> list[SortSegment]:
    """Return the segments of a list sorted by a field, in order; rows without a value come last."""
    field = sort.field
    if field == "problem":
        return [SortSegment(0, ("", ()), ("problem_id", "step", "ordinal", "serial"))]
    if field in _SERIES_FIELDS:
        return _series_segments(sort, series)
    column = _SORT_COLUMNS[field]
    order = (column, "ordinal", "serial")
    if field in _NEVER_MISSING:
        return [SortSegment(0, ("", ()), order)]
    return [
        SortSegment(0, (f"o.{column} IS NOT NULL", ()), order),
        SortSegment(1, (f"o.{column} IS NULL", ()), ("ordinal", "serial")),
    ]


def _series_segments(sort: Sort, series: Mapping[int, RolloutSeries]) -> list[SortSegment]:
    groups: dict[Any, set[int]] = {}
    for number, one in series.items():
        groups.setdefault(getattr(one, sort.field), set()).add(number)
    labels = sorted((label for label in groups if label is not None), reverse=sort.descending)
    labels += [None] if None in groups else []
    return [
        SortSegment(label, ("", ()), ("step", "ordinal", "serial"), frozenset(groups[label])) for label in labels
    ]  # fmt: skip
