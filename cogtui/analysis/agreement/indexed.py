"""Comparison of two judges over an index, on a sample where there are many rollouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cogtui.analysis.agreement.measures import (
    Agreement,
    BehaviorFinding,
    JudgementSource,
    TraceFindings,
    measure_agreement,
)
from cogtui.analysis.agreement.ordering import GroupOrdering, compare_orderings
from cogtui.analysis.agreement.panel import PanelAgreement, measure_panel
from cogtui.analysis.agreement.sources import (
    LabelledTexts,
    TextToJudge,
    findings_from_spans,
    is_independent,
    read_gold_source,
)
from cogtui.store import RolloutDetail, Store
from cogtui.store.values.types import BehaviorJudgement
from pipelines.errors import CogtuiError, Interrupted, InvalidInput
from pipelines.records import Behavior, JudgeRun

DEFAULT_SAMPLE_SIZE: Final = 500
"""Number of traces compared unless the user asks for more."""
_PAIR: Final = 2
ProgressCallback = Callable[[int, int], None]
"""Called with the number of traces read and the total; may raise `Interrupted`."""


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """One of the two sides of a comparison."""

    kind: Literal["run", "rules", "gold"]
    """A judge run of the index, the rules judge run live, or a gold file."""
    name: str
    """The name shown on screens."""
    run: str = ""
    """Id of a judge run."""
    path: str = ""
    """Path of a gold file."""


@dataclass(frozen=True, slots=True)
class JudgeComparison:
    """The result of comparing two judges."""

    reference: JudgementSource
    judge: JudgementSource
    agreement: Agreement
    checkpoints: Mapping[Behavior, GroupOrdering]
    """How both sides order the groups of condition and step."""
    conditions: Mapping[Behavior, GroupOrdering]
    """How both sides order the conditions, all steps together."""
    texts: Mapping[str, TextToJudge]
    """The traces in the queue by id."""
    total: int
    """Number of traces available for the comparison; `agreement.traces` of them were compared."""


def compare_sides(
    store: Store, first: ComparisonSide, second: ComparisonSide, *, limit: int, report: ProgressCallback
) -> JudgeComparison:
    """Compare two sides over the rollouts of a store, or over the traces of a gold file.

    Args:
        store: of the thread this runs in.
        first: the reference.
        second: the judge measured.
        limit: traces at most; a sample where there are more.
        report: progress.

    Raises:
        InvalidInput: the two cannot be compared; says why. Also what reading a gold file raises.
        Interrupted: from `report`.
    """
    sides = (first, second)
    texts: dict[str, TextToJudge] = {}
    conditions: dict[str, str] = {}
    found: tuple[dict[str, TraceFindings], dict[str, TraceFindings]] = ({}, {})
    total, walked = _walk(store, sides, limit)
    for done, compared in enumerate(walked, start=1):
        text = compared.text
        texts[text.id], conditions[text.id] = text, compared.condition
        for traces, one in zip(found, (compared.reference, compared.judge), strict=True):
            if one:
                traces[text.id] = TraceFindings(text.id, text.problem_id, one, text.group)
        report(done, min(total, limit))
    reference = JudgementSource(first.name, found[0], first.run)
    judge = JudgementSource(second.name, found[1], second.run)
    agreement = measure_agreement(reference, judge)
    queued = {item.id for item in agreement.queue}
    return JudgeComparison(
        reference=reference,
        judge=judge,
        agreement=agreement,
        checkpoints=compare_orderings(reference, judge),
        conditions=compare_orderings(reference, judge, lambda trace: conditions[trace.id]),
        texts={name: text for name, text in texts.items() if name in queued},
        total=total,
    )


def compare_all(store: Store, *, limit: int, name_of: Callable[[JudgeRun], str]) -> PanelAgreement | None:
    """Compare all judge runs and people of an index with each other.

    Final labels and repetitions of a model are left out: they are made of others, or are one judge twice.

    Args:
        store: of the thread this runs in.
        limit: traces at most. Those that people labelled come first; without any, a sample of the largest judge run.
        name_of: the name of a judge run; runs of one name are told apart by their ids.

    Returns:
        None with fewer than two judges.
    """
    summaries = [one for one in store.judge_summaries() if is_independent(one.run)]
    if len(summaries) < _PAIR:
        return None
    ids = store.existing(store.final_labels())[:limit]
    if not ids:
        _, ids = store.judged_in_common([summaries[0].run.id], limit=limit)
    names = [name_of(one.run) for one in summaries]
    traces: dict[str, dict[str, TraceFindings]] = {one.run.id: {} for one in summaries}
    for detail in _details(store, ids):
        for run, found in traces.items():
            findings = _findings_of_run(detail.judgements, run)
            if findings:
                found[detail.row.id] = TraceFindings(detail.row.id, detail.row.problem_id, findings)
    sources = [
        JudgementSource(name if names.count(name) == 1 else f"{name} {one.run.id}", traces[one.run.id], one.run.id)
        for name, one in zip(names, summaries, strict=True)
        if traces[one.run.id]
    ]
    return measure_panel(sources) if len(sources) >= _PAIR else None


class _ComparedText(NamedTuple):
    """A trace of the sample with the findings of both sides; empty findings if a side did not judge it."""

    text: TextToJudge
    condition: str
    reference: Mapping[Behavior, BehaviorFinding]
    judge: Mapping[Behavior, BehaviorFinding]


def _walk(
    store: Store, sides: tuple[ComparisonSide, ComparisonSide], limit: int
) -> tuple[int, Iterator[_ComparedText]]:
    """Return the number of traces, and for each trace of a sample its text, condition and both sides' findings."""
    gold = [side for side in sides if side.kind == "gold"]
    if gold:
        traces = read_gold_source(Path(gold[0].path))
        others = [read_gold_source(Path(side.path)) for side in gold[1:]]
        return len(traces.texts), _over_gold(store, sides, [traces, *others], limit)
    runs = [side.run for side in sides if side.kind == "run"]
    if not runs:
        raise InvalidInput("both sides are the rules judge", remedy="Choose another judge.")
    total, ids = store.judged_in_common(runs, limit=limit)
    return total, _over_rollouts(store, sides, ids)


