"""Finding a page of rows by keyset pagination, along the sort index or by collecting and sorting.

Walking the index of the sort column and skipping rows that the filter rejects is fast when most rows match;
collecting all rows that match and keeping the first is fast when few do. Which is cheaper is known only by trying:
the walk gets a budget of CPU time, and when it is spent the rows are collected.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cogtui.store.db.distance_blocks import DISTANCE_TABLES
from cogtui.store.db.schema import BULK_INDEXES
from cogtui.store.query.filter_sql import FilterConditions, SqlPart, pattern_sql, series_sql
from cogtui.store.query.phrases import PhraseMatcher, are_matchable
from cogtui.store.query.sort_segments import SortSegment, segments
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.values.series import RolloutSeries
from cogtui.store.values.types import Cursor, Sort

WALK_BUDGET_S: Final = 0.02
RARE: Final = 200
"""From this many matches of a phrase on, its frequency is estimated instead of counted."""
CHECK_S: Final = 25e-6
"""Approximate cost of looking for a phrase in one text."""
COLLECT_S: Final = 1.5e-6
"""Approximate cost per match of the full-text index when all matches are collected and sorted."""
CHECK_BUDGET_S: Final = 0.04
SCAN_BUDGET_S: Final = 1.0
STEPS_BETWEEN_LOOKS: Final = 4000


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found but not read yet."""

    serial: int
    cursor: Cursor


