"""The rules judge: offline, deterministic, the default. What it knows is in this package."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from pipelines.behaviors.judge import BehaviorVerdict, Judged, JudgeKind, JudgeTask, judge_run
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.detect import find_behaviors
from pipelines.behaviors.judges.rules.facts import arithmetic_facts
from pipelines.behaviors.judges.rules.state import Found
from pipelines.behaviors.judges.rules.tries import AttemptFact, attempts_of
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import ArithmeticFact, Behavior, JudgeRun, LabelledSpan, Span

RULES_VERSION: Final = "3"
"""Goes up whenever the rules find anything else than before; part of the judge run's id."""


_SPANS: Final = TypeAdapter(tuple[LabelledSpan, ...])
"""Builds all spans of a trace at once, half as long as one by one."""


@dataclass(frozen=True)
class RulesResult:
    """What the rules judge found in one completion."""

    spans: tuple[LabelledSpan, ...]
    """In order of start. A weak one is a verdict on an intermediate goal; a repeat says the same again."""
    _text: str = field(repr=False)
    _numbers: tuple[int, ...] = field(repr=False)
    _target: int = field(repr=False)
    _computations: tuple[Computation, ...] = field(repr=False)
    _found: tuple[Found, ...] = field(repr=False)

    @cached_property
    def facts(self) -> tuple[ArithmeticFact, ...]:
        """Wrong equations and illegal numbers, apart from the behaviours; worked out when first asked for."""
        return arithmetic_facts(self._text, self._computations, self._numbers, self._target)

    @cached_property
    def attempts(self) -> tuple[AttemptFact, ...]:
        """What each attempt used, came to and was said of; worked out when first asked for."""
        return attempts_of(self._text, self._computations, self._found, self._numbers, self._target)

    @cached_property
    def counts(self) -> dict[Behavior, int]:
        """Number of distinct instances of each behaviour: spans that are neither weak nor a repeat."""
        strict = [span.behavior for span in self.spans if not (span.weak or span.repeat)]
        return {behavior: strict.count(behavior) for behavior in FOUR_HABITS.names}


def judge_completion(completion: str, numbers: Sequence[int], target: int) -> RulesResult:
    """Finds the four behaviours, and arithmetic facts, in a completion of the problem (numbers, target).

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


class RulesJudge:
    """The rules behind the judge interface."""

    @property
    def run(self) -> JudgeRun:
        """Who judges: the rules of this version."""
        return judge_run("rules", params={"version": RULES_VERSION})

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[Judged]:
        """Judges in order; keeps nothing in `work`."""
        for task in tasks:
            text = task.completion
            found, computations = find_behaviors(text, task.numbers, task.target)
            verdicts = {behavior: _verdict(text, found, behavior) for behavior in FOUR_HABITS.names}
            yield Judged(task, verdicts, arithmetic_facts(text, computations, task.numbers, task.target))


def _verdict(completion: str, found: Sequence[Found], behavior: Behavior) -> BehaviorVerdict:
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
