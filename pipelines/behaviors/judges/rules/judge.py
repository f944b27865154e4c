"""The rules judge: offline, deterministic, the default."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeKind, JudgeTask, judge_run
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.detect import find_behaviors
from pipelines.behaviors.judges.rules.facts import arithmetic_facts, wrong_equations
from pipelines.behaviors.judges.rules.state import SpanDraft
from pipelines.behaviors.judges.rules.tries import AttemptFact, attempts_of
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import ArithmeticFact, Behavior, JudgeRun, LabelledSpan, Span
from pipelines.tasks.protocol import RulesContext
from pipelines.tasks.registry import rules_context

RULES_VERSION: Final = "4"
"""Version of the rules; incremented when results change, and part of the id of the judge run."""

NO_CONTEXT: Final = RulesContext((), 10**40)
"""What the rules are given for a text about no numbers: they then go by language alone. No text computes the target."""

_SPANS: Final = TypeAdapter(tuple[LabelledSpan, ...])
"""Validates all spans of a trace at once, in half the time of one by one."""


@dataclass(frozen=True)
class RulesResult:
    """The spans that the rules judge found in one completion."""

    spans: tuple[LabelledSpan, ...]
    """In order of start. A weak span is a verdict on an intermediate goal; a repeat restates an instance."""
    _text: str = field(repr=False)
    _numbers: tuple[int, ...] = field(repr=False)
    _target: int = field(repr=False)
    _computations: tuple[Computation, ...] = field(repr=False)
    _found: tuple[SpanDraft, ...] = field(repr=False)

    @cached_property
    def facts(self) -> tuple[ArithmeticFact, ...]:
        """Wrong equations and illegal numbers, apart from the behaviours; computed on first use."""
        return arithmetic_facts(self._text, self._computations, self._numbers, self._target)

    @cached_property
    def attempts(self) -> tuple[AttemptFact, ...]:
        """The numbers, result and verdict of each attempt; computed on first use."""
        return attempts_of(self._text, self._computations, self._found, self._numbers, self._target)

    @cached_property
    def counts(self) -> dict[Behavior, int]:
        """Number of distinct instances of each behaviour: spans that are neither weak nor a repeat."""
        strict = [span.behavior for span in self.spans if not (span.weak or span.repeat)]
        return {behavior: strict.count(behavior) for behavior in FOUR_HABITS.names}


def judge_completion(completion: str, numbers: Sequence[int], target: int) -> RulesResult:
    """Find the four behaviours and arithmetic facts in a completion of the problem (numbers, target).

    Raises nothing, whatever the text holds. Spans are half-open code-point offsets into `completion`.
    """
    found, computations = find_behaviors(completion, numbers, target)
    spans = _SPANS.validate_python(
        [
            {
                "behavior": span.behavior,
                "start": span.start,
                "end": span.end,
                "quote": completion[span.start : span.end],
                "weak": span.weak,
                "repeat": span.repeat,
                "why": span.why,
            }
            for span in found
        ]
    )
    return RulesResult(spans, completion, tuple(numbers), target, tuple(computations), tuple(found))


def judge_problem(completion: str, task: str, problem: Mapping[str, Any]) -> RulesResult:
    """Find the behaviours in a completion of a problem of any task; see `judge_completion`.

    Args:
        task: name of the task; numbers and target come from its `rules_context`.
        problem: the problem as the task's JSON.
    """
    return judge_completion(completion, *(rules_context(task, problem) or NO_CONTEXT))


class RulesJudge:
    """The rules judge as a `Judge`."""

    @property
    def run(self) -> JudgeRun:
        """Return the judge run with the version of the rules."""
        return judge_run("rules", params={"version": RULES_VERSION})

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge the tasks in order. Writes nothing to `work`."""
        for task in tasks:
            text = task.completion
            context = rules_context(task.task, task.problem)
            found, computations = find_behaviors(text, *(context or NO_CONTEXT))
            verdicts = {behavior: _verdict(text, found, behavior) for behavior in FOUR_HABITS.names}
            yield JudgedTask(task, verdicts, _facts(text, computations, context))


def _facts(text: str, computations: Sequence[Computation], context: RulesContext | None) -> tuple[ArithmeticFact, ...]:
    """Drop facts about illegal numbers if no numbers are given; wrong equations remain."""
    if context is not None:
        return arithmetic_facts(text, computations, *context)
    return tuple(fact for computation in computations for fact in wrong_equations(text, computation))


def _verdict(completion: str, found: Sequence[SpanDraft], behavior: Behavior) -> BehaviorVerdict:
    spans = tuple(
        Span(
            start=span.start,
            end=span.end,
            quote=completion[span.start : span.end],
            weak=span.weak,
            repeat=span.repeat,
            why=span.why,
        )
        for span in found
        if span.behavior == behavior
    )
    return BehaviorVerdict("ok", sum(not (span.weak or span.repeat) for span in spans), spans)


RULES_JUDGE: Final = JudgeKind("rules for Countdown traces", lambda config: RulesJudge())
