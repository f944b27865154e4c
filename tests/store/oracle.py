"""Filters and sorts by going through everything in Python: what the index must agree with."""

from __future__ import annotations

from typing import Any

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
from cogtui.store.query.snippets import find_phrase
from cogtui.store.values.series import compare, matches
from cogtui.store.values.types import RolloutDetail, Sort
from pipelines.behaviors.sets.registered import BEHAVIORS


def passes(detail: RolloutDetail, term: Term | None) -> bool:
    """Whether a filter lets a rollout through."""
    return term is None or _holds(detail, term) is True


def _holds(detail: RolloutDetail, term: Term) -> bool | None:
    if isinstance(term, Conjunction):
        found = [_holds(detail, one) for one in term.terms]
        return False if False in found else None if None in found else True
    if isinstance(term, Disjunction):
        found = [_holds(detail, one) for one in term.terms]
        return True if True in found else None if None in found else False
    if isinstance(term, NegatedTerm):
        inside = _holds(detail, term.term)
        return None if inside is None else not inside
    if isinstance(term, TextPhrase):
        return find_phrase(detail.completion, term) is not None
    if isinstance(term, HasFlag):
        return _has(detail, term.what)
    if isinstance(term, SpanPattern):
        return _follows(detail, term)
    return _compares(detail, term)


def _compares(detail: RolloutDetail, term: FieldComparison) -> bool | None:
    row = detail.row
    value: Any
    if term.field in SERIES_FIELDS:
        value = getattr(row, term.field)
        if value is None:
            return False
        if term.field == "seed":
            return compare(value, term)
        return any(matches(str(value), str(wanted)) for wanted in term.values)
    if term.field == "problem":
        return any(
            int(row.problem_id.rpartition("-")[2]) == int(str(wanted))
            if str(wanted).isdecimal()
            else row.problem_id == wanted
            for wanted in term.values
        )
    if term.field == "task":
        return any(matches(row.task, str(wanted)) for wanted in term.values)
    if term.field == "correct":
        return None if row.correct is None else row.correct in term.values
    if term.field == "finish":
        return row.finish_reason in term.values
    if term.field == "id":
        return any(row.id.startswith(str(wanted)) for wanted in term.values)
    counts: dict[str, Any] = dict(zip(BEHAVIORS, row.counts, strict=True))
    named: dict[str, Any] = {"tokens": row.n_tokens, "length": row.length, **counts}
    named["target"] = row.problem.get("target")
    value = named[term.field] if term.field in named else getattr(row, term.field)
    return None if value is None else compare(value, term)


def _has(detail: RolloutDetail, what: str) -> bool:
    row = detail.row
    counts = dict(zip(BEHAVIORS, row.counts, strict=True))
    for behavior, count in counts.items():
        if behavior == what:
            return bool(count)
    return {
        "judged": row.judged != "none",
        "failed": row.judged in ("partial", "failed"),
        "unaligned": bool(row.unaligned),
        "reward": row.reward is not None,
        "answer": detail.answer is not None,
        "note": bool(detail.note),
        "tag": bool(detail.tags),
    }[what]


def _follows(detail: RolloutDetail, term: SpanPattern) -> bool:
    placed = {
        behavior: [
            (span.start, span.end)
            for one in detail.judgements
            if one.behavior == behavior and one.judge_run == detail.row.judge
            for span in one.spans
            if span.start is not None and span.end is not None
        ]
        for behavior in BEHAVIORS
    }
    for a, a_end in placed[term.first]:
        for b, _ in placed[term.second]:
            after = b > a if term.first == term.second else b >= a
            if after and (term.below is None or max(0, b - a_end) < term.below):
                return True
    return False


def is_sorted(details: list[RolloutDetail], sort: Sort) -> bool:
    """Whether values are in order and those missing come last."""
    values = [_value(detail, sort.field) for detail in details]
    present = [value for value in values if value is not None]
    return values[len(present) :] == [None] * (len(values) - len(present)) and present == sorted(
        present, reverse=sort.descending
    )


def _value(detail: RolloutDetail, field: str) -> Any:
    row = detail.row
    named: dict[str, Any] = {
        "problem": row.problem_id, "tokens": row.n_tokens, **dict(zip(BEHAVIORS, row.counts, strict=True))
    }  # fmt: skip
    return named[field] if field in named else getattr(row, field)
