"""Layouts of other programs, row by row: what is read, what stays empty, what is named."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.rollouts.import_ import finish, refuse_if_nothing_was_read
from cogtui.store.importing.convert import ConvertedRow, Converter
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import ImportState, run_import
from pipelines.errors import InvalidInput
from pipelines.records import Rollout
from pipelines.row_files import read_rows
from tests.store.lab import Lab

ASK = "Using the numbers [2, 6, 9], create an equation that equals 21. For example <answer>(1 + 2) / 3</answer>."
RIGHT = "<think>2 * 6 = 12, 12 + 9 = 21</think><answer>2 * 6 + 9</answer>"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **options: Any) -> list[Rollout]:
    """The rollouts of a file of which every row is good."""
    (file,) = plan_import([path], **options).files
    converter = Converter(file.importer, file.columns, "import-0", path.stem, file.stream)
    placed = []
    for row in read_rows(path):
        converted: ConvertedRow = converter.convert(row.value)
        assert converted.problems == []
        placed += converted.rollouts
    return [Rollout.model_validate(converter.record(one, number)) for number, one in enumerate(placed)]


def imported(lab: Lab, path: Path, **options: Any) -> ImportState:
    return finish(run_import(plan_import([path], **options), lab.workspace))


def test_several_completions_of_a_row_are_rollouts_with_their_own_scores(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"idx": 3, "question": "1 + 2?", "gt": "3", "answer": "3", "response": ["It is 3.", "It is 4."],
         "pred": ["3", "4"], "score": [True, False], "note": "x"},
        {"idx": 4, "question": "2 + 2?", "gt": "4", "answer": "4", "response": ["4"], "pred": ["4"], "score": [True]},
        {"idx": 5, "question": "2 + 3?", "gt": "5", "answer": "5", "response": ["5", "6"], "pred": ["5"], "score": 0.5},
    )  # fmt: skip
    first, second, third, lone, other = read(path)
    assert [one.completion for one in (first, second, third)] == ["It is 3.", "It is 4.", "4"]
    assert [(one.problem_id, one.sample) for one in (first, second, third)] == [("3", 0), ("3", 1), ("4", 0)]
    assert [(one.answer, one.correct, one.reward) for one in (first, second)] == [("3", True, 1.0), ("4", False, 0.0)]
    assert (third.answer, third.correct) == ("4", True)
    assert "reward" in first.meta["worked_out"]
    assert "correct" not in first.meta["worked_out"]
    assert (first.meta["gold"], first.meta["columns"]) == ("3", {"answer": "3", "note": "x"})
    for one in (lone, other):  # a mean score and a shorter list belong to neither
        assert (one.answer, one.correct, one.reward) == (None, None, None)
        assert one.meta["columns"] == {"answer": "5", "pred": ["5"], "score": 0.5}


@pytest.mark.parametrize("name", ["completions", "ys", "choices", "responses", "generations"])
def test_completions_with_fields_of_their_own(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "1 + 2?", "score": 0.5, name: [
        {"text": "3", "score": "1.0", "answer": "3", "finish_reason": "stop", "logprob": -2},
        {"message": {"role": "assistant", "content": "4"}, "score": math.nan, "finish_reason": "length"},
    ]})  # fmt: skip
    good, other = read(path)
    assert (good.completion, good.reward, good.answer, good.finish_reason) == ("3", 1.0, "3", "stop")
    assert good.meta["columns"]["logprob"] == -2
    assert (other.completion, other.reward, other.answer, other.finish_reason) == ("4", None, None, "length")
    assert (good.sample, other.sample) == (0, 1)


def test_stated_scores_are_kept_and_ours_stands_beside_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "4.jsonl",
        {"input": ASK, "output": RIGHT, "gts": "x", "score": "0.0", "step": "9", "acc": "False", "pred": "9 + 6"},
        {"input": ASK, "output": RIGHT, "gts": "x", "score": 1.0, "step": 9, "acc": 1.0, "pred": "2*6+9"},
        {"input": ASK, "output": RIGHT, "gts": "x", "score": math.nan, "step": 9, "acc": None, "pred": None},
        {"input": ASK, "output": RIGHT, "gts": "x", "score": "n/a", "step": 9, "acc": 0.5, "pred": ["2"]},
    )
    wrong, agreed, empty, odd = read(path)
    assert (wrong.step, wrong.reward, wrong.correct, wrong.answer) == (9, 0.0, False, "9 + 6")
    assert wrong.meta["checked"] == {"reward": 1.0, "correct": True, "answer": "2 * 6 + 9", "task": "countdown"}
    assert not {"reward", "correct", "answer"} & set(wrong.meta["worked_out"])
    assert (agreed.reward, agreed.correct, agreed.answer) == (1.0, True, "2*6+9")
    assert "checked" not in agreed.meta
    for one in (empty, odd):
        assert (one.reward, one.correct, one.answer) == (None, None, None)
        assert set(one.meta["left_empty"]) == {"reward", "correct", "answer"}
    assert odd.meta["columns"] == {"score": "n/a", "acc": 0.5, "pred": ["2"]}


def test_what_the_file_does_not_state_is_computed_and_marked(tmp_path: Path) -> None:
    (only,) = read(write(tmp_path / "a.jsonl", {"prompt": ASK, "completion": RIGHT}))
    assert (only.reward, only.correct, only.answer) == (1.0, True, "2 * 6 + 9")
    assert set(only.meta["worked_out"]) >= {"reward", "correct", "answer"}


def test_an_answer_beside_no_other_truth_is_the_right_one(tmp_path: Path) -> None:
    (gold,) = read(write(tmp_path / "a.jsonl", {"prompt": "1 + 2?", "completion": "4", "answer": "3"}))
    assert (gold.answer, gold.meta["gold"]) == (None, "3")
    (own,) = read(write(tmp_path / "b.jsonl", {"prompt": "1 + 2?", "completion": "4", "answer": "4", "gold": "3"}))
    assert (own.answer, own.meta["gold"]) == ("4", "3")


def test_empty_values_and_empty_completions_are_counted_and_named(lab: Lab, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"prompt": "p", "completion": "text", "reward": 1},
        {"prompt": "p", "completion": "", "reward": 1},
        {"prompt": "p", "completion": ["one", None, " \n"], "reward": [None, 1, 1]},
        {"prompt": "p", "completion": [{"role": "assistant", "content": ""}], "reward": 1},
        {"prompt": "p", "completion": "late", "step": 2**80},
    )
    state = imported(lab, path)
    (file,) = state.files
    assert (state.rows, state.bad) == (3, 4)
    assert file.named == [
        "line 2: the completion is empty",
        "line 3: the completion is empty (number 2 of 3)",
        "line 3: the completion is empty (number 3 of 3)",
        "line 4: the completion is empty",
    ]
    assert {name: (one.count, one.first) for name, one in file.left_empty.items()} == {
        "reward": (2, "line 3"),
        "step": (1, "line 5"),
    }
    assert file.as_json()["left_empty"]["step"] == {"count": 1, "first": "line 5"}
    assert any(line.startswith("reward left empty in 2 rollouts, first line 3") for line in file.remarks())


def test_an_import_of_bad_rows_only_is_refused(lab: Lab, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "p", "completion": ""}, {"prompt": "q", "completion": " "})
    with pytest.raises(InvalidInput, match=r"no row could be read as a rollout \(2 rows\)") as caught:
        refuse_if_nothing_was_read(imported(lab, path))
    assert "line 1: the completion is empty" in caught.value.detail


@pytest.mark.parametrize(
    ("completion", "left"),
    [
        (f"{ASK} It cannot be done.", " It cannot be done."),
        (f"system\nBe brief.\nuser\n{ASK}\nassistant\nI give up.", "I give up."),
        (f"<|im_start|>user\n{ASK}<|im_end|>\n<|im_start|>assistant\nNo idea.", "No idea."),
    ],
)
def test_a_prompt_at_the_beginning_of_a_completion_is_cut_off(tmp_path: Path, completion: str, left: str) -> None:
    (only,) = read(write(tmp_path / "a.jsonl", {"prompt": ASK, "completion": completion}))
    assert (only.completion, only.answer, only.correct) == (left, None, False)
    assert only.meta["repeated_prompt_cut_off"] == len(completion) - len(left)
    assert "completion" in only.meta["worked_out"]


def test_a_prompt_quoted_inside_a_completion_stays_and_is_reported(tmp_path: Path) -> None:
    text = f"The task says: {ASK} Let me think."
    (only,) = read(write(tmp_path / "a.jsonl", {"prompt": ASK, "completion": text}))
    assert (only.completion, only.meta["repeats_prompt"]) == (text, True)


def test_integers_beyond_64_bits_keep_their_row(lab: Lab, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"prompt": "q", "completion": "a", "nums": [3, 5], "target": 10**23, "seed": 10**20, "deep": {"n": [10**30]}},
        {"prompt": "q", "completion": "b", "nums": [3, 10**20], "target": 8, "n_tokens": 2**70, "reward": 10**400},
    )
    first, second = read(path)
    assert (first.task, "target" in first.problem, first.meta["gold"]) == ("", False, str(10**23))
    assert first.meta["columns"]["deep"] == {"n": [str(10**30)]}
    assert (second.task, second.reward) == ("", None)
    state = imported(lab, path)
    assert (state.rows, state.bad) == (2, 0)
