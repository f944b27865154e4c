"""Compiling a filter to SQL. Everything that a user typed is a parameter, never SQL text.

Alias `o` is a row of `rollout`. A comparison of a missing value is NULL, so neither it nor its negation matches:
missing is not zero, and not unequal either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.store.columns import VALUE_COLUMNS
from cogtui.store.filter.ast import (
    SERIES_FIELDS,
    Conjunction,
    Disjunction,
    FieldComparison,
    HasFlag,
    NegatedTerm,
    SpanPattern,
    Term,
    TextPhrase,
)
from cogtui.store.filter.parser import Filter
from cogtui.store.stage_files.scan import problem_number
from cogtui.store.values.encodings import FINISH_CODES
from cogtui.store.values.series import RolloutSeries, series_predicate
from pipelines.behaviors.sets.registered import BEHAVIORS

_COLUMNS: Final = {column.name: f"o.{column.column}" for column in VALUE_COLUMNS}
_LAST: Final = "\U0010ffff"

SqlPart = tuple[str, tuple[Any, ...]]
"""SQL and its parameters."""


@dataclass(slots=True)
class FilterConditions:
    """A filter split at its outermost AND, so that a query can start from its most selective part."""

    series: frozenset[int] | None = None
    """Ids of the series that match; None for all."""
    words: list[str] = field(default_factory=list)
    """Full-text expressions, all of which must match."""
    phrases: list[TextPhrase] = field(default_factory=list)
    """The phrases of `words`, in the same order."""
    patterns: list[tuple[str, int | None]] = field(default_factory=list)
    """Columns of `span_distance` that must be below a bound, or not NULL if there is none."""
    rest: list[SqlPart] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether it matches every rollout."""
        return self.series is None and not self.words and not self.patterns and not self.rest

    @property
    def only_words(self) -> bool:
        """Whether it has only full-text conditions."""
        return bool(self.words) and self.series is None and not self.patterns and not self.rest

    @property
    def only_series(self) -> bool:
        """Whether it has only conditions on series."""
        return not self.words and not self.patterns and not self.rest


def compile_filter(chosen: Filter, series: Mapping[int, RolloutSeries]) -> FilterConditions:
    """Return the conditions of a filter."""
    where = FilterConditions()
    if chosen.term is None:
        return where
    for term in chosen.term.terms if isinstance(chosen.term, Conjunction) else (chosen.term,):
        found = _series_of(term, series)
        if found is not None:
            where.series = found if where.series is None else where.series & found
        elif isinstance(term, TextPhrase):
            where.words.append(match_expression(term))
            where.phrases.append(term)
        elif isinstance(term, SpanPattern):
            where.patterns.append((f"{term.first}__{term.second}", term.below))
        else:
            where.rest.append(_sql(term, series))
    return where


def only_of_series(term: Term) -> bool:
    """Return whether a term is about series only."""
    if isinstance(term, FieldComparison):
        return term.field in SERIES_FIELDS
    if isinstance(term, NegatedTerm):
        return only_of_series(term.term)
    return isinstance(term, Conjunction | Disjunction) and all(only_of_series(one) for one in term.terms)


def _series_of(term: Term, series: Mapping[int, RolloutSeries]) -> frozenset[int] | None:
    """The series that a term matches; None if it is about more than series."""
    if not only_of_series(term):
        return None
    if isinstance(term, FieldComparison):
        holds = series_predicate(term)
        return frozenset(number for number, one in series.items() if holds(one))
    if isinstance(term, NegatedTerm):
        inside = _series_of(term.term, series)
        assert inside is not None
        return frozenset(series) - inside
    assert isinstance(term, Conjunction | Disjunction)
    parts = [part for one in term.terms if (part := _series_of(one, series)) is not None]
    return frozenset.intersection(*parts) if isinstance(term, Conjunction) else frozenset.union(*parts)


def series_sql(numbers: frozenset[int]) -> str:
    """Return the condition for rows of some series. Ids are integers of our own, so they need no parameters."""
    return f"o.series IN ({', '.join(map(str, sorted(numbers)))})"


def pattern_sql(column: str, below: int | None, alias: str) -> SqlPart:
    """Return the condition for a distance that exists and is below a bound."""
    return (f"{alias}.{column} IS NOT NULL", ()) if below is None else (f"{alias}.{column} < ?", (below,))


def match_expression(term: TextPhrase) -> str:
    """Return a phrase as an FTS5 expression, quoted so that nothing in it is an operator."""
    quoted = '"' + term.phrase.replace('"', '""').replace("\x00", " ") + '"'
    return f"{quoted} *" if term.prefix else quoted


