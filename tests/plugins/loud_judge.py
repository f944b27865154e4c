"""A judge of an outside package, in one file: every exclamation mark is a verification."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeKind, JudgeTask, judge_run
from pipelines.records import Span


class LoudJudge:
    """Judges the four habits; `config` is that of the judge stage."""

    def __init__(self, config: Any = None) -> None:
        self.run = judge_run("loud", params={"version": "1"})

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge the completions one after the other."""
        for task in tasks:
            places = [at for at, sign in enumerate(task.completion) if sign == "!"]
            spans = tuple(Span(start=at, end=at + 1, quote="!") for at in places)
            nothing = BehaviorVerdict("ok", 0)
            verdicts = dict.fromkeys(("backtracking", "subgoal", "backward_chaining"), nothing)
            yield JudgedTask(task, {"verification": BehaviorVerdict("ok", len(spans), spans), **verdicts})


LOUD = JudgeKind("exclamation marks", LoudJudge)
