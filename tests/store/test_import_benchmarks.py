"""Files of agents and benchmark harnesses that are widely used, in their own layouts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.registry import IMPORTERS
from pipelines.errors import InvalidInput
from tests.store.benchmark_rows import LIGHTEVAL, MINI_SWE, OPENCOMPASS, SWE, TAU
from tests.store.test_import_evaluations import read_plan, write


def read(path: Path) -> list[Any]:
    rollouts, problems = read_plan(plan_import([path]))
    assert problems == []
    return rollouts


@pytest.mark.parametrize("run", [SWE, MINI_SWE])
def test_a_trajectory_of_swe_agent_is_one_rollout(tmp_path: Path, run: dict[str, Any]) -> None:
    (rollout,) = read(write(tmp_path / "run.traj.json", run))
    assert rollout.prompt == "[system]\nYou fix.\n\n[user]\nFix it."
    assert rollout.completion == "[assistant]\nI look.\nls\n\n[user]\na.py\n\n[assistant]\nDone."
    assert (rollout.reward, rollout.correct) == (None, None)
    assert rollout.meta["columns"]["exit_status"] == "submitted"


def test_results_of_tau_bench(tmp_path: Path) -> None:
    (rollout,) = read(write(tmp_path / "results.json", [TAU]))
    assert (rollout.prompt, rollout.problem_id, rollout.sample, rollout.reward) == ("Cancel it.", "7", 2, 0.0)
    assert rollout.completion.startswith("[assistant]\n[call cancel] {}\n\n[tool]\nok\n\n[assistant]\nDone.")


def test_predictions_of_opencompass(tmp_path: Path) -> None:
    first, second, third = read(write(tmp_path / "gsm8k.json", OPENCOMPASS))
    assert (first.prompt, first.completion, first.problem_id, first.meta["gold"]) == ("6 + 7?", "It is 13.", "0", "13")
    assert [(each.completion, each.sample, each.reward) for each in (second, third)] == [
        ("14", 0, None),
        ("15", 1, None),
    ]


def test_details_of_lighteval(tmp_path: Path) -> None:
    several = {**LIGHTEVAL, "model_response": {"text": ["13", "14"]}}
    first, *others = read(write(tmp_path / "details.jsonl", [LIGHTEVAL, several]))
    assert (first.prompt, first.completion, first.problem_id, first.meta["gold"]) == ("6 + 7?", "It is 13.", "4", "13")
    assert (first.reward, first.correct, first.n_tokens) == (1.0, True, 3)
    assert [(each.reward, each.correct) for each in others] == [(None, None), (None, None)]


def test_an_answer_in_messages_is_not_in_the_prompt_of_other_completions(tmp_path: Path) -> None:
    """OpenR1: the messages repeat one of the generations."""
    said = [{"role": "user", "content": "What is 6 + 7?"}, {"role": "assistant", "content": "It is 13."}]
    row = {"problem": "What is 6 + 7?", "answer": "13", "generations": ["It is 13.", "It is 14."], "messages": said,
           "correctness_math_verify": [True, False]}  # fmt: skip
    first, second = read(write(tmp_path / "rows.jsonl", [row]))
    assert first.prompt == second.prompt == "What is 6 + 7?"
    assert (first.correct, second.correct, first.meta["gold"]) == (True, False, "13")
    assert "messages" in first.meta["columns"]


@pytest.mark.parametrize(
    ("row", "completion", "prompt"),
    [
        ({"question_content": "Add.", "output_list": ["print(1)"], "graded_list": [True]}, "print(1)", "Add."),
        ({"input_prompt": "Add.", "output_response": "13", "score": 1.0, "stop_reason": "stop"}, "13", "Add."),
        ({"question": "Add.", "target": "13", "predicted_answer": "A 13.", "grade": "CORRECT"}, "A 13.", "Add."),
        ({"prompt": {"raw": "Add.", "label": "p"}, "response": {"output": "13"}, "success": True}, "13", "Add."),
    ],
)  # fmt: skip
def test_names_of_columns_of_widely_used_programs(
    tmp_path: Path, row: dict[str, Any], completion: str, prompt: str
) -> None:
    (rollout,) = read(write(tmp_path / "rows.jsonl", [row]))
    assert (rollout.completion, rollout.prompt) == (completion, prompt)


@pytest.mark.parametrize(
    ("row", "suggested"),
    [
        ({"type": "sampling", "data": {"prompt": "6 + 7?", "sampled": ["It is 13."]}}, "--map completion=data.sampled"),
        ({"prompt": "p", "chosen": TAU["traj"], "rejected": TAU["traj"]}, "--map completion=chosen"),
        ({"question_title": "A long title of it", "code_text": "print( 1 )"}, "--map completion=code_text"),
    ],
)
def test_the_map_that_an_error_names_is_of_an_answer(tmp_path: Path, row: dict[str, Any], suggested: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(InvalidInput) as caught:
        plan_import([path])
    assert suggested in caught.value.remedy
    assert "rows=" not in caught.value.remedy


def test_an_object_of_rows_by_their_ids(tmp_path: Path) -> None:
    row = {"prompt": "6 + 7?", "response": "13", "score": 1.0}
    path = write(tmp_path / "by_id.json", {"q1": row, "q2": {**row, "response": "14", "score": 0.0}})
    first, second = read(path)
    assert [(each.completion, each.reward, each.meta["source_id"]) for each in (first, second)] == [
        ("13", 1.0, "q1"), ("14", 0.0, "q2"),
    ]  # fmt: skip
    assert "rows           the values of the object" in "\n".join(plan_import([path]).lines())


def test_an_object_with_several_lists_of_rollouts_is_explained(tmp_path: Path) -> None:
    row = {"prompt": "6 + 7?", "response": "13"}
    path = write(tmp_path / "splits.json", {"data": {"train": [row], "test": [row, row]}})
    with pytest.raises(InvalidInput, match="more than one of them can be read") as caught:
        plan_import([path])
    assert caught.value.remedy == "Name the list: --map rows=data.test."
    assert len(plan_import([path], mapping={"rows": "data.train"}).files) == 1


def test_every_layout_is_in_the_documentation_and_has_a_test() -> None:
    root = Path(__file__).parents[2]
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", (root / "docs" / "traces.md").read_text(), re.MULTILINE))
    names = set(IMPORTERS.builtin_names())
    assert names <= documented
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_import*.py"))
    words = {"cogtui": "our_own_files", "paper": "paper", "swe-agent": "swe_agent", "tau-bench": "tau_bench"}
    for name in names:
        tested = words.get(name, name.replace("-", "_"))
        assert re.search(rf"def test_\w*{tested}|\"{name}\"", tests), name
