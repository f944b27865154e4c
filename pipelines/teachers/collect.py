"""From a teacher's outcomes to a scored set of distinct traces, with everything counted."""

import hashlib
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import InvalidInput
from pipelines.records import Behavior, rollout_id
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask, problem_json
from pipelines.teachers.adherence import ConditionAdherence
from pipelines.teachers.conditions import CONDITIONS
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.teacher import DroppedTrace, Teacher, TraceRequest
from pipelines.traces import PrimingTrace

SPLIT: Final = "priming"

_DISTINCT_DRAWS: Final = 10
"""Draws per wanted trace in which a repeated trace is refused; small problem sets run out of new ones."""
_MAX_DRAWS: Final = 20
"""Draws per wanted trace before the set is left short."""


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """How a teacher is asked for a set."""

    distinct_draws: float = _DISTINCT_DRAWS
    max_draws: float = _MAX_DRAWS
    """Draws per wanted trace before the set is left short."""
    over_request: float = 0.0
    """Share asked for beyond what is missing."""
    drop_violations: bool = False
    """Whether a trace that breaks its condition is dropped."""


@dataclass(slots=True)
class PrimingSetStats:
    """Counts of a set in the making, for `result.json`."""

    drops: Counter[str] = field(default_factory=Counter)
    """Requests and source traces that gave no trace, by reason."""
    n: int = 0
    correct: int = 0
    answered: int = 0
    reward: float = 0.0
    characters: int = 0
    repeats: int = 0
    """Traces that equal an earlier one of the set."""
    redraws: int = 0
    failed_attempts: list[int] = field(default_factory=list)
    behaviors: Counter[Behavior] = field(default_factory=Counter)
    present: Counter[Behavior] = field(default_factory=Counter)
    unwanted: int = 0
    """Traces that show a behaviour their condition forbids."""
    incomplete: int = 0
    """Traces that lack a behaviour their condition asks for."""
    notes: Counter[str] = field(default_factory=Counter)
    """Other things worth counting, by name."""
    received: ConditionAdherence | None = None
    """Of all that a teacher wrote, what was dropped too."""
    judged: bool = False
    """The spans are a judge's and not the teacher's own: weak ones are then no fault."""
    warnings: list[str] = field(default_factory=list)

    def count(self, trace: PrimingTrace) -> None:
        """Takes a finished trace into account."""
        self.n += 1
        self.correct += trace.correct
        self.answered += trace.answer is not None
        self.reward += trace.reward
        self.characters += len(trace.completion)
        strict = Counter(span.behavior for span in trace.spans if not (span.weak or span.repeat))
        self.behaviors.update(strict)
        self.present.update(strict.keys())
        condition = CONDITIONS[trace.condition]
        failed = trace.meta.get("failed_attempts")
        self.unwanted += bool(condition.unwanted(trace.spans, weak=not self.judged))
        self.incomplete += bool(condition.missing(trace.spans, failed))
        self.redraws += int(trace.meta.get("redraws", 0))
        if failed is not None:
            self.failed_attempts.append(int(failed))

    def result(self) -> dict[str, Any]:
        """What the stage reports. Means are None where there is nothing to average."""

        def mean(total: float, n: int) -> float | None:
            return total / n if n else None

        return {
            "n": self.n,
            "accuracy": mean(self.correct, self.n),
            "answered": mean(self.answered, self.n),
            "mean_reward": mean(self.reward, self.n),
            "mean_characters": mean(self.characters, self.n),
            "mean_failed_attempts": mean(sum(self.failed_attempts), len(self.failed_attempts)),
            "behaviors": {
                behavior: {
                    "mean": mean(self.behaviors[behavior], self.n),
                    "present": mean(self.present[behavior], self.n),
                }
                for behavior in FOUR_HABITS.names
            },
            "adherence": {"unwanted": self.unwanted, "incomplete": self.incomplete},
            **({"received": self.received.result()} if self.received is not None else {}),
            "repeats": self.repeats,
            "redraws": self.redraws,
            "dropped": dict(sorted(self.drops.items())),
            **({"notes": dict(sorted(self.notes.items()))} if self.notes else {}),
            **({"warnings": self.warnings} if self.warnings else {}),
        }


