"""Data of the trace view: one judge run's spans and counts, and facts about the problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cogtui.app.rendering.highlight import sort_placed_spans
from cogtui.store import RolloutDetail
from cogtui.store.values.types import BehaviorJudgement
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_in_use
from pipelines.records import ArithmeticFact, Behavior, JudgeRun, LabelledSpan
from pipelines.tasks.registry import explain_reason, score_problem, solve_problem


@dataclass(frozen=True, slots=True)
class JudgeRunView:
    """One judge run's spans and counts for a rollout."""

    run: JudgeRun | None
    """None while nobody has judged the rollout."""
    spans: tuple[LabelledSpan, ...]
    """Spans with a place in the text, in the order of `highlight.sort_placed_spans`."""
    lost: tuple[LabelledSpan, ...]
    """Spans whose quote was not found in the text; all spans if another text was judged."""
    judgements: tuple[BehaviorJudgement, ...]
    stale: bool
    """Whether the judge saw another text."""
    counts: Mapping[Behavior, int] | None = None
    """Counts of the rules judge when it was run live, without stored judgements."""

    @property
    def behaviors(self) -> tuple[Behavior, ...]:
        """The behaviours to show: those of the set that was judged, the four habits while nobody judged it."""
        return behaviors_in_use(judgement.behavior for judgement in self.judgements)

    def count(self, behavior: Behavior) -> str:
        """Return the count as shown: a number, the status of a failed judgement, or a dash."""
        if self.counts is not None:
            return str(self.counts[behavior])
        for judgement in self.judgements:
            if judgement.behavior == behavior:
                return str(judgement.count) if judgement.count is not None else judgement.status
        return "–"


EMPTY_VIEW: Final = JudgeRunView(None, (), (), (), False)
"""The view of a rollout that is not loaded yet."""


def view_judge_run(detail: RolloutDetail, run: int = 0, now: RulesJudgement | None = None) -> JudgeRunView:
    """Return the view of one judge run of a rollout, or of the live rules judge if nobody judged the rollout."""
    if not detail.judge_runs:
        if now is None:
            return EMPTY_VIEW
        return JudgeRunView(LIVE_RULES_RUN, tuple(sort_placed_spans(now.spans)), (), (), False, now.counts)
    chosen = detail.judge_runs[run % len(detail.judge_runs)]
    judgements = tuple(judgement for judgement in detail.judgements if judgement.judge_run == chosen.id)
    stale = any(judgement.stale for judgement in judgements)
    spans = [
        LabelledSpan(behavior=judgement.behavior, **span.model_dump())
        for judgement in judgements
        for span in judgement.spans
    ]
    length = len(detail.completion)
    fits = [not stale and span.end is not None and span.end <= length for span in spans]
    found = sort_placed_spans(span for span, inside in zip(spans, fits, strict=True) if inside)
    lost = [span for span, inside in zip(spans, fits, strict=True) if not inside]
    return JudgeRunView(chosen, tuple(found), _by_behavior(lost), judgements, stale)


def _by_behavior(spans: Sequence[LabelledSpan]) -> tuple[LabelledSpan, ...]:
    return tuple(sorted(spans, key=lambda span: BEHAVIORS.index(span.behavior)))


@dataclass(frozen=True, slots=True)
class RulesJudgement:
    """Spans, counts and arithmetic facts that the rules judge of this version finds in a completion."""

    spans: tuple[LabelledSpan, ...]
    counts: Mapping[Behavior, int]
    facts: tuple[ArithmeticFact, ...]
    """Wrong equations and illegal numbers."""


LIVE_RULES_RUN: Final = JudgeRun(id="", judge="rules, live")
"""Shown instead of a judge run if a rollout is not judged."""
_LONGEST: Final = 500_000


def rules_judgement(detail: RolloutDetail) -> RulesJudgement | None:
    """Return the stored judgement of the rules judge, or run the judge if this version of it has none.

    Returns:
        None for a completion that would take seconds to judge, and for documents, which have no target.
    """
    if len(detail.completion) > _LONGEST or detail.row.is_document:
        return None
    from pipelines.behaviors.judges.rules.judge import RulesJudge, judge_problem

    stored = _stored_judgement(detail, RulesJudge().run.id)
    if stored is not None:
        return stored
    result = judge_problem(detail.completion, detail.row.task, detail.row.problem)
    return RulesJudgement(result.spans, result.counts, result.facts)


def _stored_judgement(detail: RolloutDetail, run: str) -> RulesJudgement | None:
    """Return what a judge run stored about this text; None if a behaviour is missing or another text was judged."""
    judged = [one for one in detail.judgements if one.judge_run == run and one.count is not None and not one.stale]
    counts = {one.behavior: one.count for one in judged if one.count is not None}
    if not counts.keys() >= set(FOUR_HABITS.names):
        return None
    spans = [LabelledSpan(behavior=one.behavior, **span.model_dump()) for one in judged for span in one.spans]
    facts = tuple(fact for one in judged for fact in one.facts)
    return RulesJudgement(tuple(sort_placed_spans(spans)), counts, facts)


@dataclass(frozen=True, slots=True)
class ProblemFacts:
    """Facts about the answer, computed outside the event loop."""

    value: str | None
    """Exact value of the answer."""
    verdict: str
    """The verdict of the published rule on the answer, in words."""
    disputed: bool
    """Whether the run scored the answer differently, for example by its own rules."""
    solution: str | None
    """One way to reach the target; None where there is none."""


def problem_facts(detail: RolloutDetail) -> ProblemFacts | None:
    """Ask the task of a rollout about its answer and for a solution; None where no such task is installed."""
    if detail.row.is_document:
        return None
    row = detail.row
    score = score_problem(row.task, detail.completion, row.problem)
    if score is None:
        return None
    value = None if score.value is None else str(score.value)
    verdict = explain_reason(row.task, score.reason)
    disputed = row.correct not in (None, score.correct)
    return ProblemFacts(value, verdict, disputed, solve_problem(row.task, row.problem))