class RowSelector:
    """Finds the rows of a filter."""

    def __init__(
        self, connection: sqlite3.Connection, series: Mapping[int, RolloutSeries], files: RecordReader
    ) -> None:
        self._db = connection
        self._series = series
        self._files = files

    def after(self, where: FilterConditions, sort: Sort, cursor: Cursor | None, limit: int) -> list[Hit]:
        """Return the rows after a cursor, or the first ones, in the order of the list."""
        return self._run(where, sort, segments(sort, self._series), cursor, limit, backwards=False)

    def before(self, where: FilterConditions, sort: Sort, cursor: Cursor, limit: int) -> list[Hit]:
        """Return the rows before a cursor, or (with an empty cursor) the last ones, in the order of the list."""
        parts = segments(sort, self._series)[::-1]
        found = self._run(where, sort, parts, cursor if cursor.values else None, limit, backwards=True)
        return found[::-1]

    def count(self, where: FilterConditions, *, newer_than: int | None = None) -> int:
        """Return how many rows match."""
        if where.empty and newer_than is None:
            return int(self._db.execute("SELECT count(*) FROM rollout").fetchone()[0])
        extra: list[SqlPart] = [] if newer_than is None else [("o.serial > ?", (newer_than,))]
        tables, conditions = self.collect(where, extra)
        sql, values = join_conditions(conditions)
        return int(self._db.execute(f"SELECT count(*) FROM {tables} WHERE {sql}", values).fetchone()[0])

    def position(self, where: FilterConditions, sort: Sort, cursor: Cursor) -> int:
        """Return how many rows of the list are before a cursor."""
        total = 0
        for segment in segments(sort, self._series):
            inside = bool(cursor.values) and cursor.values[0] == segment.label
            part = _beyond(segment, cursor, backwards=True, descending=sort.descending) if inside else ("", ())
            tables, conditions = self.collect(_within(where, segment), [segment.where, part])
            sql, values = join_conditions(conditions)
            total += int(self._db.execute(f"SELECT count(*) FROM {tables} WHERE {sql}", values).fetchone()[0])
            if inside:
                break
        return total

    def collect(self, where: FilterConditions, extra: Sequence[SqlPart] = ()) -> tuple[str, list[SqlPart]]:
        """Return FROM and WHERE that start from the most selective part of a filter."""
        tables = "rollout o"
        conditions = list(where.rest)
        words, patterns = list(where.words), list(where.patterns)
        selective = any(sql.startswith(("(o.problem_id", "(o.serial")) for sql, _ in where.rest)
        few_series = where.series is not None and self._share(where.series) < 0.2
        if words:
            tables = "completion_fts w CROSS JOIN rollout o ON o.serial = w.rowid"
            conditions.insert(0, ("completion_fts MATCH ?", (words.pop(0),)))
        elif patterns and not few_series:
            tables, pattern = DISTANCE_TABLES, patterns.pop(0)
            conditions[:0] = [pattern_sql(*pattern, "n"), pattern_sql(*pattern, "d")]
        elif where.series is not None and not few_series and not selective:
            tables = "rollout o NOT INDEXED"
        if where.series is not None:
            # Unary plus: keeps SQLite off the index of series, because another one is far more selective.
            conditions.append((("+" if selective else "") + series_sql(where.series), ()))
        conditions += [
            ("o.serial IN (SELECT rowid FROM completion_fts WHERE completion_fts MATCH ?)", (match,)) for match in words
        ]
        conditions += [_has_pattern(column, below) for column, below in patterns]
        return tables, [*conditions, *extra]

    def _run(
        self,
        where: FilterConditions,
        sort: Sort,
        parts: list[SortSegment],
        cursor: Cursor | None,
        limit: int,
        *,
        backwards: bool,
    ) -> list[Hit]:
        found: list[Hit] = []
        if cursor is not None and cursor.values:
            labels = [segment.label for segment in parts]
            start = labels.index(cursor.values[0]) if cursor.values[0] in labels else 0
            parts = parts[start:]
        for segment in parts:
            if len(found) >= limit:
                break
            inside = cursor is not None and cursor.values[0] == segment.label
            beyond = ("", ())
            if inside and cursor is not None:
                beyond = _beyond(segment, cursor, backwards=backwards, descending=sort.descending)
            down = sort.descending != backwards
            found += self._find(_within(where, segment), segment, beyond, limit - len(found), down=down)
        return found

    def _find(
        self, where: FilterConditions, segment: SortSegment, beyond: SqlPart, limit: int, *, down: bool
    ) -> list[Hit]:
        if where.series is not None and not where.series:
            return []
        rows = None
        walks = self._can_walk(where, segment)
        if where.words:
            share = self._share_with_words(where)
            common = are_matchable(where.phrases) and self._cheaper_to_check(share, limit)
            if common and walks:
                rows = self._checked(where, segment, beyond, limit, down=down, walk=True)
            if rows is None and common:
                rows = self._checked(where, segment, beyond, limit, down=down, walk=False)
            if rows is None and share and walks and where.only_words:
                rows = self._walk_found(where, segment, beyond, limit, down=down)
        elif walks:
            rows = self._walk(where, segment, beyond, limit, down=down)
        if rows is not None:
            return rows
        tables, conditions = self.collect(where, [segment.where, beyond])
        # Unary plus: keeps SQLite off the sort index, so that it collects the rows and then sorts them.
        order = [f"+o.{column}" for column in segment.order]
        return self._hits(tables, conditions, segment, order, limit, down=down)

    def _can_walk(self, where: FilterConditions, segment: SortSegment) -> bool:
        if segment.order[0] == "ordinal":
            return False
        if segment.series is not None:
            return len(where.series or ()) == 1
        name = "rollout_by_problem" if segment.order[0] == "problem_id" else f"rollout_by_{segment.order[0]}"
        if name not in BULK_INDEXES:
            return False
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None

    def _share_with_words(self, where: FilterConditions) -> float:
        """The share of rollouts with the phrases, estimated from the first matches; 0 if there are few."""
        share = 1.0
        for match in where.words:
            found, last = self._db.execute(
                """SELECT count(*), max(rowid)
                FROM (SELECT rowid FROM completion_fts WHERE completion_fts MATCH ? LIMIT ?)""",
                (match, RARE),
            ).fetchone()
            if found < max(1, RARE):
                return 0.0
            share = min(share, found / last)
        return share

    def _cheaper_to_check(self, share: float, limit: int) -> bool:
        """Whether phrases are so common that checking the texts of rows in list order costs less than collecting
        all matches."""
        (newest,) = self._db.execute("SELECT max(serial) FROM rollout").fetchone()
        return bool(share) and limit / share * CHECK_S < share * (newest or 0) * COLLECT_S

    def _walk_found(
        self, where: FilterConditions, segment: SortSegment, beyond: SqlPart, limit: int, *, down: bool
    ) -> list[Hit]:
        """The rows along the sort index that are among the matches of the full-text index."""
        # Unary plus: otherwise SQLite reads and sorts the rows of all matches.
        found: list[SqlPart] = [
            ("+o.serial IN (SELECT rowid FROM completion_fts WHERE completion_fts MATCH ?)", (match,))
            for match in where.words
        ]
        order = [f"o.{column}" for column in segment.order]
        return self._hits("rollout o", [segment.where, beyond, *found], segment, order, limit, down=down)

    def _checked(
        self, where: FilterConditions, segment: SortSegment, beyond: SqlPart, limit: int, *, down: bool, walk: bool
    ) -> list[Hit] | None:
        """The rows, found by checking texts one by one in list order; None if that takes too long.

        Args:
            walk: along the sort index; otherwise the rows that match the rest of the filter are sorted first.
        """
        conditions = [segment.where, beyond, *self._row_conditions(where, segment, walk=walk)]
        sign = "" if walk else "+"
        sql, values = self._statement(
            "rollout o", conditions, segment, [f"{sign}o.{column}" for column in segment.order], down=down
        )
        deadline = time.thread_time() + (CHECK_BUDGET_S if walk else SCAN_BUDGET_S)
        found: list[Hit] = []
        try:
            with _until(self._db, deadline), PhraseMatcher(self._db, self._files, where.phrases) as check:
                rows = self._db.execute(sql, values)
                while len(found) < limit and (row := rows.fetchone()) is not None:
                    if check.matches(row[-1]):
                        found.append(Hit(row[-1], Cursor((segment.label, *row))))
                    if time.thread_time() > deadline:
                        return None
                rows.close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_INTERRUPT" and time.thread_time() > deadline:
                return None
            raise
        return found

    def _walk(
        self, where: FilterConditions, segment: SortSegment, beyond: SqlPart, limit: int, *, down: bool
    ) -> list[Hit] | None:
        """The rows along the sort index; None if that takes too long."""
        conditions = [segment.where, beyond, *self._row_conditions(where, segment, walk=True)]
        order = [f"o.{column}" for column in segment.order]
        if where.empty:
            return self._hits("rollout o", conditions, segment, order, limit, down=down)
        deadline = time.thread_time() + WALK_BUDGET_S
        try:
            with _until(self._db, deadline):
                return self._hits("rollout o", conditions, segment, order, limit, down=down)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_INTERRUPT" and time.thread_time() > deadline:
                return None
            raise

    def _row_conditions(self, where: FilterConditions, segment: SortSegment, *, walk: bool) -> list[SqlPart]:
        """The conditions on rows, without the full-text ones."""
        conditions: list[SqlPart] = []
        if where.series is not None:
            # Unary plus: keeps SQLite on the sort index rather than the index of series; but the rows of one series
            # are in the order of steps in that index already.
            alone = len(where.series) == 1 and segment.order[0] == "step"
            conditions.append((("+" if walk and not alone else "") + series_sql(where.series), ()))
        conditions += where.rest
        conditions += [_has_pattern(column, below) for column, below in where.patterns]
        return conditions

    def _hits(
        self,
        tables: str,
        conditions: Sequence[SqlPart],
        segment: SortSegment,
        order: Sequence[str],
        limit: int,
        *,
        down: bool,
    ) -> list[Hit]:
        sql, values = self._statement(tables, conditions, segment, order, down=down)
        rows = self._db.execute(f"{sql} LIMIT ?", (*values, limit)).fetchall()
        return [Hit(row[-1], Cursor((segment.label, *row))) for row in rows]

    def _statement(
        self, tables: str, conditions: Sequence[SqlPart], segment: SortSegment, order: Sequence[str], *, down: bool
    ) -> SqlPart:
        sql, values = join_conditions(conditions)
        direction = " DESC" if down else ""
        columns = ", ".join(f"o.{column}" for column in segment.order)
        ordered = ", ".join(f"{column}{direction}" for column in order)
        return f"SELECT {columns} FROM {tables} WHERE {sql} ORDER BY {ordered}", values

    def _share(self, chosen: frozenset[int]) -> float:
        """The share of rollouts in some series."""
        rows = dict(self._db.execute("SELECT series, sum(n) FROM step_summary GROUP BY series").fetchall())
        total = sum(rows.values())
        return sum(rows.get(number, 0) for number in chosen) / total if total else 1.0