def score_trace(
    task: CountdownTask,
    problem: Problem,
    written: WrittenTrace,
    *,
    key: str,
    index: int,
    condition: str,
    teacher: str,
    prompt: str | None = None,
) -> PrimingTrace:
    """A trace with the task's own score, and an id that depends on its place in the set `key` alone."""
    score = task.score(written.completion, problem)
    return PrimingTrace(
        id=rollout_id(key, SPLIT, 0, problem.id, index),
        problem_id=problem.id,
        condition=condition,
        teacher=teacher,
        task=task.name,
        problem=problem_json(problem),
        prompt=task.prompt(problem) if prompt is None else prompt,
        completion=written.completion,
        spans=written.spans,
        reward=score.reward,
        correct=score.correct,
        answer=score.answer,
        meta=written.meta,
    )


def collect(
    teacher: Teacher,
    task: CountdownTask,
    problems: Sequence[Problem],
    *,
    condition: str,
    n: int,
    seed: int,
    key: str,
    work: Path,
    stats: PrimingSetStats,
    settings: CollectionSettings = CollectionSettings(),
) -> Iterator[PrimingTrace]:
    """Asks a teacher for traces until there are `n` distinct ones, and yields each as it comes.

    Problems take turns in a shuffled order, so that each has about as many traces as any other. A trace that
    repeats an earlier one is dropped and asked for again; once ten draws per wanted trace are spent, repeats are
    kept and counted, since the set must not be smaller than that of another condition. Drops and repeats go into
    `stats`; the traces themselves do not: the caller counts what it keeps.

    Raises:
        InvalidInput: there are no problems, or the teacher gave no trace at all.
    """
    if not problems:
        raise InvalidInput("there are no training problems to write traces for")
    order = list(problems)
    random.Random(f"order {seed}").shuffle(order)
    seen: set[bytes] = set()
    accepted = drawn = 0
    stats.received = ConditionAdherence(condition)
    most = math.ceil(settings.max_draws * n)
    while accepted < n and drawn < most:
        missing = range(drawn, min(most, drawn + math.ceil((n - accepted) * (1 + settings.over_request))))
        requests = (
            TraceRequest(index, order[index % len(order)], condition, f"{seed} {condition} {index}")
            for index in missing
        )
        drawn = missing.stop
        with closing(teacher.answer(requests, work)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome.result, DroppedTrace):
                    stats.drops[outcome.result.reason] += 1
                    continue
                if accepted == n:
                    break
                problem, written = outcome.request.problem, outcome.result
                kept = stats.received.check(written.spans, written.meta.get("failed_attempts"))
                if settings.drop_violations and not kept:
                    stats.drops["breaks_condition"] += 1
                    continue
                mark = hashlib.sha256(f"{problem.id}\n{written.completion}".encode("utf-8", "surrogatepass")).digest()
                if mark in seen:
                    if outcome.request.index < settings.distinct_draws * n:
                        stats.drops["repeat"] += 1
                        continue
                    stats.repeats += 1
                seen.add(mark)
                written.meta["seed"] = outcome.request.seed
                index = outcome.request.index
                yield score_trace(
                    task, problem, written, key=key, index=index, condition=condition, teacher=teacher.name
                )
                accepted += 1
    if not accepted:
        raise InvalidInput(
            f"no trace of {drawn} asked for could be written for {condition}",
            detail=", ".join(f"{reason}: {count}" for reason, count in stats.drops.items()),
            remedy="Allow more failed attempts, or choose problems that whole-number arithmetic can solve.",
        )
    if accepted < n:
        stats.warnings.append(f"only {accepted:,} of {n:,} traces could be had in {drawn:,} requests")
