"""Totals of each problem of a filter, in memory, from which every order and page of problems follows."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from cogtui.store.db.summaries import MEAN_REWARD
from cogtui.store.query.filter_sql import FilterConditions, SqlPart
from cogtui.store.query.select import RowSelector, join_conditions
from cogtui.store.values.types import Cursor

TotalSort = Literal["best", "mean", "worst", "rollouts"]
_COLUMNS: Final = f"o.problem_id, count(*), count(o.reward), max(o.reward), {MEAN_REWARD}, min(o.reward)"
MANY_PROBLEMS: Final = 20_000
"""More are not kept in memory: that would be megabytes."""
_Key = tuple[bool, float, str]


class ProblemTotal(NamedTuple):
    """The rollouts of one problem; the columns of `by_problem`."""

    problem: str
    rollouts: int
    scored: int
    """Rollouts with a reward."""
    best: float | None
    mean: float | None
    worst: float | None

    def value(self, sort: TotalSort) -> float | None:
        """Return the value to sort by."""
        return {"rollouts": self.rollouts, "best": self.best, "mean": self.mean, "worst": self.worst}[sort]


class ProblemTotals:
    """The totals of the problems of a filter."""

    def __init__(self, rows: list[ProblemTotal]) -> None:
        self._rows = rows
        self._orders: dict[tuple[TotalSort, bool], tuple[list[_Key], list[ProblemTotal]]] = {}

    def page(
        self, sort: TotalSort, after: Cursor | None, before: Cursor | None, limit: int, *, descending: bool
    ) -> tuple[list[ProblemTotal], bool]:
        """Return the first rows, those after a cursor, or those before one (empty: the last ones), and whether there
        are more on that side. Problems without a value come last."""
        keys, rows = self._order(sort, descending)
        if before is not None:
            end = bisect_left(keys, _key(*before.values, descending=descending)) if before.values else len(rows)
            start = max(0, end - limit)
            return rows[start:end], start > 0
        start = (
            bisect_right(keys, _key(*after.values, descending=descending)) if after is not None and after.values else 0
        )
        return rows[start : start + limit], start + limit < len(rows)

    def _order(self, sort: TotalSort, descending: bool) -> tuple[list[_Key], list[ProblemTotal]]:
        known = self._orders.get((sort, descending))
        if known is None:
            pairs = sorted([(_key(row.value(sort), row.problem, descending=descending), row) for row in self._rows])
            known = self._orders[sort, descending] = ([key for key, _ in pairs], [row for _, row in pairs])
        return known


def _key(value: Any, problem: str, *, descending: bool) -> _Key:
    return (value is None, 0.0 if value is None else -value if descending else value, problem)


def totals(db: sqlite3.Connection, selector: RowSelector, where: FilterConditions) -> ProblemTotals | None:
    """Compute the totals of a filter in one pass over its rows; None if there are too many problems."""
    sql, values = by_problem(db, selector, where)
    rows = db.execute(f"{sql} LIMIT ?", (*values, MANY_PROBLEMS + 1)).fetchall()
    return ProblemTotals([ProblemTotal(*row) for row in rows]) if len(rows) <= MANY_PROBLEMS else None


def by_problem(
    db: sqlite3.Connection, selector: RowSelector, where: FilterConditions, extra: Sequence[SqlPart] = ()
) -> SqlPart:
    """Return a statement, up to its GROUP BY, for the `ProblemTotal` of each problem of a filter."""
    tables, filters = selector.collect(where, extra)
    if where.empty and db.execute("SELECT 1 FROM sqlite_master WHERE name = 'rollout_by_problem'").fetchone():
        tables = "rollout o INDEXED BY rollout_by_problem"
    sql, values = join_conditions(filters)
    return f"SELECT {_COLUMNS} FROM {tables} WHERE {sql} GROUP BY o.problem_id", values
