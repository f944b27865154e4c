"""The rules judge: offline, deterministic, the default."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeKind, JudgeTask, judge_run
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.cues import read_clause
from pipelines.behaviors.judges.rules.detect import find_behaviors
from pipelines.behaviors.judges.rules.facts import arithmetic_facts, wrong_equations
from pipelines.behaviors.judges.rules.spoken import find_verb
from pipelines.behaviors.judges.rules.state import SpanDraft
from pipelines.behaviors.judges.rules.tokens import clear_tokens
from pipelines.behaviors.judges.rules.tries import attempts_of
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import ArithmeticFact, AttemptFact, Behavior, JudgeRun, LabelledSpan, Span
from pipelines.tasks.protocol import RulesContext
from pipelines.tasks.registry import rules_context

RULES_VERSION: Final = "5"
"""Version of the rules; incremented when results change, and part of the id of the judge run."""

NO_CONTEXT: Final = RulesContext((), 10**40)
"""What the rules are given for a text about no numbers: they then go by language alone. No text computes the target."""

_SPANS: Final = TypeAdapter(tuple[LabelledSpan, ...])
"""Validates all spans of a trace at once, in half the time of one by one."""


@dataclass(frozen=True)
class RulesResult:
    """What the rules judge found in one completion; each form of it is computed on first use."""

    _text: str = field(repr=False)
    _context: RulesContext | None = field(repr=False)
    _computations: tuple[Computation, ...] = field(repr=False)
    _found: tuple[SpanDraft, ...] = field(repr=False)

    @cached_property
    def spans(self) -> tuple[LabelledSpan, ...]:
        """The spans in order of start. A weak one is about an intermediate goal; a repeat restates an instance."""
        return _SPANS.validate_python(
            [{"behavior": span.behavior} | _span_fields(self._text, span) for span in self._found]
        )

    @cached_property
    def facts(self) -> tuple[ArithmeticFact, ...]:
        """Wrong equations and, if numbers are given, illegal numbers; apart from the behaviours."""
        if self._context is not None:
            return arithmetic_facts(self._text, self._computations, *self._context)
        return tuple(fact for computation in self._computations for fact in wrong_equations(self._text, computation))

    @cached_property
    def attempts(self) -> tuple[AttemptFact, ...]:
        """The numbers, result and verdict of each attempt; none if no numbers are given."""
        if self._context is None:
            return ()
        return attempts_of(self._text, self._computations, self._found, *self._context)

    @cached_property
    def counts(self) -> dict[Behavior, int]:
        """Number of distinct instances of each behaviour: spans that are neither weak nor a repeat."""
        strict = [span.behavior for span in self._found if not (span.weak or span.repeat)]
        return {behavior: strict.count(behavior) for behavior in FOUR_HABITS.names}

    def verdicts(self) -> dict[Behavior, BehaviorVerdict]:
        """Return the verdict on each of the four behaviours."""
        return {
            behavior: BehaviorVerdict(
                "ok",
                self.counts[behavior],
                tuple(Span(**_span_fields(self._text, span)) for span in self._found if span.behavior == behavior),
            )
            for behavior in FOUR_HABITS.names
        }


def _span_fields(text: str, span: SpanDraft) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "quote": text[span.start : span.end],
        "weak": span.weak,
        "repeat": span.repeat,
        "why": span.why,
    }


def judge_completion(completion: str, numbers: Sequence[int], target: int) -> RulesResult:
    """Find the four behaviours and arithmetic facts in a completion of the problem (numbers, target).

    Raises nothing, whatever the text holds. Spans are half-open code-point offsets into `completion`.
    """
    return _judge_context(completion, RulesContext(tuple(numbers), target))


def clear_caches() -> None:
    """Forget all clauses, words and tokens met so far, for measurements of the first traces of a process."""
    read_clause.cache_clear()
    find_verb.cache_clear()
    clear_tokens()


def judge_problem(completion: str, task: str, problem: Mapping[str, Any]) -> RulesResult:
    """Find the behaviours in a completion of a problem of any task; see `judge_completion`.

    Args:
        completion: the text.
        task: name of the task; numbers and target come from its `rules_context`.
        problem: the problem as the task's JSON.
    """
    return _judge_context(completion, rules_context(task, problem))


def _judge_context(completion: str, context: RulesContext | None) -> RulesResult:
    found, computations = find_behaviors(completion, *(context or NO_CONTEXT))
    return RulesResult(completion, context, tuple(computations), tuple(found))


class RulesJudge:
    """The rules judge as a `Judge`."""

    @property
    def run(self) -> JudgeRun:
        """Return the judge run with the version of the rules."""
        return judge_run("rules", params={"version": RULES_VERSION})

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge the tasks in order. Writes nothing to `work`."""
        for task in tasks:
            result = judge_problem(task.completion, task.task, task.problem)
            yield JudgedTask(task, result.verdicts(), result.facts, result.attempts)


RULES_JUDGE: Final = JudgeKind("rules for Countdown traces", lambda config: RulesJudge())
