"""A finished `problems` stage to write traces for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.files import write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.run import prepare, run_stage
from pipelines.tasks.countdown.problems import Problem, make_problem, write_problems
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.task import CountdownTask, shipped_template

MINI = CountdownTask(
    arithmetic=Arithmetic(operations="+-*", minimum=0, maximum=50, integers_only=True),
    template=shipped_template("mini"),
)
PAPER = CountdownTask(template=shipped_template("base"))

TRAIN = [
    make_problem(*problem)
    for problem in (
        ((3, 7, 5), 16),
        ((1, 2, 9), 18),
        ((4, 6, 8), 16),
        ((2, 5, 7), 17),
        ((3, 4, 9), 21),
        ((1, 6, 8), 14),
        ((2, 3, 8), 22),
        ((5, 6, 9), 24),
    )
]
TEST = [make_problem((2, 4, 6), 14)]
LARGE = [make_problem((25, 3, 7, 50), 85), make_problem((12, 8, 3), 20), make_problem((44, 19, 35), 98)]

RunStage = Callable[..., StageFolder]


@pytest.fixture
def problems_stage(tmp_path: Path) -> Callable[..., Path]:
    """Makes a finished `problems` stage."""

    def make(task: CountdownTask = MINI, train: list[Problem] | None = None, test: list[Problem] | None = None) -> Path:
        path = tmp_path / "problems"
        (path / "artifacts").mkdir(parents=True)
        write_json(path / "stage.json", StageInfo(kind="problems", key="problems-0", config={}).model_dump())
        write_json(path / "artifacts" / "task.json", task.model_dump(mode="json"))
        write_problems(path / "artifacts" / "train.jsonl", TRAIN if train is None else train)
        write_problems(path / "artifacts" / "test.jsonl", TEST if test is None else test)
        StageFolder(path).write_result({})
        return path

    return make


@pytest.fixture
def priming(tmp_path: Path, problems_stage: Callable[..., Path]) -> RunStage:
    """Runs a `priming_data` stage in its own folder; the problems stage is made when first needed."""

    def run(name: str, inputs: tuple[Path, ...] = (), **config: Any) -> StageFolder:
        problems = tmp_path / "problems"
        if not problems.exists():
            problems_stage()
        config = {"style": "plain", "n": 20, **config}
        folder = prepare("priming_data", config, tmp_path / name, [problems, *inputs], base=tmp_path)
        run_stage(folder)
        return folder

    return run
