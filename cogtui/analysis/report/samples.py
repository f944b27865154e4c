"""Six sample traces of an experiment, each chosen by a rule that is stated beside it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from cogtui.analysis.claims import UNPRIMED
from cogtui.analysis.outcomes import ConditionGroup
from cogtui.store import Query, RolloutDetail, RolloutRow, Sort, Store
from cogtui.store.filter.parser import parse
from cogtui.store.values.types import BehaviorJudgement
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import CogtuiError
from pipelines.records import JudgeRun, LabelledSpan, Span

MOST_ROWS: Final = 50_000
"""Completions among which samples are chosen; those after it are not looked at, and the label says so."""
_PAGE: Final = 1000
_LONGEST_JUDGED: Final = 200_000
_SEED: Final = 0
_LIVE: Final = JudgeRun(id="", judge="rules, run for this report")


@dataclass(frozen=True, slots=True)
class SampleTrace:
    """A completion with the rule that chose it."""

    rule: str
    """How it was chosen, in words."""
    detail: RolloutDetail
    judge: str
    """Whose spans are shown; empty if nobody judged it."""


@dataclass(frozen=True, slots=True)
class SampleTraces:
    """The chosen completions, and what they were chosen from."""

    traces: tuple[SampleTrace, ...]
    population: str
    """What they were chosen from, or why there are none."""


class _Candidate(NamedTuple):
    """A completion with the name of its group."""

    row: RolloutRow
    group: str


_Rule = Callable[[Sequence[_Candidate]], tuple[str, _Candidate] | None]
"""Chooses one of the candidates that are left, and says how; None where the rule has nothing to go by."""


def choose_samples(store: Store, groups: Sequence[ConditionGroup]) -> SampleTraces:
    """Choose six completions of the last evaluations: one by id, two at random, by reward and by behaviours.

    The choice depends on nothing but the completions, so a report written again shows the same.

    Args:
        store: with the rollouts of the experiment.
        groups: the cells of the experiment.
    """
    candidates, total = _candidates(store, groups)
    if not candidates:
        return SampleTraces((), "No completion of an evaluation on test problems is in the index yet.")
    traces = []
    for rule in _rules(groups, len(candidates)):
        found = rule(candidates) if candidates else None
        if found is not None:
            how, chosen = found
            candidates.remove(chosen)
            traces.append(_sample(store, how, chosen))
    first = f"the first {MOST_ROWS:,} of " if total > MOST_ROWS else ""
    population = f"Chosen from {first}{total:,} completions of test problems, of the last evaluation of each run."
    return SampleTraces(tuple(traces), population)


def _candidates(store: Store, groups: Sequence[ConditionGroup]) -> tuple[list[_Candidate], int]:
    """Return the completions of the last evaluations by id, and how many there are in all."""
    found: list[_Candidate] = []
    total = 0
    for group in groups:
        for run in group.runs:
            if run.points:
                query = Query(parse(f"split:test stage:{run.key} step:{max(run.points)}"), Sort("stage"))
                total += store.count(query)
                found += [_Candidate(row, group.name) for row in _rows(store, query, MOST_ROWS - len(found))]
    return sorted(found, key=lambda one: one.row.id), total


def _rows(store: Store, query: Query, limit: int) -> Iterator[RolloutRow]:
    """Yield the first rows of a query, at most `limit`."""
    page = store.page(query, limit=min(limit, _PAGE)) if limit > 0 else None
    while page is not None:
        yield from page.rows[:limit]
        limit -= len(page.rows)
        page = store.page(query, page.after, limit=min(limit, _PAGE)) if page.after is not None and limit > 0 else None


def _rules(groups: Sequence[ConditionGroup], total: int) -> list[_Rule]:
    """Return the six rules; a group has a random one if it is the unprimed one, or ends highest."""
    known = [group for group in groups if group.finished] or list(groups)
    unprimed = next((group for group in known if group.condition == UNPRIMED), known[0])
    ends = {group.name: found.mean for group in known if (found := group.estimate("accuracy", "end")) is not None}
    others = [name for name in ends if name != unprimed.name]
    highest = max(others, key=lambda name: ends[name]) if others else None
    last = (
        _random_rule(_SEED + 1, f"the {total:,}")
        if highest is None
        else _random_rule(_SEED, f"{highest}, which ends highest of the other conditions", highest)
    )
    return [
        _first_by_id,
        _random_rule(_SEED, unprimed.name, unprimed.name),
        last,
        _by_value("highest reward", lambda one: one.row.reward, highest=True),
        _by_value("lowest reward", lambda one: one.row.reward, highest=False),
        _by_value("most behaviours counted", _count, highest=True),
    ]


def _first_by_id(candidates: Sequence[_Candidate]) -> tuple[str, _Candidate]:
    return "first by id", candidates[0]


def _random_rule(seed: int, words: str, group: str | None = None) -> _Rule:
    def choose(candidates: Sequence[_Candidate]) -> tuple[str, _Candidate] | None:
        found = [one for one in candidates if group is None or one.group == group]
        how = f"drawn at random (seed {seed}) from those of {words}"
        return (how, random.Random(seed).choice(found)) if found else None

    return choose


def _by_value(words: str, value_of: Callable[[_Candidate], float | None], *, highest: bool) -> _Rule:
    def choose(candidates: Sequence[_Candidate]) -> tuple[str, _Candidate] | None:
        values = [(value, one) for one in candidates if (value := value_of(one)) is not None]
        if not values:
            return None
        best = (max if highest else min)(value for value, _ in values)
        ties = [one for value, one in values if value == best]
        among = f"; the first by id of {len(ties):,} that have it" if len(ties) > 1 else ""
        return f"{words} ({best:g}){among}", ties[0]

    return choose


def _count(one: _Candidate) -> int | None:
    """Return the number of behaviours counted; None for a completion that nobody judged."""
    counted = [count for count in one.row.counts if count is not None]
    return sum(counted) if counted else None


def _sample(store: Store, how: str, chosen: _Candidate) -> SampleTrace:
    detail = store.rollout_of(chosen.row)
    if detail.judge_runs:
        return SampleTrace(how, detail, detail.judge_runs[0].judge)
    judged = _judged_by_rules(detail)
    return SampleTrace(how, detail, "") if judged is None else SampleTrace(how, judged, _LIVE.judge)


def _judged_by_rules(detail: RolloutDetail) -> RolloutDetail | None:
    """Return a completion with the spans of the rules judge; None where it is too long or the judge fails."""
    if len(detail.completion) > _LONGEST_JUDGED or detail.row.is_document:
        return None
    from pipelines.behaviors.judges.rules.judge import judge_problem

    try:
        result = judge_problem(detail.completion, detail.row.task, detail.row.problem)
    except CogtuiError:
        return None
    judgements = tuple(
        BehaviorJudgement(_LIVE.id, name, "ok", result.counts[name], _spans(result.spans, name), None, {}, False)
        for name in FOUR_HABITS.names
    )
    return replace(detail, judge_runs=(_LIVE,), judgements=judgements)


def _spans(labelled: Iterable[LabelledSpan], behavior: str) -> tuple[Span, ...]:
    return tuple(Span(**one.model_dump(exclude={"behavior"})) for one in labelled if one.behavior == behavior)
