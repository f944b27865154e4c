"""Agreement of a judge with gold labels or another judge: spans, counts, presence, alignment, disagreements."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pipelines.behaviors.metrics.bootstrap import Vector, cluster_sums, intervals
from pipelines.behaviors.metrics.calibration import Calibration, ScoredSpan, measure_calibration
from pipelines.behaviors.metrics.matching import ANY_OVERLAP, SpanMatching, intersection_over_union, match_spans
from pipelines.behaviors.metrics.reliability import (
    CountAgreement,
    PresenceAgreement,
    count_agreement,
    presence_agreement,
)
from pipelines.behaviors.metrics.scores import SpanTally, macro_f1
from pipelines.behaviors.sets.registered import behaviors_in_use
from pipelines.records import Behavior, JudgeStatus, Span

CRITERIA: Final[Mapping[str, float]] = {"any_overlap": ANY_OVERLAP, "iou50": 0.5}
"""Minimum intersection over union at which two spans match, by name of the criterion."""


@dataclass(frozen=True, slots=True)
class BehaviorFinding:
    """The judgement of one behaviour in one trace: status, count and spans."""

    status: JudgeStatus
    count: int | None
    """The count that the judge declared; None unless the status is ok."""
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceFindings:
    """The findings of one judge on one trace. Behaviours that are missing were not judged."""

    id: str
    problem: str
    """Name of the problem; the bootstrap resamples traces by problem."""
    findings: Mapping[Behavior, BehaviorFinding]
    group: str = ""
    """Condition and step, for comparing orderings; empty if unknown."""


@dataclass(frozen=True, slots=True)
class JudgementSource:
    """All findings of a judge, or of a gold file, by trace id."""

    name: str
    traces: Mapping[str, TraceFindings]
    run: str = ""
    """Id of the judge run, if there is one."""
    probabilities: bool = False
    """Whether the scores of its spans are probabilities."""


@dataclass(frozen=True, slots=True)
class SpanScore:
    """Tallies under one matching criterion, with 95 % intervals of F1 by problem."""

    tallies: Mapping[Behavior, SpanTally]
    intervals: Mapping[Behavior, tuple[float, float] | None]
    macro: float | None
    macro_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class JudgeHealth:
    """Quality of the judge's own output, independent of the reference."""

    alignments: Mapping[str, int]
    """Number of spans by how their quote was aligned."""
    ambiguous: int
    statuses: Mapping[str, int]
    """Number of judgements by status; only judgements with status `ok` enter the figures."""
    count_differs: int
    """Number of judgements whose declared count differs from the number of their counted spans."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A trace on which the two judges differ, with the number of spans each of them has."""

    id: str
    only_reference: int
    only_judge: int
    both: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """The result of comparing a judge with a reference."""

    reference: str
    judge: str
    judge_run: str
    traces: int
    """Number of traces of the reference."""
    compared: Mapping[Behavior, int]
    """Number of traces judged by both, by behaviour."""
    problems: int
    health: JudgeHealth
    scores: Mapping[str, SpanScore]
    mean_iou: Mapping[Behavior, float | None]
    """Mean intersection over union of the spans matched at any overlap."""
    counts: Mapping[Behavior, CountAgreement]
    presence: Mapping[Behavior, PresenceAgreement]
    queue: tuple[Disagreement, ...]
    """Traces with a disagreement, the largest disagreement first."""
    warnings: tuple[str, ...] = field(default=())
    calibration: Mapping[Behavior, Calibration | None] = field(default_factory=dict)
    """Of the judge's probabilities, by behaviour; empty if its scores are none."""


def measure_agreement(reference: JudgementSource, judge: JudgementSource, *, seed: int = 0) -> Agreement:
    """Compare a judge with a reference over the traces of the reference.

    Args:
        reference: gold, or the first of two judges.
        judge: the one measured. Traces of its own that the reference lacks are passed over.
        seed: of the intervals.
    """
    rows = list(_rows(reference, judge))
    behaviors = _judged_behaviors(reference, judge)
    matched = {name: {b: _match(rows, b, threshold) for b in behaviors} for name, threshold in CRITERIA.items()}
    problems = {trace.problem for trace in reference.traces.values()}
    judged = [judge.traces[name] for name in reference.traces if name in judge.traces]
    return Agreement(
        reference=reference.name,
        judge=judge.name,
        judge_run=judge.run,
        traces=len(reference.traces),
        compared={behavior: sum(row.has(behavior) for row in rows) for behavior in behaviors},
        problems=len(problems),
        health=_health(judged, behaviors),
        scores={name: _score(rows, found, seed) for name, found in matched.items()},
        mean_iou={behavior: _mean_iou(rows, behavior, matched["any_overlap"][behavior]) for behavior in behaviors},
        counts={behavior: count_agreement(_count_pairs(rows, behavior)) for behavior in behaviors},
        presence={
            behavior: presence_agreement([(a > 0, b > 0) for a, b in _count_pairs(rows, behavior)])
            for behavior in behaviors
        },
        queue=_queue(rows, matched["any_overlap"]),
        warnings=tuple(_warnings(reference, judge, rows, behaviors)),
        calibration={
            behavior: measure_calibration(_scored_spans(rows, behavior, matched["any_overlap"][behavior]))
            for behavior in behaviors
        }
        if judge.probabilities
        else {},
    )


