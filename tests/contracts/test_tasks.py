"""Tasks: the default config keeps its content keys, and every built-in task has all members of the protocol."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.folder import StageFolder
from pipelines.stages import content_key
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.tasks.loading import load_problems
from pipelines.tasks.protocol import REQUIRED_MEMBERS, Task
from pipelines.tasks.registry import TASKS, describe_problem, explain_reason, rules_context, solve_problem
from pipelines.tasks.stage import ProblemsConfig

PROBLEM = {"id": "3-7-25_46", "numbers": [25, 3, 7], "target": 46}


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "problems-61e10d8b7abb"),
        (
            {"train": 5, "test": 2, "sizes": (3,), "template": "mini", "reward": {"wrong": 0.0}},
            "problems-42dc7c6133cb",
        ),
    ],
)
def test_countdown_configs_have_the_keys_of_before_there_were_other_tasks(config: dict[str, Any], key: str) -> None:
    """Otherwise every finished stage of an existing workspace would run again."""
    for given in (config, {**config, "task": "countdown"}):
        assert content_key("problems", ProblemsConfig.model_validate(given), []) == key
    dumped = ProblemsConfig.model_validate(config).model_dump(mode="json")
    assert "task" not in dumped
    assert content_key("problems", ProblemsConfig.model_validate(dumped), []) == key


def test_another_task_needs_its_own_settings_in_task_config() -> None:
    with pytest.raises(ValidationError, match="task_config is for other tasks"):
        ProblemsConfig(task_config={"a": 1})
    with pytest.raises(ValidationError, match=r"there is no task 'countdwon'.*Did you mean countdown"):
        ProblemsConfig(task="countdwon")
    with pytest.raises(ValidationError, match="sizes is a setting of countdown"):
        ProblemsConfig(task="other", sizes=(3,))


@pytest.mark.parametrize("name", TASKS.builtin_names())
def test_builtin_tasks_have_every_member(name: str) -> None:
    task = TASKS.get(name)
    assert task.name == name
    assert all(hasattr(task, member) for member in REQUIRED_MEMBERS)


def test_countdown_answers_every_question_about_a_problem() -> None:
    task: Task = CountdownTask(template="{numbers} {target}")
    assert task.prompt(PROBLEM) == "[25, 3, 7] 46"
    score = task.score("<answer>25 + 3 * 7</answer>", PROBLEM)
    assert (score.reward, score.correct, score.answer, score.reason) == (1.0, True, "25 + 3 * 7", "correct")
    assert describe_problem("countdown", PROBLEM).short == "25 3 7 → 46"
    assert describe_problem("countdown", PROBLEM).full == "Reach 46 with 25, 3, 7, each number exactly once."
    solution = solve_problem("countdown", PROBLEM)
    assert solution is not None
    assert task.score(f"<answer>{solution}</answer>", PROBLEM).correct
    assert rules_context("countdown", PROBLEM) == ((25, 3, 7), 46)
    assert explain_reason("countdown", "empty") == "the answer is empty"


def test_a_problem_of_a_task_that_is_not_installed_is_shown_as_json() -> None:
    problem = {"id": "x", "question": "q" * 100}
    description = describe_problem("elsewhere", problem)
    assert description.short == json.dumps({"question": "q" * 100})[:59] + "…"
    assert description.full.endswith("(task elsewhere is not installed)")
    assert rules_context("elsewhere", problem) is None
    assert solve_problem("elsewhere", problem) is None
    assert explain_reason("elsewhere", "late") == "late"
    assert describe_problem("", {"id": "doc-1"}) == ("doc-1", "doc-1")
    assert describe_problem("countdown", {"id": "x"}).full.endswith("(task countdown cannot describe this problem)")


def test_problem_files_without_a_task_name_are_countdown(tmp_path: Path) -> None:
    """Stages finished before there were other tasks named none."""
    artifacts = StageFolder(tmp_path).artifacts
    (artifacts / "task.json").write_text(json.dumps({"template": "{numbers} {target}"}))
    (artifacts / "train.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    (artifacts / "test.jsonl").write_text("")
    loaded = load_problems(StageFolder(tmp_path))
    assert loaded.task == CountdownTask(template="{numbers} {target}")
    assert loaded.task.prompt(loaded.train[0]) == "[25, 3, 7] 46"
    assert loaded.test == []
