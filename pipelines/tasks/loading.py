"""A finished `problems` stage, read back: its task with its settings, and its problems."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.errors import InvalidInput
from pipelines.files import canonical_json, read_json, write_atomic, write_json
from pipelines.folder import StageFolder
from pipelines.streams import complete_lines, parse_line
from pipelines.tasks.protocol import JsonProblem, Task
from pipelines.tasks.registry import COUNTDOWN, TASKS

TRAIN_FILE: Final = "train.jsonl"
TEST_FILE: Final = "test.jsonl"
TASK_FILE: Final = "task.json"
TASK_NAME: Final = "task"
"""Field of `task.json` with the name of the task; without it the file is Countdown's."""


@dataclass(frozen=True, slots=True)
class LoadedProblems:
    """Problems and the task they belong to."""

    task: Task
    train: list[JsonProblem]
    test: list[JsonProblem]


def write_problem_files(
    folder: StageFolder,
    name: str,
    settings: Mapping[str, Any],
    train: Iterable[JsonProblem],
    test: Iterable[JsonProblem],
) -> None:
    """Write the artifacts that `load_problems` reads: the problems, the name of their task and its settings."""
    for file, problems in ((TRAIN_FILE, train), (TEST_FILE, test)):
        write_atomic(folder.artifacts / file, "".join(f"{canonical_json(dict(problem))}\n" for problem in problems))
    write_json(folder.artifacts / TASK_FILE, {TASK_NAME: name, **settings})


def task_name(folder: StageFolder) -> str:
    """Return the name of the task of a finished `problems` stage.

    Raises:
        NotFound: the stage wrote no task.
        InvalidInput: its `task.json` cannot be read.
    """
    return str(_task_file(folder).get(TASK_NAME, COUNTDOWN))


def load_problems(folder: StageFolder) -> LoadedProblems:
    """Read the artifacts of a finished `problems` stage.

    Raises:
        NotFound: one of them is missing.
        InvalidInput: one of them cannot be read, or its task is not installed.
    """
    settings = dict(_task_file(folder))
    task = TASKS.get(str(settings.pop(TASK_NAME, COUNTDOWN)))
    with_settings = getattr(task, "with_settings", None)
    if with_settings is not None:
        try:
            task = with_settings(settings)
        except ValueError as error:
            raise InvalidInput(f"{folder.artifact(TASK_FILE)} is not a valid task file", detail=str(error)) from error
    train, test = (_read(folder.artifact(name)) for name in (TRAIN_FILE, TEST_FILE))
    return LoadedProblems(task, train, test)


def _task_file(folder: StageFolder) -> Mapping[str, Any]:
    path = folder.artifact(TASK_FILE)
    raw = read_json(path)
    if not isinstance(raw, dict):
        raise InvalidInput(f"{path} is not a valid task file", remedy="Run that stage again with --force.")
    return raw


def _read(path: Path) -> list[JsonProblem]:
    problems: list[JsonProblem] = []
    for number, line in enumerate(complete_lines(path), start=1):
        try:
            problem = parse_line(line.data)
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number}: {error}") from error
        if not isinstance(problem.get("id"), str):
            raise InvalidInput(f"{path}, line {number}: the problem has no id")
        problems.append(problem)
    return problems
