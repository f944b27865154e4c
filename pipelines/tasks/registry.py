"""The tasks by name, built in and from plug-ins, and questions about a problem that never fail on an unknown task."""

import json
from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from pipelines.errors import CogtuiError
from pipelines.plugins import Registry, missing_members
from pipelines.tasks.protocol import (
    REASONING_GYM,
    REQUIRED_MEMBERS,
    Description,
    JsonProblem,
    RulesContext,
    Score,
    Task,
)

COUNTDOWN: Final = "countdown"
"""Name of the default task."""

NO_TASK: Final = ""
"""Task of a rollout that answers no known problem: a document, or an imported row that names none."""

_SHORT: Final = 60
_DESCRIBERS: Final = {COUNTDOWN: "pipelines.tasks.countdown.describing"}
"""Modules that describe problems of a built-in task. Importing the whole task takes some 60 ms, too long for the first
list of the app to wait."""


def _problem_of(entry: object) -> str | None:
    missing = missing_members(entry, REQUIRED_MEMBERS)
    if missing is not None:
        return missing
    if isinstance(entry, type):
        return "it is a class; register an instance"
    return None


class TaskRegistry(Registry[Task]):
    """The registry of the group `cogtui.tasks`. `reasoning_gym:NAME` is a task for each generator of that library."""

    def get(self, name: str) -> Task:
        """Return the task of that name; see `Registry.get`."""
        if name.startswith(REASONING_GYM):
            from pipelines.tasks.reasoning_gym import make_task

            return make_task(name)
        return super().get(name)

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str) and name.startswith(REASONING_GYM):
            return find_task(name) is not None
        return super().__contains__(name)


TASKS: Final = TaskRegistry(
    "cogtui.tasks",
    "task",
    {
        COUNTDOWN: "pipelines.tasks.countdown.task:COUNTDOWN_TASK",
        # in the order in which they are asked to recognise a row
        "choice": "pipelines.tasks.choice:TASK",
        "math": "pipelines.tasks.math:TASK",
    },
    _problem_of,
)


def find_task(name: str) -> Task | None:
    """Return the task of that name, or None where no such task is installed."""
    if name == NO_TASK:
        return None
    try:
        return TASKS.get(name)
    except CogtuiError:
        return None


def _describer(name: str) -> Callable[[JsonProblem], Description] | None:
    if name in _DESCRIBERS:
        return cast("Callable[[JsonProblem], Description]", import_module(_DESCRIBERS[name]).describe)
    task = find_task(name)
    return None if task is None else task.describe


def describe_problem(name: str, problem: JsonProblem) -> Description:
    """Describe a problem by its task; by its JSON where that is unknown, not installed or fails."""
    describe = _describer(name)
    if describe is not None:
        try:
            description = describe(problem)
            return Description(" ".join(str(description.short).split()), str(description.full))
        except Exception:  # a plug-in's bug, or a problem that is not the task's, must not hide the rollout
            return _as_json(problem, f"task {name} cannot describe this problem")
    if name == NO_TASK:
        return _as_json(problem, "")
    return _as_json(problem, f"task {name} is not installed")


def _as_json(problem: JsonProblem, remark: str) -> Description:
    rest = {field: value for field, value in problem.items() if field != "id"}
    text = json.dumps(rest or problem, ensure_ascii=False, default=str)
    if not rest:
        text = str(problem.get("id", "")) or "no problem"
    short = text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
    return Description(short, f"{text}\n({remark})" if remark else text)


def rules_context(name: str, problem: JsonProblem) -> RulesContext | None:
    """Return what the rules judge needs of a problem; None where its task has nothing to give, or is not installed."""
    context = getattr(find_task(name), "rules_context", None)
    if context is None:
        return None
    try:
        return cast("RulesContext | None", context(problem))
    except Exception:  # the judge then works from language alone
        return None


def score_problem(name: str, completion: str, problem: JsonProblem) -> Score | None:
    """Score a completion by its task with default settings; None where that is not installed or fails."""
    task = find_task(name)
    if task is None:
        return None
    try:
        return task.score(completion, problem)
    except Exception:  # for a reader only: the score a run used is in its records
        return None


def solve_problem(name: str, problem: JsonProblem) -> str | None:
    """Return one solution of a problem; None where its task finds none or does not solve."""
    solve = getattr(find_task(name), "solve", None)
    if solve is None:
        return None
    try:
        return cast("str | None", solve(problem))
    except Exception:  # solutions are for a reader only
        return None


def explain_reason(name: str, reason: str) -> str:
    """Return a `Score.reason` as a sentence, or as it stands where its task has none."""
    return str(getattr(find_task(name), "reasons", {}).get(reason, reason))