def _judged_behaviors(*sources: JudgementSource) -> tuple[Behavior, ...]:
    """Return the behaviours of the sets that any side judged."""
    return behaviors_in_use({name for source in sources for trace in source.traces.values() for name in trace.findings})


@dataclass(frozen=True, slots=True)
class _TracePair:
    first: TraceFindings
    second: TraceFindings

    def has(self, behavior: Behavior) -> bool:
        """Return whether both judged the behaviour in this trace."""
        a, b = self.first.findings.get(behavior), self.second.findings.get(behavior)
        return a is not None and b is not None and a.status == b.status == "ok"


def _rows(reference: JudgementSource, judge: JudgementSource) -> Iterable[_TracePair]:
    for name, trace in reference.traces.items():
        other = judge.traces.get(name)
        if other is not None:
            yield _TracePair(trace, other)


def _match(rows: Sequence[_TracePair], behavior: Behavior, threshold: float) -> dict[str, SpanMatching]:
    return {
        row.first.id: match_spans(row.second.findings[behavior].spans, row.first.findings[behavior].spans, threshold)
        for row in rows
        if row.has(behavior)
    }


def _score(rows: Sequence[_TracePair], matched: Mapping[Behavior, Mapping[str, SpanMatching]], seed: int) -> SpanScore:
    tallies = {behavior: SpanTally.sum(map(SpanTally.of, found.values())) for behavior, found in matched.items()}
    width = len(("hits", "extra", "missed"))

    def vector(row: _TracePair) -> Vector:
        values: list[float] = []
        for behavior in matched:
            found = matched[behavior].get(row.first.id)
            tally = SpanTally() if found is None else SpanTally.of(found)
            values += [tally.hits, tally.extra, tally.missed]
        return tuple(values)

    def tally_at(total: Vector, place: int) -> SpanTally:
        return SpanTally(*(int(value) for value in total[width * place : width * (place + 1)]))

    def f1_at(total: Vector, place: int) -> float | None:
        return tally_at(total, place).f1

    def macro_at(total: Vector) -> float | None:
        return macro_f1(tally_at(total, place) for place in range(len(matched)))

    clusters = cluster_sums((row.first.problem, vector(row)) for row in rows)
    places = range(len(matched))
    *each, whole = intervals(clusters, [*(partial(f1_at, place=place) for place in places), macro_at], seed=seed)
    return SpanScore(
        tallies=tallies,
        intervals=dict(zip(matched, each, strict=True)),
        macro=macro_f1(tallies.values()),
        macro_interval=whole,
    )


def _scored_spans(
    rows: Sequence[_TracePair], behavior: Behavior, matched: Mapping[str, SpanMatching]
) -> list[ScoredSpan]:
    """Return the judge's spans with their probability, without those matched to weak or repeat gold."""
    found = []
    for row in rows:
        if row.first.id in matched:
            spans, match = row.second.findings[behavior].spans, matched[row.first.id]
            found += [ScoredSpan(spans[index].score, right=True) for index, _ in match.hits]
            found += [ScoredSpan(spans[index].score, right=False) for index in match.extra]
    return found


def _mean_iou(rows: Sequence[_TracePair], behavior: Behavior, matched: Mapping[str, SpanMatching]) -> float | None:
    found: list[float] = []
    for row in rows:
        pairs = matched[row.first.id].hits if row.first.id in matched else ()
        predicted, gold = row.second.findings.get(behavior), row.first.findings.get(behavior)
        if predicted is None or gold is None:
            continue
        for i, j in pairs:
            a, b = predicted.spans[i], gold.spans[j]
            if a.start is not None and a.end is not None and b.start is not None and b.end is not None:
                found.append(intersection_over_union((a.start, a.end), (b.start, b.end)))
    return sum(found) / len(found) if found else None