def _sql(term: Term, series: Mapping[int, RolloutSeries]) -> SqlPart:
    if isinstance(term, Conjunction | Disjunction):
        parts = [_sql(one, series) for one in term.terms]
        joint = " AND " if isinstance(term, Conjunction) else " OR "
        return f"({joint.join(sql for sql, _ in parts)})", tuple(value for _, values in parts for value in values)
    if isinstance(term, NegatedTerm):
        sql, values = _sql(term.term, series)
        return f"NOT ({sql})", values
    if isinstance(term, TextPhrase):
        return "o.serial IN (SELECT rowid FROM completion_fts WHERE completion_fts MATCH ?)", (match_expression(term),)
    if isinstance(term, SpanPattern):
        sql, values = pattern_sql(f"{term.first}__{term.second}", term.below, "g")
        return f"EXISTS (SELECT 1 FROM span_distance g WHERE g.serial = o.serial AND {sql})", values
    if isinstance(term, HasFlag):
        return _HAS[term.what], ()
    if term.field in SERIES_FIELDS:
        return series_sql(_series_of(term, series) or frozenset()), ()
    return _comparison(term)


_HAS: Final[dict[str, str]] = {
    "judged": "o.judged > 0",
    "failed": "o.judged >= 2",
    "unaligned": "coalesce(o.unaligned, 0) > 0",
    "reward": "o.reward IS NOT NULL",
    "answer": "o.has_answer",
    "note": """o.has_note AND o.serial IN (SELECT r.serial FROM note n CROSS JOIN record r ON r.uid = n.rollout
        WHERE n.note != '')""",
    "tag": "o.has_note AND o.serial IN (SELECT r.serial FROM tag t CROSS JOIN record r ON r.uid = t.rollout)",
    **{behavior: f"coalesce(o.{behavior}, 0) > 0" for behavior in BEHAVIORS},
}


def _comparison(term: FieldComparison) -> SqlPart:
    if term.field in _COLUMNS:
        values = tuple(_stored(value) for value in term.values)
        if term.operator in (":", "="):
            return f"{_COLUMNS[term.field]} IN ({', '.join('?' * len(values))})", values
        return f"{_COLUMNS[term.field]} {term.operator} ?", values
    parts = [_TEXT_FIELDS[term.field](str(value)) for value in term.values]
    return f"({' OR '.join(sql for sql, _ in parts)})", tuple(value for _, values in parts for value in values)


def _stored(value: str | float | bool) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return next(code for name, code in FINISH_CODES.items() if name == value)
    return value


def _by_id(prefix: str) -> SqlPart:
    return "o.serial IN (SELECT serial FROM record WHERE uid >= ? AND uid < ?)", (prefix, prefix + _LAST)


def _by_problem(wanted: str) -> SqlPart:
    if wanted.endswith("*"):
        return "o.problem_id >= ? AND o.problem_id < ?", (wanted[:-1], wanted[:-1] + _LAST)
    number = problem_number(wanted) if wanted.isascii() and wanted.isdecimal() else None
    if number is None:
        return "o.problem_id = ?", (wanted,)
    return "o.problem_id IN (SELECT id FROM problem WHERE number = ? UNION SELECT ?)", (number, wanted)


def _by_task(wanted: str) -> SqlPart:
    low, high = (wanted[:-1], wanted[:-1] + _LAST) if wanted.endswith("*") else (wanted, wanted + "\x00")
    return "o.task IN (SELECT id FROM task WHERE name >= ? AND name < ?)", (low, high)


def _by_judge(prefix: str) -> SqlPart:
    return (
        """o.judge IN (SELECT id FROM judge_run
        WHERE (run >= ? AND run < ?) OR (judge >= ? AND judge < ?))""",
        (prefix, prefix + _LAST) * 2,
    )


def _by_tag(wanted: str) -> SqlPart:
    low, high = (wanted[:-1], wanted[:-1] + _LAST) if wanted.endswith("*") else (wanted, wanted + "\x00")
    return (
        """o.has_note AND o.serial IN (SELECT r.serial FROM tag t CROSS JOIN record r ON r.uid = t.rollout
        WHERE t.tag >= ? AND t.tag < ?)""",
        (low, high),
    )


def _by_note(part: str) -> SqlPart:
    return (
        """o.has_note AND o.serial IN (SELECT r.serial FROM note n CROSS JOIN record r ON r.uid = n.rollout
        WHERE instr(lower(n.note), lower(?)) > 0)""",
        (part,),
    )


_TEXT_FIELDS: Final = {
    "id": _by_id, "task": _by_task, "problem": _by_problem, "judge": _by_judge, "tag": _by_tag, "note": _by_note
}  # fmt: skip
