"""Collection of a set of distinct, scored traces from a teacher, with counts of everything kept and dropped."""

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
"""Requests per wanted trace after which repeated traces are accepted, as small problem sets run out of new ones."""
_MAX_DRAWS: Final = 20
"""Requests per wanted trace after which the set stays short."""


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """Limits on the requests to a teacher, and which traces are dropped."""

    distinct_draws: float = _DISTINCT_DRAWS
    max_draws: float = _MAX_DRAWS
    """Requests per wanted trace after which the set stays short."""
    over_request: float = 0.0
    """Fraction of traces requested beyond those missing."""
    drop_violations: bool = False
    """Whether to drop traces that violate their condition."""


@dataclass(slots=True)
class PrimingSetStats:
    """Counts of a set of traces, for `result.json`."""

    drops: Counter[str] = field(default_factory=Counter)
    """Number of requests and source traces without a trace, by reason."""
    n: int = 0
    correct: int = 0
    answered: int = 0
    reward: float = 0.0
    characters: int = 0
    repeats: int = 0
    """Number of traces equal to an earlier one."""
    redraws: int = 0
    failed_attempts: list[int] = field(default_factory=list)
    behaviors: Counter[Behavior] = field(default_factory=Counter)
    present: Counter[Behavior] = field(default_factory=Counter)
    unwanted: int = 0
    """Number of traces that show a behaviour their condition forbids."""
    incomplete: int = 0
    """Number of traces that lack a behaviour their condition requires."""
    notes: Counter[str] = field(default_factory=Counter)
    """Further counts, by name."""
    received: ConditionAdherence | None = None
    """Adherence of all traces a teacher wrote, including dropped ones."""
    judged: bool = False
    """Whether spans come from a judge instead of the teacher; weak spans then violate no condition."""
    warnings: list[str] = field(default_factory=list)

    def count(self, trace: PrimingTrace) -> None:
        """Count a finished trace."""
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
        """Return the counts for `result.json`. The mean of nothing is None."""

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
    """Score a trace and give it an id, which follows from the set's `key`, the problem and `index`."""
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
    """Request traces from a teacher until there are `n` distinct ones; yield each as it arrives.

    Problems take turns in a shuffled order, so that all have about as many traces. A repeated trace is dropped and
    requested again. After ten requests per wanted trace, repeats are kept and counted, because the sets of all
    conditions must be equally large. `stats` counts drops and repeats; the caller counts the traces it keeps.

    Raises:
        InvalidInput: no problems, or the teacher wrote no trace at all.
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
            f"none of {drawn} requested traces could be written for {condition}",
            detail=", ".join(f"{reason}: {count}" for reason, count in stats.drops.items()),
            remedy="Allow more failed attempts, or choose problems that whole-number arithmetic can solve.",
        )
    if accepted < n:
        stats.warnings.append(f"only {accepted:,} of {n:,} traces were written in {drawn:,} requests")
