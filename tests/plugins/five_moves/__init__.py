"""A behaviour set of an outside package, in one folder: `set.toml`, prompts, and a judge that looks for phrases."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeKind, JudgeTask, judge_run
from pipelines.records import Span

PHRASES = {
    "restatement": r"In other words",
    "estimation": r"roughly \d+",
    "hedging": r"[Mm]aybe|might be wrong",
    "case_split": r"Case \d+",
    "conclusion": r"[Tt]herefore",
}


class MovesJudge:
    """Counts phrases. `config` is that of the judge stage and not needed."""

    def __init__(self, config: Any = None) -> None:
        self.run = judge_run("moves", params={"version": "1"})

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge the completions one after the other."""
        for task in tasks:
            verdicts = {}
            for behavior, phrase in PHRASES.items():
                spans = tuple(
                    Span(start=match.start(), end=match.end(), quote=match[0])
                    for match in re.finditer(phrase, task.completion)
                )
                verdicts[behavior] = BehaviorVerdict("ok", len(spans), spans)
            yield JudgedTask(task, verdicts)


MOVES = JudgeKind("phrases of the five moves", MovesJudge, behaviors="five_moves")
