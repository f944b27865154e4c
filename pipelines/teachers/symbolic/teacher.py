"""The symbolic teacher: a real search, put into words, with the exact span of every behaviour."""

import random
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.conditions import CONDITIONS, Condition
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.symbolic import lexicon
from pipelines.teachers.symbolic.arithmetic import Calculator
from pipelines.teachers.symbolic.linear import LinearPaths
from pipelines.teachers.symbolic.plain_style import write_plain
from pipelines.teachers.symbolic.search import Searcher, SearchRecord, Strategy, with_illegal_line
from pipelines.teachers.symbolic.varied_style import VariedWriter
from pipelines.teachers.teacher import DroppedTrace, TraceOutcome, TraceRequest

_REDRAWS: Final = 100
"""Searches for one trace before its request is dropped."""

DropReason = Literal["unsolved", "no_plan", "too_few_failures", "no_whole_solution", "too_long", "no_illegal_line"]


@dataclass(frozen=True, slots=True)
class SymbolicWritingConfig:
    """Settings of the symbolic teacher; fields as in `PrimingDataConfig`."""

    style: str = "varied"
    failed_attempts: tuple[int, int] = (0, 10)
    unsolved: Literal["redraw", "keep"] = "redraw"
    linear_correct: float = 1.0
    max_words: int | None = None


class SymbolicTeacher:
    """Writes traces for the problems of one task. It caches arithmetic and solutions, so keep one instance."""

    name = "symbolic"

    def __init__(self, task: CountdownTask, writing: SymbolicWritingConfig = SymbolicWritingConfig()) -> None:
        if writing.style not in lexicon.STYLES:
            raise InvalidInput(
                f"the teacher has no style {writing.style!r}", remedy=f"Styles: {', '.join(lexicon.STYLES)}."
            )
        self.task = task
        self.writing = writing
        self.calculator = Calculator(task.arithmetic, negative=writing.style != "plain")
        self._linear = LinearPaths(self.calculator)

    def answer(self, requests: Iterable[TraceRequest], work: Path) -> Generator[TraceOutcome]:
        """Yield outcomes in order; nothing is kept in `work`, since repeated requests give equal traces."""
        for request in requests:
            yield TraceOutcome(request, self.write(request.problem, request.condition, random.Random(request.seed)))

    def write(
        self, problem: Problem, condition: str, rng: random.Random, *, illegal_line: bool = False
    ) -> WrittenTrace | DroppedTrace:
        """Write one trace; return the reason if there is none.

        Args:
            problem: the problem.
            condition: name of a condition that teachers write.
            rng: equal states give equal traces, which differ in the last line only with `illegal_line`.
            illegal_line: make the answer wrong: the line that reaches the target uses a number that was not given.
        """
        asked = CONDITIONS[condition]
        if asked.origin != "written":
            raise InvalidInput(f"no teacher writes the condition {condition}: it is {asked.origin}")
        reason: DropReason = "unsolved"
        for draw in range(_REDRAWS):
            seeds = [rng.getrandbits(64) for _ in range(3)]
            found = self._search(problem, asked, random.Random(seeds[0]))
            if not isinstance(found, SearchRecord):
                reason = found
                continue
            written = self._put_in_words(problem, found, asked, draw, random.Random(seeds[2]))
            if self.writing.max_words is not None and written.meta["words"] > self.writing.max_words:
                reason = "too_long"
                continue
            if illegal_line:
                wrong = with_illegal_line(found, self.calculator, random.Random(seeds[1]))
                if wrong is None:
                    return DroppedTrace("no_illegal_line")
                return self._put_in_words(problem, wrong, asked, draw, random.Random(seeds[2]))
            return written
        return DroppedTrace(reason)

    def _search(self, problem: Problem, condition: Condition, rng: random.Random) -> SearchRecord | DropReason:
        if condition.linear:
            right = rng.random() < self.writing.linear_correct
            line = self._linear.right if right else self._linear.wrong
            return line(problem.numbers, problem.target, rng) or "no_whole_solution"
        # An attempt cut short has its verdict against the subgoal; a set that may end unsolved keeps to real ones.
        cut_short = self.writing.style == "varied" and self.writing.unsolved == "redraw" and rng.random() < 0.3
        fewest, most = self.writing.failed_attempts
        search = Searcher(
            problem.numbers,
            problem.target,
            self.calculator,
            rng,
            strategy=_strategy(condition),
            most_failed=most,
            complete="verification" in condition.behaviors and not cut_short,
            tame=self.writing.style != "plain",
        ).run()
        if search.answer is None and self.writing.unsolved == "redraw":
            return "unsolved"
        if not search.planned and _strategy(condition) != "direct":
            return "no_plan"
        return search if search.failed >= fewest else "too_few_failures"

    def _put_in_words(
        self, problem: Problem, search: SearchRecord, condition: Condition, draw: int, rng: random.Random
    ) -> WrittenTrace:
        space_first = not self.task.prompt(problem)[-1:].isspace()
        close_thought = self.task.opens_thought
        meta: dict[str, Any] = {"style": self.writing.style, "failed_attempts": search.failed, "redraws": draw}
        if self.writing.style == "plain":
            operations = self.task.arithmetic.operations
            words = write_plain(
                search, condition.behaviors, operations=operations, space_first=space_first, close_thought=close_thought
            )
            return words.finish({**meta, "words": words.words})
        writer = VariedWriter(search, condition.behaviors, self.calculator, rng)
        draft = writer.write(space_first=space_first, close_thought=close_thought)
        return draft.finish({**meta, "words": len(draft.text().split()), "layout": writer.look.layout})


def _strategy(condition: Condition) -> Strategy:
    if not condition.behaviors & {"subgoal", "backward_chaining"}:
        return "direct"
    return "mixed" if "verification" in condition.behaviors else "planned"