def _over_rollouts(
    store: Store, sides: tuple[ComparisonSide, ComparisonSide], ids: list[str]
) -> Iterator[_ComparedText]:
    for detail in _details(store, ids):
        row = detail.row
        condition = row.condition or ""
        group = " ".join([*([condition] if condition else []), row.split, f"step {row.step}"])
        text = TextToJudge(row.id, row.task, row.problem, detail.completion, group)
        reference, judge = (_findings_of(side, text, detail) for side in sides)
        yield _ComparedText(text, condition, reference, judge)


def _details(store: Store, ids: list[str]) -> Iterator[RolloutDetail]:
    for name in ids:
        try:
            yield store.rollout(name)
        except CogtuiError:
            continue  # deleted since the sample was drawn; left out of the figures


def _over_gold(
    store: Store, sides: tuple[ComparisonSide, ComparisonSide], golds: list[LabelledTexts], limit: int
) -> Iterator[_ComparedText]:
    sources = [gold.source() for gold in golds]
    for text in golds[0].texts[:limit]:
        detail = _rollout_like(store, text) if any(side.kind == "run" for side in sides) else None
        findings: list[Mapping[Behavior, BehaviorFinding]] = []
        files = iter(sources)
        for side in sides:
            if side.kind == "gold":
                trace = next(files).traces.get(text.id)
                findings.append({} if trace is None else trace.findings)
            else:
                findings.append({} if detail is None and side.kind == "run" else _findings_of(side, text, detail))
        yield _ComparedText(text, "", *findings)


def _rollout_like(store: Store, text: TextToJudge) -> RolloutDetail | None:
    """Return the rollout of a gold trace, found by id if the text is the same, else by the text."""
    try:
        detail = store.rollout(text.id)
        if detail.row.id == text.id and detail.completion == text.text:
            return detail
    except CogtuiError:
        pass
    name = store.same_text(text.problem, text.text)
    return None if name is None else store.rollout(name)


def _findings_of(
    side: ComparisonSide, text: TextToJudge, detail: RolloutDetail | None
) -> Mapping[Behavior, BehaviorFinding]:
    if side.kind == "rules":
        from pipelines.behaviors.judges.rules.judge import judge_problem

        return findings_from_spans(judge_problem(text.text, text.task, text.problem).spans)
    return {} if detail is None else _findings_of_run(detail.judgements, side.run)


def _findings_of_run(judgements: tuple[BehaviorJudgement, ...], run: str) -> Mapping[Behavior, BehaviorFinding]:
    """Return the findings of a judge run, without those that belong to another text."""
    return {
        one.behavior: BehaviorFinding(one.status, one.count, one.spans)
        for one in judgements
        if one.judge_run == run and not one.stale
    }


__all__ = ["DEFAULT_SAMPLE_SIZE", "ComparisonSide", "Interrupted", "JudgeComparison", "compare_sides"]