def _within(where: FilterConditions, segment: SortSegment) -> FilterConditions:
    if segment.series is None:
        return where
    both = segment.series if where.series is None else where.series & segment.series
    return FilterConditions(both, where.words, where.phrases, where.patterns, where.rest)


def _beyond(segment: SortSegment, cursor: Cursor, *, backwards: bool, descending: bool) -> SqlPart:
    """The rows of a segment beyond a cursor, as one comparison of row values, which an index can serve."""
    columns = ", ".join(f"o.{column}" for column in segment.order)
    operator = "<" if backwards != descending else ">"
    return f"({columns}) {operator} ({', '.join('?' * len(segment.order))})", cursor.values[1:]


def _has_pattern(column: str, below: int | None) -> SqlPart:
    sql, values = pattern_sql(column, below, "g")
    return f"EXISTS (SELECT 1 FROM span_distance g WHERE g.serial = o.serial AND {sql})", values


def join_conditions(conditions: Sequence[SqlPart]) -> SqlPart:
    """Join conditions by AND."""
    parts = [part for part in conditions if part[0]]
    if not parts:
        return "1", ()
    return " AND ".join(f"({sql})" for sql, _ in parts), tuple(value for _, values in parts for value in values)


@contextmanager
def _until(connection: sqlite3.Connection, deadline: float) -> Iterator[None]:
    """Interrupt a statement when the CPU time of this thread passes the deadline."""
    connection.set_progress_handler(lambda: time.thread_time() > deadline, STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
