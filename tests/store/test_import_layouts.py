"""Layouts of other programs, row by row: what is read, what stays empty, what is named."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.rollouts.import_ import finish
from cogtui.store import open_store
from cogtui.store.importing.convert import ConvertedRow, Converter
from cogtui.store.importing.opening import open_files
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import ImportState, refuse_if_nothing_was_read, run_import
from pipelines.errors import InvalidInput
from pipelines.records import Rollout
from pipelines.row_files import read_rows
from tests.commands import cogtui_here
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
    path = write(tmp_path / "a.jsonl", {"question": ASK, "score": 0.5, name: [
        {"text": "3", "score": "1.0", "answer": "3", "finish_reason": "stop", "logprob": -2},
        {"message": {"role": "assistant", "content": "4"}, "score": math.nan, "finish_reason": "length"},
        {"text": "<answer>2 * 6 + 9</answer>", "score": None},
    ]})  # fmt: skip
    good, other, null = read(path)
    assert (good.completion, good.reward, good.answer, good.finish_reason) == ("3", 1.0, "3", "stop")
    assert good.meta["columns"]["logprob"] == -2
    assert (other.completion, other.reward, other.answer, other.finish_reason) == ("4", None, None, "length")
    assert (null.reward, null.meta["left_empty"]) == (None, ["reward"])
    assert (good.sample, other.sample, null.sample) == (0, 1, 2)


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


def test_an_import_of_bad_rows_only_is_refused(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "p", "completion": ""}, {"prompt": "q", "completion": " "})
    state = imported(lab, path)
    with pytest.raises(InvalidInput, match=r"no row could be read as a rollout \(2 rows\)") as caught:
        refuse_if_nothing_was_read(state, lab.workspace)
    assert "line 1: the completion is empty" in caught.value.detail
    assert not lab.workspace.folder(state.key).path.exists()
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InvalidInput, match="no row could be read"):
        open_files([path])


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
    assert (first.meta["columns"]["seed"], first.meta["left_empty"]) == (str(10**20), ["reward", "seed", "target"])
    assert first.meta["columns"]["deep"] == {"n": [str(10**30)]}
    assert (second.task, second.reward) == ("", None)
    state = imported(lab, path)
    assert (state.rows, state.bad) == (2, 0)
    assert set(state.files[0].left_empty) == {"target", "seed", "numbers", "n_tokens", "reward"}
    with open_store(lab.workspace) as store:
        assert store.ingest().bad_lines == 0


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}]
SAID = [{"role": "assistant", "content": RIGHT}]


def only(tmp_path: Path, row: dict[str, Any], name: str, **options: Any) -> Rollout:
    """The one rollout of a file of one row, which must be read by the importer of that name."""
    path = write(tmp_path / "rows.jsonl", row)
    if not options:
        assert plan_import([path]).files[0].format == name
    (rollout,) = read(path, **options)
    return rollout


def test_values_nested_too_deep_are_unknown(lab: Lab, tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    fields = ("target", "numbers", "ground_truth", "reward", "correct", "answer", "step", "prompt", "other", "messages")
    rows = [{"prompt": "p", "completion": "c", name: deep} for name in fields]
    path = write(tmp_path / "a.jsonl", *rows, {"prompt": "p", "completion": deep})
    state = imported(lab, path)
    assert (state.rows, state.bad) == (len(fields), 1)


def test_chat_messages(tmp_path: Path) -> None:
    one = only(tmp_path, {"messages": MESSAGES + SAID, "id": "m1"}, "chat")
    assert (one.prompt, one.completion) == (f"[system]\nBe brief.\n\n[user]\n{ASK}", RIGHT)
    assert (one.reward, one.meta["source_id"]) == (1.0, "m1")
    assert set(one.meta["worked_out"]) >= {"prompt", "reward"}
    assert "completion" not in one.meta["worked_out"]
    more = only(tmp_path, {"messages": [*MESSAGES, *SAID, {"role": "user", "content": "Sure?"},
                                        {"role": "assistant", "content": "Yes."}]}, "chat")  # fmt: skip
    assert more.completion == "Yes."
    assert more.prompt.endswith(f"[assistant]\n{RIGHT}\n\n[user]\nSure?")


def test_messages_as_json_text(tmp_path: Path) -> None:
    one = only(tmp_path, {"messages": json.dumps(MESSAGES + SAID)}, "chat")
    assert (one.completion, one.correct) == (RIGHT, True)
    text = json.dumps(SAID)  # what a model wrote is never decoded
    assert only(tmp_path, {"prompt": ASK, "completion": text}, "plain").completion == text


def test_sharegpt_conversations(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": ASK}, {"from": "gpt", "value": RIGHT}]
    one = only(tmp_path, {"conversations": turns, "system": "Be brief."}, "sharegpt")
    assert (one.prompt, one.completion) == (f"[system]\nBe brief.\n\n[user]\n{ASK}", RIGHT)
    mapped = only(tmp_path, {"conversations": turns}, "plain", chosen="plain", mapping={"completion": "conversations"})
    assert (mapped.prompt, mapped.completion, mapped.correct) == (ASK, RIGHT, True)
    tools = [{"from": "human", "value": "2 + 2?"}, {"from": "function_call", "value": '{"name": "add"}'},
             {"from": "observation", "value": "4"}, {"from": "gpt", "value": "It is 4."}]  # fmt: skip
    used = only(tmp_path, {"conversations": tools}, "sharegpt")
    assert used.completion == '[assistant]\n[call] {"name": "add"}\n\n[tool]\n4\n\n[assistant]\nIt is 4.'


def test_alpaca_instructions(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"instruction": "Add them.", "input": "4 and 5", "output": "9"},
        {"instruction": "Name a tree.", "input": "", "output": "Oak."},
    )
    first, second = read(path)
    assert [one.prompt for one in (first, second)] == ["Add them.\n\n4 and 5", "Name a tree."]
    assert first.problem_id != second.problem_id
    assert first.reward is None


def test_openai_batch_output(tmp_path: Path) -> None:
    def row(custom_id: str, *choices: dict[str, Any], **more: Any) -> dict[str, Any]:
        body = {"id": "c", "model": "m", "choices": choices, "usage": {"completion_tokens": 9}}
        response = {"status_code": 200, "body": body}
        return {"id": "b", "custom_id": custom_id, "response": response, "error": None, **more}

    def choice(text: str | None, reason: str, **more: Any) -> dict[str, Any]:
        return {"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": reason}

    path = write(
        tmp_path / "a.jsonl",
        row("q1", choice("four", "stop")),
        row("q2", choice("a", "length"), choice("b", "stop", reasoning_content="hm"), scores=[0.0, 1.0]),
        row("q3", {"index": 0, "text": "plain", "finish_reason": "stop"}),
    )
    one, two, three, four = read(path)
    assert (one.completion, one.finish_reason, one.n_tokens) == ("four", "stop", 9)
    assert (one.meta["source_id"], one.problem_id, one.meta["columns"]["model"]) == ("q1", "q1", "m")
    assert [(each.problem_id, each.sample, each.reward) for each in (two, three)] == [("q2", 0, 0.0), ("q2", 1, 1.0)]
    assert (two.finish_reason, three.finish_reason) == ("length", "stop")
    assert three.completion == "<think>\nhm\n</think>\n\nb"
    assert "n_tokens" in three.meta["unknown"]  # 9 is the sum of both
    assert four.completion == "plain"


def test_failed_batch_rows_are_named_with_their_error(lab: Lab, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"id": "b", "custom_id": "q1", "response": None, "error": {"code": "expired", "message": "too late"}},
        {"id": "b", "custom_id": "q2", "response": {"status_code": 500, "body": {"error": {"message": "no model"}}}},
        {"id": "b", "custom_id": "q3", "response": {"status_code": 200, "body": {"choices": []}}, "error": None},
        {"id": "b", "custom_id": "q4", "error": None,
         "response": {"status_code": 200, "body": {"choices": [{"message": {"role": "assistant", "content": ""}}]}}},
    )  # fmt: skip
    state = imported(lab, path)
    assert (state.rows, state.files[0].named) == (0, [
        "line 1: the request failed: too late",
        "line 2: the request failed: no model",
        "line 3: the row has no answer",
        "line 4: the completion is empty",
    ])  # fmt: skip


def test_responses_items_of_nemo_gym(tmp_path: Path) -> None:
    row = {
        "responses_create_params": {"input": [{"role": "user", "content": ASK}], "temperature": 1.0},
        "response": {"id": "resp", "model": "m", "usage": {"output_tokens": 12}, "incomplete_details": None, "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "2 * 6 + 9"}]},
            {"type": "function_call", "name": "sum", "arguments": '{"of": [12, 9]}', "call_id": "c"},
            {"type": "function_call_output", "call_id": "c", "output": "21"},
            {"type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "<answer>2 * 6 + 9</answer>"}]},
        ]},
        "reward": 0.0,
        "expected_answer": "21",
    }  # fmt: skip
    one = only(tmp_path, row, "openai")
    assert one.prompt == ASK
    assert one.completion == (
        '[assistant]\n<think>\n2 * 6 + 9\n</think>\n\n[call sum] {"of": [12, 9]}\n\n[tool]\n21\n\n'
        "[assistant]\n<answer>2 * 6 + 9</answer>"
    )
    said = [(role, kind, one.completion[start:end]) for role, kind, start, end in one.meta["parts"]]
    assert said == [
        ("assistant", "thought", "2 * 6 + 9"),
        ("assistant", "call", '[call sum] {"of": [12, 9]}'),
        ("tool", "result", "21"),
        ("assistant", "text", "<answer>2 * 6 + 9</answer>"),
    ]
    assert (one.reward, one.n_tokens, one.meta["gold"]) == (0.0, 12, "21")
    assert one.meta["checked"]["reward"] == 1.0


def test_anthropic_batch_results(tmp_path: Path) -> None:
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Four."},
               {"type": "tool_use", "name": "say", "input": {"n": 4}}]  # fmt: skip
    message = {"type": "message", "role": "assistant", "content": content, "stop_reason": "max_tokens",
               "usage": {"output_tokens": 3}}  # fmt: skip
    one = only(tmp_path, {"custom_id": "q", "result": {"type": "succeeded", "message": message}}, "openai")
    assert one.completion == '<think>\nhm\n</think>\n\nFour.\n[call say] {"n": 4}'
    assert (one.finish_reason, one.n_tokens, one.meta["source_id"]) == ("length", 3, "q")


def test_trl_adds_rewards_as_trl_does(tmp_path: Path) -> None:
    row = {"step": 7, "prompt": "p", "completion": "c", "accuracy": 1.0, "format_reward": None, "note": "x",
           "advantage": 0.5}  # fmt: skip
    path = write(
        tmp_path / "completions_00003.jsonl",
        row,
        {**row, "format_reward": 0.5},
        {**row, "accuracy": None},
        {**row, "accuracy": math.nan},
    )
    (file,) = plan_import([path]).files
    assert (file.format, file.columns.fields["reward"]) == ("trl", ("accuracy", "format_reward"))
    rollouts = read(path)
    assert [one.reward for one in rollouts] == [1.0, 1.5, None, None]
    assert [one.step for one in rollouts] == [7] * 4
    assert rollouts[3].meta["left_empty"] == ["reward"]


def test_areal_trajectories_take_their_step_from_the_version(tmp_path: Path) -> None:
    path = write(tmp_path / "512.jsonl", {
        "task_id": 512, "sample_idx": 3, "seqlen": 40, "prompt_len": 8, "head_version": 2, "tail_version": 4,
        "reward": 1.0, "prompt": "p", "completion": "c",
    })  # fmt: skip
    assert plan_import([path]).files[0].format == "areal"
    (one,) = read(path)
    assert (one.step, one.problem_id, one.sample, one.reward, one.split) == (2, "512", 3, 1.0, "train")
    assert one.meta["columns"]["tail_version"] == 4
    (plain,) = read(write(tmp_path / "77.jsonl", {"prompt": "p", "completion": "c", "version": 5}))
    assert plain.step == 5


def test_worked_examples(tmp_path: Path) -> None:
    one = only(tmp_path, {"question": ASK, "reasoning": "12 + 9", "answer": "<answer>2 * 6 + 9</answer>"}, "sft")
    assert one.completion == "<think>\n12 + 9\n</think>\n\n<answer>2 * 6 + 9</answer>"
    assert (one.correct, one.meta.get("gold")) == (True, None)
    bare = only(tmp_path, {"question": "1 + 2?", "answer": "1 + 2 = 3\n#### 3"}, "sft")
    assert bare.completion == "1 + 2 = 3\n#### 3"
    verdicts = {"correctness_math_verify": [True, False]}
    row = {"problem": "What is 1 + 2?", "answer": "3", "generations": ["3", "4"], **verdicts}
    good, bad = read(write(tmp_path / "b.jsonl", row))
    assert [(each.completion, each.correct, each.meta["gold"]) for each in (good, bad)] == [
        ("3", True, "3"),
        ("4", False, "3"),
    ]


def test_content_parts_reasoning_and_tool_calls_are_read_in_their_order(tmp_path: Path) -> None:
    completion = [
        {"role": "assistant", "content": [{"type": "text", "value": "Let me add."}], "reasoning_content": "2 and 2",
         "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 2}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
        {"role": "assistant", "content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "4."},
                                          {"type": "image_url", "image_url": {"url": "x"}}]},
    ]  # fmt: skip
    one = only(tmp_path, {"prompt": [{"role": "user", "content": "2 + 2?"}], "completion": completion}, "plain")
    assert one.completion == (
        '[assistant]\n<think>\n2 and 2\n</think>\n\nLet me add.\n[call add] {"a": 2}\n\n[tool]\n4\n\n'
        "[assistant]\nIt is 4.[image_url]"
    )
    for role, kind, start, end in one.meta["parts"]:
        said = ("2 and 2", "Let me add.", '[call add] {"a": 2}', "4", "It is 4.[image_url]")
        assert one.completion[start:end] in said
        assert (role == "tool") == (kind == "result")


def test_commands_show_right_answers_checks_and_refusals(tmp_path: Path) -> None:
    space = str(tmp_path / "space")
    row = {"input": ASK, "output": RIGHT, "gts": "\x1b[2Jtwenty-one", "score": None, "acc": False, "pred": "2 + 6"}
    path = write(tmp_path / "5.jsonl", row, {"input": "p", "output": ""})
    done = cogtui_here("import", str(path), "--workspace", space, "--json")
    assert done.returncode == 0
    (file,) = json.loads(done.stdout)["data"]["files"]
    assert (file["rows"], file["bad"], file["left_empty"]) == (1, 1, {"reward": {"count": 1, "first": "line 1"}})
    (shown,) = json.loads(cogtui_here("rollouts", "--workspace", space, "--json").stdout)["data"]
    assert (shown["reward"], shown["correct"], shown["answer"]) == (None, False, "2 + 6")
    trace = cogtui_here("trace", shown["id"], "--workspace", space).stdout
    assert 'gold      "␛[2Jtwenty-one"' in trace
    assert "check     the task countdown finds correct, answer 2 * 6 + 9; the file states another" in trace
    lone = write(tmp_path / "lone.jsonl", {"prompt": "Say hello.", "completion": "Hello."})
    assert cogtui_here("import", str(lone), "--workspace", space).returncode == 0
    (hello,) = json.loads(cogtui_here("rollouts", "text:hello", "--workspace", space, "--json").stdout)["data"]
    assert (hello["target"], hello["reward"], hello["n_tokens"]) == (None, None, None)
    empty = write(tmp_path / "empty.jsonl", {"prompt": "p", "completion": ""})
    refused = cogtui_here("import", str(empty), "--workspace", space)
    assert refused.returncode == 2
    assert "no row could be read as a rollout (1 rows)" in refused.stderr
