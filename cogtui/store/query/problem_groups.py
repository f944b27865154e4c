"""Rollouts grouped by problem."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from cogtui.store.db.summaries import MEAN_REWARD
from cogtui.store.query.details import decode_problem, rows_of
from cogtui.store.query.filter_sql import FilterConditions, SqlPart
from cogtui.store.query.problem_totals import ProblemTotal, ProblemTotals, by_problem
from cogtui.store.query.select import Hit, RowSelector, join_conditions
from cogtui.store.values.series import RolloutSeries
from cogtui.store.values.types import Cursor, GroupSort, Page, ProblemGroup, RolloutRow

_VALUES: Final[dict[GroupSort, str]] = {
    "best": "max(o.reward)", "mean": MEAN_REWARD, "worst": "min(o.reward)", "rollouts": "count(*)"
}  # fmt: skip


def problems(
    db: sqlite3.Connection,
    selector: RowSelector,
    where: FilterConditions,
    after: Cursor | None,
    before: Cursor | None,
    sort: GroupSort,
    descending: bool,
    limit: int,
    known: ProblemTotals | None = None,
) -> Page[ProblemGroup]:
    """Return a page of problems with their rewards. Problems without a score come last.

    Args:
        known: totals of all problems, from an earlier pass over the rows.
    """
    backwards = before is not None
    if known is not None and sort != "problem":
        rows, more = known.page(sort, after, before, limit, descending=descending)
    else:
        conditions, having, order = _order(sort, before if backwards else after, descending, backwards)
        sql, values = by_problem(db, selector, where, [conditions])
        statement = f"{sql} HAVING {having[0]} ORDER BY {order} LIMIT ?"
        found = db.execute(statement, (*values, *having[1], limit + 1))
        rows = [ProblemTotal(*row) for row in found]
        more, rows = len(rows) > limit, rows[:limit]
        if backwards:
            rows = rows[::-1]
    steps = _by_step(db, selector, where, [row.problem for row in rows])
    groups = tuple(_group(db, row, steps.get(row.problem, ()), sort) for row in rows)
    above, below = (more, bool(before.values)) if before is not None else (after is not None, more)
    return Page(groups, groups[0].cursor if groups and above else None, groups[-1].cursor if groups and below else None)


def _order(sort: GroupSort, cursor: Cursor | None, descending: bool, backwards: bool) -> tuple[SqlPart, SqlPart, str]:
    """WHERE, HAVING and ORDER BY of a page after a cursor, or (backwards) before one."""
    flipped = descending != backwards
    down, beyond = (" DESC", "<") if flipped else ("", ">")
    none: SqlPart = ("1", ())
    start = cursor is None or not cursor.values
    if sort == "problem":
        where: SqlPart = ("", ()) if start or cursor is None else (f"o.problem_id {beyond} ?", cursor.values)
        return where, none, f"o.problem_id{down}"
    value = _VALUES[sort]
    order = f"{value} IS NULL, {value}{down}, o.problem_id"
    if backwards:
        order = f"{value} IS NULL DESC, {value}{down}, o.problem_id DESC"
    if start or cursor is None:
        return ("", ()), none, order
    last, problem = cursor.values
    side = "<" if backwards else ">"
    if last is None:
        others = f"{value} IS NOT NULL OR " if backwards else ""
        return ("", ()), (f"{others}({value} IS NULL AND o.problem_id {side} ?)", (problem,)), order
    unscored = "" if backwards else f"{value} IS NULL OR "
    having = f"{unscored}{value} {beyond} ? OR ({value} = ? AND o.problem_id {side} ?)"
    return ("", ()), (having, (last, last, problem)), order


def _by_step(
    db: sqlite3.Connection, selector: RowSelector, where: FilterConditions, names: Sequence[str]
) -> dict[str, tuple[tuple[int, float], ...]]:
    if not names:
        return {}
    chosen: SqlPart = (f"o.problem_id IN ({', '.join('?' * len(names))})", tuple(names))
    if where.words or where.patterns or where.series is not None or where.rest:
        tables, conditions = selector.collect(where, [chosen])
    else:
        tables, conditions = "rollout o", [chosen]
    sql, values = join_conditions(conditions)
    rows = db.execute(
        f"""SELECT o.problem_id, o.step, {MEAN_REWARD} FROM {tables} WHERE {sql} AND o.reward IS NOT NULL
        GROUP BY o.problem_id, o.step ORDER BY o.problem_id, o.step""",
        values,
    )
    found: dict[str, list[tuple[int, float]]] = {}
    for name, step, mean in rows:
        found.setdefault(name, []).append((step, mean))
    return {name: tuple(points) for name, points in found.items()}


def _group(
    db: sqlite3.Connection, row: ProblemTotal, by_step: tuple[tuple[int, float], ...], sort: GroupSort
) -> ProblemGroup:
    task, problem = db.execute(
        """SELECT t.name, r.problem FROM rollout o CROSS JOIN record r ON r.serial = o.serial
        JOIN task t ON t.id = o.task WHERE o.problem_id = ? ORDER BY o.step, o.ordinal LIMIT 1""",
        (row.problem,),
    ).fetchone()
    value = None if sort == "problem" else row.value(sort)
    return ProblemGroup(
        problem_id=row.problem,
        task=task,
        problem=decode_problem(row.problem, problem),
        rollouts=row.rollouts,
        scored=row.scored,
        best=row.best,
        mean=row.mean,
        worst=row.worst,
        by_step=by_step,
        cursor=Cursor((row.problem,) if sort == "problem" else (value, row.problem)),
    )


class _SiblingRow(NamedTuple):
    """A rollout with the same problem id."""

    serial: int
    series: int
    step: int
    sample: int
    ordinal: int
    task: int
    problem: str


def same_problem(
    db: sqlite3.Connection, series: Mapping[int, RolloutSeries], serial: int, limit: int
) -> list[RolloutRow]:
    """Return the rollouts with the problem of a rollout (same id, task and JSON), by condition, seed, step, sample."""
    (problem,) = db.execute("SELECT problem_id FROM rollout WHERE serial = ?", (serial,)).fetchone()
    found = db.execute(
        """SELECT o.serial, o.series, o.step, o.sample, o.ordinal, o.task, r.problem
        FROM rollout o CROSS JOIN record r ON r.serial = o.serial WHERE o.problem_id = ?""",
        (problem,),
    )
    rows = [_SiblingRow(*row) for row in found]
    (wanted,) = [(row.task, row.problem) for row in rows if row.serial == serial]
    known = [row for row in rows if row.series in series and (row.task, row.problem) == wanted]
    known.sort(key=lambda row: (*_series_order(series[row.series]), row.step, row.sample, row.ordinal))
    return list(rows_of(db, series, [Hit(row.serial, Cursor(())) for row in known[:limit]]))


def _series_order(one: RolloutSeries) -> tuple[bool, str, bool, int, str]:
    """Sort key of series; those without a label come last."""
    return one.condition is None, one.condition or "", one.seed is None, one.seed or 0, one.split
