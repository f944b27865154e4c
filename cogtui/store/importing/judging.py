"""Judging what was imported, so that filters such as `backtracking>=3` find something in it.

Judgements are a stream of the import's own stage, written before its result. A run that was stopped goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from pipelines.behaviors.judge import Judge, JudgeTask
from pipelines.behaviors.judges.registry import default_judge, judge_kind, make_judge
from pipelines.behaviors.recorded import first_judgements
from pipelines.behaviors.sets.registered import SETS
from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.streams import read_rollouts, read_stream, stream_files

JudgeChoice = Literal["auto", "rules", "prose", "none"]
STREAM: Final = "import"
_SAMPLE: Final = 40
"""Rollouts that are judged to learn how long all would take."""
_AFFORDABLE_S: Final = 20.0
"""Seconds that judging may take without being asked for, even if the import itself was faster."""
_SAY_EVERY: Final = 100


@dataclass(slots=True)
class ImportJudging:
    """How far the judging of an import is."""

    judge: str = ""
    """Name of the judge; empty if nothing is judged."""
    rollouts: int = 0
    """Rollouts judged so far, those of earlier runs included."""
    skipped: str = ""
    """Why the import is not judged, for people; empty if it is, or if nobody asked."""

    def as_json(self) -> dict[str, object]:
        """Return what was judged, as `result.json` and `cogtui import --json` have it."""
        return {"judge": self.judge or None, "rollouts": self.rollouts, "skipped": self.skipped or None}


def judge_import(
    folder: StageFolder, choice: JudgeChoice, judging: ImportJudging, *, rows: int, import_s: float
) -> Iterator[None]:
    """Judge the rollouts of an import; yield now and then.

    `auto` takes the judge that suits the task, and judges only if that takes no longer than the import or 20 s, as
    measured on the first rollouts: the rules read some 350 texts a second, thirty times slower than texts are imported.

    Args:
        folder: of the import, with its rollouts.
        choice: the judge.
        judging: updated.
        rows: number of rollouts.
        import_s: seconds that the import took.
    """
    if choice == "none" or not rows:
        return
    if set(stream_files(folder.path, "judgements")) > set(judgement_files(folder)):
        judging.skipped = "the files have judgements of their own"
        return
    name = _suitable_judge(folder) if choice == "auto" else choice
    judge = make_judge(name)
    behaviors = SETS.get(judge_kind(name).behaviors).names
    written = Counter(
        str(record["rollout_id"]) for record in first_judgements(read_stream(folder.path, "judgements"), judge.run.id)
    )
    done = {rollout for rollout, count in written.items() if count == len(behaviors)}
    if choice == "auto" and not done:
        needed = _needed_s(judge, folder, rows)
        if needed > max(_AFFORDABLE_S, import_s):
            judging.skipped = (
                f"judging {rows:,} rollouts by {name} would take about {_words(needed)}; do it with --judge {name}"
            )
            return
    judging.judge, judging.rollouts = name, len(done)
    write_json(folder.artifacts / "judge_run.json", judge.run.model_dump(mode="json"))
    tasks = (task for task in _tasks(folder) if task.rollout_id not in done)
    work = folder.path / "work"
    work.mkdir(exist_ok=True)
    with folder.stream("judgements", STREAM) as stream:
        for judged in judge.judge(tasks, work):
            stream.append(judged.records(judge.run.id, behaviors))
            judging.rollouts += 1
            if judging.rollouts % _SAY_EVERY == 0:
                folder.report(judging.rollouts, rows, "rollouts judged")
                yield


def judgement_files(folder: StageFolder) -> list[Path]:
    """Return the files of judgements that were made while importing."""
    return [path for path in stream_files(folder.path, "judgements") if path.name.startswith(f"judgements-{STREAM}-")]


def _tasks(folder: StageFolder) -> Iterator[JudgeTask]:
    for rollout in read_rollouts(folder.path):
        yield JudgeTask(rollout.id, rollout.task, rollout.problem, rollout.completion)


def _suitable_judge(folder: StageFolder) -> Literal["rules", "prose"]:
    """The judge for the task that most of the first rollouts are about."""
    tasks = Counter(task.task for task in islice(_tasks(folder), _SAMPLE))
    ((task, _),) = tasks.most_common(1)
    return "rules" if default_judge(task) == "rules" else "prose"


def _needed_s(judge: Judge, folder: StageFolder, rows: int) -> float:
    """Estimate the seconds for all rollouts from the first ones."""
    sample = list(islice(_tasks(folder), _SAMPLE + 1))
    for _ in judge.judge(iter(sample[:1]), folder.path):
        pass  # what is loaded for the first one is not counted for each
    began = time.perf_counter()
    judged = sum(1 for _ in judge.judge(iter(sample[1:]), folder.path))
    return (time.perf_counter() - began) / max(1, judged) * rows


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