def _count_pairs(rows: Sequence[_TracePair], behavior: Behavior) -> list[tuple[int, int]]:
    pairs = []
    for row in rows:
        if row.has(behavior):
            first, second = row.first.findings[behavior].count, row.second.findings[behavior].count
            assert first is not None
            assert second is not None
            pairs.append((first, second))
    return pairs


def _health(traces: Sequence[TraceFindings], behaviors: Sequence[Behavior]) -> JudgeHealth:
    alignments: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    ambiguous = differs = 0
    for trace in traces:
        for behavior in behaviors:
            findings = trace.findings.get(behavior)
            statuses["unjudged" if findings is None else findings.status] += 1
            if findings is None:
                continue
            alignments.update(span.alignment for span in findings.spans)
            ambiguous += sum(span.ambiguous for span in findings.spans)
            counting = sum(not (span.weak or span.repeat) for span in findings.spans)
            differs += findings.count is not None and findings.count != counting
    return JudgeHealth(alignments, ambiguous, statuses, differs)


def _queue(
    rows: Sequence[_TracePair], matched: Mapping[Behavior, Mapping[str, SpanMatching]]
) -> tuple[Disagreement, ...]:
    queue = []
    for row in rows:
        found = [by_trace[row.first.id] for by_trace in matched.values() if row.first.id in by_trace]
        item = Disagreement(
            id=row.first.id,
            only_reference=sum(len(one.missed) for one in found),
            only_judge=sum(len(one.extra) for one in found),
            both=sum(len(one.hits) for one in found),
        )
        if item.only_reference or item.only_judge:
            queue.append(item)
    return tuple(sorted(queue, key=lambda item: (-(item.only_reference + item.only_judge), item.id)))


def _warnings(
    reference: JudgementSource, judge: JudgementSource, rows: Sequence[_TracePair], behaviors: Sequence[Behavior]
) -> Iterable[str]:
    missing = len(reference.traces) - len(rows)
    if missing:
        yield f"{missing} of {len(reference.traces)} traces of {reference.name} are not judged by {judge.name}"
    failed = sum(not row.has(behavior) for row in rows for behavior in behaviors)
    if failed:
        total = len(rows) * len(behaviors)
        yield f"{failed} of {total} judgements failed on one side or the other; they are in no figure"


def as_data(agreement: Agreement) -> dict[str, Any]:
    """Return the comparison as plain data for `--json`. Undefined figures are null, never 0."""
    return {
        "reference": agreement.reference,
        "judge": agreement.judge,
        "judge_run": agreement.judge_run or None,
        "traces": agreement.traces,
        "problems": agreement.problems,
        "compared": dict(agreement.compared),
        "alignment": {
            "spans": sum(agreement.health.alignments.values()),
            **dict(agreement.health.alignments),
            "ambiguous": agreement.health.ambiguous,
            "statuses": dict(agreement.health.statuses),
            "count_differs": agreement.health.count_differs,
        },
        "spans": {name: _score_data(score) for name, score in agreement.scores.items()},
        "mean_iou": dict(agreement.mean_iou),
        "counts": {
            behavior: {
                "n": found.n,
                "mean_reference": found.mean_first,
                "mean_judge": found.mean_second,
                "bias": found.bias,
                "exact": found.exact,
                "mae": found.mae,
                "alpha": found.alpha,
            }
            for behavior, found in agreement.counts.items()
        },
        "presence": {
            behavior: {
                "both": found.both,
                "only_reference": found.only_first,
                "only_judge": found.only_second,
                "neither": found.neither,
                "kappa": found.kappa,
                "alpha": found.alpha,
            }
            for behavior, found in agreement.presence.items()
        },
        "calibration": {
            behavior: None
            if found is None
            else {"n": found.n, "ece": found.ece, "brier": found.brier, "bins": [one._asdict() for one in found.bins]}
            for behavior, found in agreement.calibration.items()
        },
        "disagreements": [
            {"id": item.id, "only_reference": item.only_reference, "only_judge": item.only_judge, "both": item.both}
            for item in agreement.queue
        ],
    }


def _score_data(score: SpanScore) -> dict[str, Any]:
    return {
        "macro_f1": score.macro,
        "macro_f1_interval": score.macro_interval,
        "behaviors": {
            behavior: {
                "precision": tally.precision,
                "recall": tally.recall,
                "f1": tally.f1,
                "f1_interval": score.intervals[behavior],
                "hits": tally.hits,
                "extra": tally.extra,
                "missed": tally.missed,
                "ignored": tally.ignored,
            }
            for behavior, tally in score.tallies.items()
        },
    }
