"""The task `choice`: options in the ways data sets write them, and the chosen one in the ways models do."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.tasks.choice import TASK
from pipelines.tasks.loading import load_problems

OPTIONS = ["Paris", "Rome", "Berlin"]
PROBLEM = {"id": "1", "question": "Capital of Italy?", "options": OPTIONS, "answer": "B"}


@pytest.mark.parametrize(
    ("completion", "reason", "letter"),
    [
        (r"\boxed{B}", "correct", "B"),
        (r"\boxed{\text{B}}", "correct", "B"),
        ("The answer is (B) Rome.", "correct", "B"),
        ("Answer: **b**", "correct", "B"),
        ("<answer>Rome</answer>", "correct", "B"),
        (r"\boxed{A}, no \boxed{C}", "wrong", "C"),
        (r"\boxed{D}", "no_option", None),
        (r"\boxed{Because}", "no_option", None),
        ("I would say B", "no_answer", None),
        ("", "no_answer", None),
    ],
)
def test_what_was_chosen(completion: str, reason: str, letter: str | None) -> None:
    score = TASK.score(completion, PROBLEM)
    assert (score.reason, score.value) == (reason, letter)
    assert score.correct is (reason == "correct")
    assert score.reward == float(score.correct)
    assert score.reason in TASK.reasons


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q", "choices": {"text": OPTIONS, "label": ["1", "2", "3"]}, "answerKey": "2"},
        {"question": "Q", "choices": OPTIONS, "answer": 1},
        {"question": "Q", "options": {"A": "Paris", "B": "Rome", "C": "Berlin"}, "answer": "B"},
        {"question": "Q", "options": OPTIONS, "answer": "Rome"},
        {"question": "Q", "options": OPTIONS, "answer": "B"},
    ],
)
def test_layouts_of_data_sets(tmp_path: Path, row: dict[str, Any]) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([row, {**row, "question": "other"}]))
    fields = {"task": "choice", "train": 1, "test": 1, "task_config": {"file": "rows.json"}}
    run_stage(prepare("problems", fields, tmp_path / "out", [], base=tmp_path))
    loaded = load_problems(StageFolder(tmp_path / "out"))
    problem = loaded.test[0]
    assert (problem["options"], problem["answer"]) == (OPTIONS, "B")
    assert "\nB. Rome\n" in loaded.task.prompt(problem)
    assert TASK.solve(problem) == "B. Rome"
    assert "answer: B" in TASK.describe(problem).full


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Q", "options": OPTIONS, "answer": "D"}, "the right option 'D' is none of A, B, C"),
        ({"question": "Q", "options": OPTIONS, "answer": 3}, "the right option '3' is none of"),
        ({"question": "Q", "options": OPTIONS}, "no right option in"),
        ({"question": "Q", "options": "A or B", "answer": "A"}, "no options in options"),
        ({"question": "Q", "options": ["one"], "answer": "A"}, "1 options in options"),
        ({"question": "Q", "options": [None, 2], "answer": "A"}, "no options in options"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    fields = {"task": "choice", "train": 0, "test": 1, "task_config": {"file": "rows.json"}}
    with pytest.raises(InvalidInput) as caught:
        run_stage(prepare("problems", fields, tmp_path / "out", [], base=tmp_path))
    assert f"row 1: {message}" in str(caught.value)


def test_rows_of_other_programs_are_recognised_by_their_options() -> None:
    prompt = "Capital of Italy?\nA. Paris\nB. Rome\nC. Berlin\nAnswer with a letter."
    found = TASK.recognise({"prompt": prompt, "ground_truth": "B"})
    assert found == {"question": "Capital of Italy?", "options": OPTIONS, "answer": "B"}
    assert TASK.recognise({"prompt": prompt, "ground_truth": "D"}) is None
    assert TASK.recognise({"prompt": "No options", "ground_truth": "A"}) is None
    assert TASK.recognise({"prompt": prompt}) is None
