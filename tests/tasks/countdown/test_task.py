from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.errors import InvalidInput, NotFound
from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.tasks.countdown.problems import make_problem, write_problems
from pipelines.tasks.countdown.reward import RewardRules
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.task import TEMPLATES, CountdownTask, TemplateName, load_countdown, shipped_template

PROBLEM = make_problem((25, 3, 7), 46)


@pytest.mark.parametrize("name", TEMPLATES)
def test_shipped_prompts_name_everything_and_end_inside_a_thought(name: TemplateName) -> None:
    task = CountdownTask(template=shipped_template(name))
    prompt = task.prompt(PROBLEM)
    assert "46" in prompt
    assert "[25, 3, 7]" in prompt or " 25 3 7 " in prompt
    assert "{" not in prompt
    assert task.opens_thought
    assert prompt.endswith("<think>\n")


@pytest.mark.parametrize("name", ["base", "chat"])
def test_prompts_in_sentences_ask_for_the_answer_form_and_the_allowed_operations(name: TemplateName) -> None:
    prompt = CountdownTask(template=shipped_template(name), arithmetic=Arithmetic(operations="+-*")).prompt(PROBLEM)
    assert "<answer>" in prompt
    assert "+, -, * and parentheses" in prompt
    assert "/ " not in prompt.replace("</think>", "").replace("</answer>", "")


def test_mini_prompts_have_as_many_words_as_numbers_and_no_more() -> None:
    task = CountdownTask(template=shipped_template("mini"))
    assert task.prompt(PROBLEM) == "numbers 25 3 7 goal 46\n<think>\n"
    lengths = {
        len(task.prompt(make_problem((a, b, 9), target)).split())
        for a in (1, 25)
        for b in (7, 13)
        for target in (9, 99)
    }
    assert lengths == {7}


def test_a_template_of_ones_own_is_used_as_it_stands() -> None:
    text = "{count} numbers: {numbers} = {spaced_numbers} -> {target} with {operations}; {} {{x}} {0} $target\r\n\t"
    prompt = CountdownTask(template=text.replace("{{x}}", "{ x }")).prompt(PROBLEM)
    assert prompt == "3 numbers: [25, 3, 7] = 25 3 7 -> 46 with +, -, *, /; {} { x } {0} $target\r\n\t"


def test_numbers_that_look_like_placeholders_are_not_filled_twice() -> None:
    assert CountdownTask(template="{numbers}{target}").prompt(PROBLEM) == "[25, 3, 7]46"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must contain"),
        ("make {target}", "must contain"),
        ("use {numbers}", "must contain"),
        ("use {nubmers}, make {target}", "did you mean {numbers}?"),
        ("use {numbers}, make {target}, {zzz}", "known: numbers"),
    ],
)
def test_a_template_that_cannot_work_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CountdownTask(template=text)
    assert says in str(caught.value)


def test_score_uses_the_rules_of_the_task() -> None:
    task = CountdownTask(reward=RewardRules(correct=5.0, allow_subset=True))
    assert task.score("<answer>7 * 3 + 25</answer>", PROBLEM).reward == 5.0
    assert task.score("<answer>21 + 25</answer>", PROBLEM).reason == "wrong_numbers"


def test_a_task_can_be_hashed_and_written(tmp_path: Path) -> None:
    task = CountdownTask(arithmetic=Arithmetic(operations="+-", minimum=0))
    assert CountdownTask.model_validate(task.model_dump(mode="json")) == task
    assert len({task, CountdownTask(arithmetic=Arithmetic(operations="-+", minimum=0))}) == 1


def test_opens_thought_is_false_for_a_prompt_that_does_not() -> None:
    assert not CountdownTask(template="{numbers} {target}").opens_thought


def finished(path: Path) -> StageFolder:
    folder = StageFolder(path)
    write_problems(folder.artifacts / "train.jsonl", [PROBLEM, make_problem((1, 2), 3)])
    write_problems(folder.artifacts / "test.jsonl", [make_problem((4, 5), 20)])
    write_json(folder.artifacts / "task.json", CountdownTask(template="{numbers} {target}").model_dump(mode="json"))
    return folder


def test_load_task(tmp_path: Path) -> None:
    loaded = load_countdown(finished(tmp_path))
    assert loaded.task.prompt(loaded.train[0]) == "[25, 3, 7] 46"
    assert [problem.id for problem in loaded.train] == ["3-7-25_46", "1-2_3"]
    assert [problem.id for problem in loaded.test] == ["4-5_20"]


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl", "task.json"])
def test_a_missing_artifact_is_named(name: str, tmp_path: Path) -> None:
    folder = finished(tmp_path)
    (folder.artifacts / name).unlink()
    with pytest.raises(NotFound, match=name):
        load_countdown(folder)


@pytest.mark.parametrize("text", ["[]", "null", '{"arithmetic": 3}', '{"unknown": 1}'])
def test_a_damaged_task_is_named(text: str, tmp_path: Path) -> None:
    folder = finished(tmp_path)
    (folder.artifacts / "task.json").write_text(text)
    with pytest.raises(InvalidInput, match="is not a valid task file"):
        load_countdown(folder)
