"""Evaluation logs of other programs become the rollouts they are; what they do not state stays empty."""

import gzip
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.store.importing.convert import Converter
from cogtui.store.importing.plan import ImportPlan, plan_import
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns
from cogtui.store.importing.registry import IMPORTERS
from pipelines.errors import InvalidInput
from pipelines.records import Rollout
from pipelines.row_files import row_stem
from tests.store.benchmark_rows import LIGHTEVAL, OPENCOMPASS, SWE, TAU

LM_EVAL: Final[dict[str, Any]] = {
    "doc_id": 17, "doc": {"question": "What is 6 + 7?"}, "target": "13", "resps": [["Six and seven are 13."]],
    "arguments": {"gen_args_0": {"arg_0": "Q: What is 6 + 7?\nA:", "arg_1": {"until": ["Q:"]}}},
    "filtered_resps": ["13"], "filter": "flexible-extract", "metrics": ["exact_match"], "exact_match": 1.0,
}  # fmt: skip
INSPECT_SAMPLE: Final[dict[str, Any]] = {
    "id": "s7", "epoch": 2, "input": "What is 6 + 7?", "target": "13", "choices": None,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "attachment://abc"},
        {"role": "assistant",
         "content": [{"type": "reasoning", "reasoning": "Six and seven."}, {"type": "text", "text": "I ask."}],
         "tool_calls": [{"id": "1", "function": "add", "arguments": {"a": 6, "b": 7}, "type": "function"}]},
        {"role": "tool", "content": "13", "function": "add"},
        {"role": "assistant", "content": "It is 13."},
    ],
    "output": {"model": "m/x", "choices": [
        {"message": {"role": "assistant", "content": "It is 13."}, "stop_reason": "stop"},
    ]},
    "scores": {"match": {"value": "C", "answer": "13"}}, "attachments": {"abc": "What is 6 + 7?"},
    "model_usage": {"m/x": {"input_tokens": 9, "output_tokens": 21}},
}  # fmt: skip
GYM_RESULT: Final[dict[str, Any]] = {
    "question": "What is 6 + 7?", "expected_answer": "13", "metadata": {"source_index": 4},
    "best_model_answer": "13", "best_full_model_response": "<answer>13</answer>", "best_score": 1.0,
    "completions": [
        {"model_answer": "13", "full_model_response": "<answer>13</answer>", "score": 1.0},
        {"model_answer": None, "full_model_response": "no idea", "score": 0.0},
    ],
}  # fmt: skip
VERIFIERS: Final[dict[str, Any]] = {
    "example_id": 3, "prompt": [{"role": "user", "content": "What is 6 + 7?"}], "answer": "13", "task": "sums",
    "completion": [{"role": "assistant", "content": "It is 14."}], "reward": 0.25, "is_truncated": True,
    "token_usage": {"input_tokens": 8.0, "output_tokens": 5.0}, "correct_answer": 0.0,
}  # fmt: skip
HELM_STATE: Final[dict[str, Any]] = {
    "instance": {
        "input": {"text": "6 + 7?"}, "split": "valid", "id": "id4",
        "references": [{"output": {"text": "13"}, "tags": ["correct"]}, {"output": {"text": "14"}, "tags": []}],
    },
    "request": {"model": "m/x", "prompt": "Question: 6 + 7?\nAnswer:"}, "train_trial_index": 0,
    "result": {"success": True, "completions": [{"text": " 13", "finish_reason": {"reason": "length"}},
                                                {"text": " 14", "thinking": {"text": "maybe"}}]},
}  # fmt: skip
EVERY_EVAL: Final[dict[str, Any]] = {
    "schema_version": "0.2.1", "evaluation_id": "e1", "model_id": "m/x", "evaluation_name": "sums", "sample_id": "q9",
    "interaction_type": "single_turn", "input": {"raw": "6 + 7?", "reference": ["13"]},
    "output": {"raw": ["It is 13."], "reasoning_trace": ["Six and seven."]},
    "answer_attribution": [{"turn_idx": 0, "source": "output.raw", "extracted_value": "13", "is_terminal": True}],
    "evaluation": {"score": 1.0, "is_correct": True}, "token_usage": {"output_tokens": 11},
}  # fmt: skip
ATIF: Final[dict[str, Any]] = {
    "schema_version": "ATIF-v1.4", "session_id": "t-1", "agent": {"name": "a", "version": "1", "model_name": "m/x"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "Add 6 and 7."},
        {"step_id": 2, "source": "agent", "message": "I will run it.", "reasoning_content": "A sum.",
         "tool_calls": [{"tool_call_id": "c", "function_name": "sh", "arguments": {"cmd": "expr 6 + 7"}}],
         "observation": {"results": [{"source_call_id": "c", "content": "13"}]}},
        {"step_id": 3, "source": "agent", "message": "It is 13."},
    ],
    "final_metrics": {"total_completion_tokens": 40},
}  # fmt: skip


def log(*samples: Any) -> dict[str, Any]:
    return {"version": 2, "status": "success", "eval": {"task": "sums", "model": "m/x"}, "samples": list(samples)}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = content if isinstance(content, list) else None
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) if rows else json.dumps(content, indent=1))
    return path


def read_plan(plan: ImportPlan) -> tuple[list[Rollout], list[str]]:
    """The rollouts of a plan, and the messages about bad rows."""
    records: list[dict[str, Any]] = []
    problems: list[str] = []
    for file in plan.files:
        converter = Converter(file.importer, file.columns, plan.key, row_stem(file.place), file.stream)
        for row in file.rows():
            try:
                if row.value is None:
                    raise BadRowError(row.problem)
                converted = converter.convert(row.value)
            except BadRowError as error:
                problems.append(f"{row.place}: {error}")
                continue
            problems += converted.problems
            records += [converter.record(one, len(records) + at) for at, one in enumerate(converted.rollouts)]
    return [Rollout.model_validate(record) for record in records], problems


def read(path: Path, **options: Any) -> list[Rollout]:
    rollouts, problems = read_plan(plan_import([path], **options))
    assert problems == []
    return rollouts


def test_lm_eval(tmp_path: Path) -> None:
    choices = {**LM_EVAL, "resps": [[[-1.5, True]], [[-2.5, False]]], "filtered_resps": [[-1.5, True], [-2.5, False]]}
    repeated = {**LM_EVAL, "doc_id": 18, "resps": [["13", "14"]], "filtered_resps": [["13", "14"]],
                "exact_match": [1.0, math.nan], "filter": "none"}  # fmt: skip
    rollouts, problems = read_plan(plan_import([write(tmp_path / "samples_sums.jsonl", [LM_EVAL, choices, repeated])]))
    first, second, third = rollouts
    assert (first.prompt, first.completion) == ("Q: What is 6 + 7?\nA:", "Six and seven are 13.")
    assert (first.problem_id, first.sample, first.split) == ("17", 0, "test")
    assert (first.reward, first.correct, first.answer, first.meta["gold"]) == (1.0, True, "13", "13")
    assert first.task == ""
    assert first.meta["condition"] == "flexible-extract"
    assert not {"reward", "correct", "answer", "completion", "prompt"} & set(first.meta["worked_out"])
    assert [(one.sample, one.reward, one.answer) for one in (second, third)] == [(0, 1.0, "13"), (1, None, "14")]
    assert third.meta["left_empty"] == ["reward"]
    assert problems == ["line 2: no text in resps: the responses are log-likelihoods of choices"]


def test_inspect_json_and_eval_are_read_alike(tmp_path: Path) -> None:
    failed = {
        **INSPECT_SAMPLE,
        "id": "s8",
        "messages": [],
        "output": {"choices": []},
        "error": {"message": "timed\nout"},
    }
    document = write(tmp_path / "log.json", log(INSPECT_SAMPLE, failed))
    archive = tmp_path / "log.eval"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", json.dumps({"eval": {"task": "sums", "model": "m/x"}}))
        file.writestr("summaries.json", json.dumps([{"id": "s7", "epoch": 2}]))
        file.writestr("samples/s8_epoch_2.json", json.dumps(failed))
        file.writestr("samples/s7_epoch_2.json", json.dumps(INSPECT_SAMPLE))
    for path in (document, archive):
        plan = plan_import([path])
        assert [file.format for file in plan.files] == ["inspect"]
        assert plan.left_out == ()
        (rollout,), problems = read_plan(plan)
        assert (rollout.prompt, rollout.problem_id, rollout.sample) == (
            "[system]\nBe brief.\n\n[user]\nWhat is 6 + 7?",
            "s7",
            1,
        )
        assert rollout.completion == (
            '[assistant]\n<think>\nSix and seven.\n</think>\n\nI ask.\n[call add] {"a": 6, "b": 7}\n\n'
            "[tool]\n13\n\n[assistant]\nIt is 13."
        )
        kinds = [(kind, rollout.completion[start:end]) for _, kind, start, end in rollout.meta["parts"]]
        assert kinds[0] == ("thought", "Six and seven.")
        assert kinds[3] == ("result", "13")
        assert (rollout.reward, rollout.correct, rollout.answer, rollout.n_tokens) == (1.0, True, "13", 21)
        assert "reward" in rollout.meta["worked_out"]
        assert "correct" not in rollout.meta["worked_out"]
        assert (rollout.meta["columns"]["model"], rollout.meta["gold"]) == ("m/x", "13")
        assert len(problems) == 1
        assert "ended with the error 'timed out'" in problems[0]


@pytest.mark.parametrize(
    ("value", "reward", "correct"),
    [("C", 1.0, True), ("I", 0.0, False), ("P", 0.5, None), ("N", 0.0, None), (0.75, 0.75, None), (1.0, 1.0, None),
     (True, 1.0, True), (None, None, None), ("x", None, None), ({"a": 1}, None, None), (math.nan, None, None)],
)  # fmt: skip
def test_inspect_scores(tmp_path: Path, value: Any, reward: float | None, correct: bool | None) -> None:
    sample = {**INSPECT_SAMPLE, "scores": {"any": {"value": value}}}
    (rollout,) = read(write(tmp_path / "log.json", log(sample)))
    assert (rollout.reward, rollout.correct) == (reward, correct)
    assert ("reward" in rollout.meta.get("left_empty", ())) is (reward is None)


def test_reasoning_gym(tmp_path: Path) -> None:
    one = {"name": "sums", "results": [GYM_RESULT]}
    lone = {key: value for key, value in GYM_RESULT.items() if key != "completions"}
    many = {
        "model": "m/x",
        "categories": [{"name": "c", "datasets": [{"name": "sums", "results": [GYM_RESULT, lone]}]}],
    }
    first, second = read(write(tmp_path / "sums.json", one))
    assert (first.completion, first.answer, first.reward, first.correct) == ("<answer>13</answer>", "13", 1.0, None)
    assert (first.problem_id, first.sample, second.problem_id, second.sample) == ("sums-4", 0, "sums-4", 1)
    assert (second.answer, second.reward, second.meta["left_empty"]) == (None, 0.0, ["answer"])
    assert first.meta["gold"] == "13"
    every = read(write(tmp_path / "all.json", many))
    assert [one.completion for one in every] == ["<answer>13</answer>", "no idea", "<answer>13</answer>"]


def test_verifiers(tmp_path: Path) -> None:
    (rollout,) = read(write(tmp_path / "results.jsonl", [VERIFIERS]))
    assert (rollout.prompt, rollout.completion, rollout.problem_id) == ("What is 6 + 7?", "It is 14.", "3")
    assert (rollout.reward, rollout.answer, rollout.meta["gold"]) == (0.25, None, "13")
    assert (rollout.finish_reason, rollout.n_tokens) == ("length", 5)


def test_helm(tmp_path: Path) -> None:
    failed = {**HELM_STATE, "result": {"success": False, "completions": [], "error": "rate limit"}}
    path = write(tmp_path / "scenario_state.json", {"adapter_spec": {}, "request_states": [HELM_STATE, failed]})
    (first, second), problems = read_plan(plan_import([path]))
    assert (first.prompt, first.completion, first.split) == ("Question: 6 + 7?\nAnswer:", " 13", "valid")
    assert (first.problem_id, first.finish_reason, first.meta["gold"]) == ("id4", "length", "13")
    assert (first.sample, second.sample, first.reward, first.correct) == (0, 1, None, None)
    assert second.completion == "<think>\nmaybe\n</think>\n\n 14"
    assert problems == ["request_states[2]: no completions in the result: rate limit"]
    predictions = [{"instance_id": "id4", "predicted_text": "13", "stats": {"f1": 0.5, "exact_match": 1.0}}]
    (shown,) = read(write(tmp_path / "display_predictions.json", predictions))
    assert (shown.completion, shown.reward, shown.correct) == ("13", 1.0, True)
    plan = plan_import([tmp_path])  # both are of the same requests
    assert [file.path.name for file in plan.files] == ["scenario_state.json"]
    assert [each.path.name for each in plan.left_out] == ["display_predictions.json"]


def test_scores_of_a_helm_run_are_read_from_its_other_files(tmp_path: Path) -> None:
    one = {**HELM_STATE, "result": {"completions": [{"text": " 13"}]}}
    noisy = {**one, "instance": {**one["instance"], "perturbation": {"name": "typos", "fairness": True}}}
    choice = {**one, "reference_index": 1}
    write(tmp_path / "scenario_state.json", {"adapter_spec": {}, "request_states": [one, noisy, HELM_STATE, choice]})

    def stats(value: float, **more: Any) -> dict[str, Any]:
        means = {"num_references": 2.0, "inference_runtime": 0.7, "quasi_exact_match": value, "f1_score": 0.5}
        listed = [{"name": {"name": name, "split": "valid"}, "count": 1, "mean": each} for name, each in means.items()]
        return {"instance_id": "id4", "train_trial_index": 0, "stats": listed, **more}

    perturbed = stats(0.0, perturbation={"fairness": True, "name": "typos"})
    (tmp_path / "per_instance_stats.json").write_text(json.dumps([stats(1.0), perturbed]))
    plan = plan_import([tmp_path])
    assert [(each.path.name, each.reason) for each in plan.left_out] == [
        ("per_instance_stats.json", "it is read with scenario_state.json")
    ]
    rollouts, problems = read_plan(plan)
    assert problems == []
    assert [(each.reward, each.correct) for each in rollouts] == [
        (1.0, True), (0.0, False), (None, None), (None, None), (None, None),
    ]  # fmt: skip
    assert "reward" not in rollouts[0].meta["worked_out"]
    assert rollouts[0].meta["columns"]["reward_from"] == "quasi_exact_match"
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        for name in ("scenario_state.json", "per_instance_stats.json"):
            archive.write(tmp_path / name, f"run/{name}")
    zipped, _ = read_plan(plan_import([tmp_path / "run.zip"]))
    assert [each.reward for each in zipped] == [each.reward for each in rollouts]


def test_predictions_of_helm_have_the_prompts_of_their_run(tmp_path: Path) -> None:
    shown = {"instance_id": "id4", "predicted_text": "13", "train_trial_index": 0}
    counts = {**shown, "stats": {"num_references": 1.0, "rouge_l": 0.25}}
    write(tmp_path / "display_predictions.json", [counts, {**shown, "stats": {"num_output_tokens": 7.0}}])
    (tmp_path / "display_requests.json").write_text(
        json.dumps([{"instance_id": "id4", "request": HELM_STATE["request"]}])
    )
    (tmp_path / "instances.json").write_text(json.dumps([HELM_STATE["instance"]]))
    (first, second), _ = read_plan(plan_import([tmp_path]))
    assert (first.prompt, first.split, first.meta["gold"]) == ("Question: 6 + 7?\nAnswer:", "valid", "13")
    assert (first.reward, first.correct) == (0.25, None)
    assert (second.reward, second.correct) == (None, None)  # a number of tokens is no score


@pytest.mark.parametrize(
    ("files", "reward"),
    [
        ({"result.json": {"task_name": "sums", "verifier_result": {"rewards": {"reward": 0.5, "tests": 3}}}}, 0.5),
        ({"result.json": {"task_name": "sums", "verifier_result": {"rewards": {"score": 0.5}}}}, 0.5),
        ({"result.json": {"task_name": "sums", "verifier_result": {"rewards": {"a": 0.5, "b": 1}}}}, None),
        ({"result.json": {"task_name": "sums", "verifier_result": None, "exception_info": {"exception_type": "T"}},
          "verifier/reward.txt": "1"}, None),
        ({"verifier/reward.txt": "1\n"}, 1.0),
        ({"verifier/reward.txt": "0", "verifier/reward.json": {"reward": 0.75}}, 0.75),
        ({"result.json": "[", "verifier/reward.txt": "none"}, None),
    ],
)  # fmt: skip
def test_rewards_of_harbor_are_read_from_the_trial(tmp_path: Path, files: dict[str, Any], reward: float | None) -> None:
    write(tmp_path / "sums__a" / "agent" / "trajectory.json", ATIF)
    for name, content in files.items():
        path = tmp_path / "sums__a" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    plan = plan_import([tmp_path])
    assert {each.reason for each in plan.left_out} == {"it is read with trajectory.json"}
    (rollout,), problems = read_plan(plan)
    assert (rollout.reward, rollout.correct, problems) == (reward, None, [])
    if isinstance(files.get("result.json"), dict):
        assert rollout.problem_id == "sums"


def test_every_eval_ever(tmp_path: Path) -> None:
    talk = {**EVERY_EVAL, "interaction_type": "agentic", "output": None, "messages": [
        {"turn_idx": 0, "role": "user", "content": "6 + 7?"},
        {"turn_idx": 1, "role": "assistant", "content": None,
         "tool_calls": [{"id": "1", "name": "add", "arguments": {"a": "6"}}]},
        {"turn_idx": 2, "role": "tool", "content": "13", "tool_call_id": ["1"]},
        {"turn_idx": 3, "role": "assistant", "content": "It is 13.", "reasoning_trace": "Done."},
    ]}  # fmt: skip
    several = {**EVERY_EVAL, "output": {"raw": ["13", "14"]}, "sample_id": "q10"}
    rollouts = read(write(tmp_path / "results.jsonl", [EVERY_EVAL, talk, several]))
    first, second, third, fourth = rollouts
    assert (first.prompt, first.completion) == ("6 + 7?", "<think>\nSix and seven.\n</think>\n\nIt is 13.")
    assert (first.reward, first.correct, first.answer, first.n_tokens) == (1.0, True, "13", 11)
    assert (first.problem_id, first.meta["gold"]) == ("q9", "13")
    assert second.prompt == "6 + 7?"
    assert second.completion.startswith('[assistant]\n[call add] {"a": "6"}\n\n[tool]\n13')
    for number, one in enumerate((third, fourth)):  # one score of two outputs belongs to neither
        assert (one.sample, one.reward, one.correct) == (number, None, None)
        assert one.meta["columns"]["evaluation"]["score"] == 1.0


def test_agent_trajectories(tmp_path: Path) -> None:
    (rollout,) = read(write(tmp_path / "trial" / "agent" / "trajectory.json", ATIF).parent.parent)
    assert (rollout.prompt, rollout.n_tokens, rollout.reward) == ("Add 6 and 7.", 40, None)
    assert rollout.meta["source_id"] == "t-1"
    assert rollout.completion == (
        '[assistant]\n<think>\nA sum.\n</think>\n\nI will run it.\n[call sh] {"cmd": "expr 6 + 7"}\n\n'
        "[tool]\n13\n\n[assistant]\nIt is 13."
    )


def test_a_saved_hugging_face_dataset(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    for split in ("train", "test"):
        folder = tmp_path / "set" / split
        folder.mkdir(parents=True)
        table = pyarrow.table({"prompt": ["6 + 7?"], "completion": [f"13 in {split}"], "reward": [None]})
        with pyarrow.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
            writer.write_table(table)
        write(folder / "state.json", {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split})
        write(folder / "dataset_info.json", {"features": {"prompt": {"dtype": "string"}}, "description": ""})
    write(tmp_path / "set" / "dataset_dict.json", {"splits": ["train", "test"]})
    plan = plan_import([tmp_path / "set"])
    rollouts, problems = read_plan(plan)
    assert ([one.completion for one in rollouts], problems) == (["13 in test", "13 in train"], [])
    assert {each.path.name for each in plan.left_out} == {"state.json", "dataset_info.json", "dataset_dict.json"}
    assert "left out: " in "\n".join(plan.lines())


def test_a_folder_is_searched_at_any_depth_and_the_rest_is_named(tmp_path: Path) -> None:
    row = {"input": "6 + 7?", "output": "13", "score": 1.0}
    deep = tmp_path / "a" / "b" / "c"
    write(deep / "2.jsonl", [row])
    (deep / "10.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    write(tmp_path / "config.json", {"output": "somewhere"})
    write(tmp_path / ".cache" / "x.jsonl", [row])
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "broken.jsonl").write_text("not json\n")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("in/3.jsonl", json.dumps(row))
        archive.writestr("in/readme.md", "x")
    plan = plan_import([tmp_path])
    rollouts, problems = read_plan(plan)
    assert ([one.step for one in rollouts], problems) == ([2, 10, 3], [])
    reasons = {each.path.name: each.reason for each in plan.left_out}
    assert set(reasons) == {"config.json", ".cache", "notes.txt", "broken.jsonl", "readme.md"}
    assert "holds no rows" in reasons["broken.jsonl"]
    with pytest.raises(InvalidInput, match="no file can be read") as caught:
        plan_import([write(tmp_path / "only" / "config.json", {"output": "somewhere"}).parent])
    assert "config.json" in caught.value.detail


def test_documents_of_other_programs_are_described_with_the_map_that_reads_them(tmp_path: Path) -> None:
    rows = [{"q": "6 + 7?", "said_text": f"It is {number}."} for number in range(100)]
    path = write(tmp_path / "odd.json", {"meta": {"model": "x"}, "results": rows})
    with pytest.raises(InvalidInput, match="a JSON object with 100 objects under 'results'") as caught:
        plan_import([path])
    assert "--map rows=results --map completion=said_text" in caught.value.remedy
    read_rows = read(path, mapping={"rows": "results", "completion": "said_text", "prompt": "q"})
    assert [one.completion for one in read_rows[:2]] == ["It is 0.", "It is 1."]
    known = write(tmp_path / "known.json", {"data": {"items": [{"prompt": "6 + 7?", "completion": "13"}]}})
    plan = plan_import([known])
    assert "under data.items" in "\n".join(plan.lines())
    assert [one.completion for one in read_plan(plan)[0]] == ["13"]
    with pytest.raises(InvalidInput, match="no list of objects under 'nothing'") as caught:
        plan_import([path], mapping={"rows": "nothing"})
    assert "results" in caught.value.remedy


ANY: Final = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.sampled_from(["C", "1.0", "nan"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)
LAYOUTS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "lm-eval": lambda row: row,
    "inspect": lambda sample: log(sample),
    "reasoning-gym": lambda result: {"name": "sums", "results": [result]},
    "verifiers": lambda row: row,
    "helm": lambda state: {"adapter_spec": {}, "request_states": [state]},
    "every-eval-ever": lambda row: row,
    "atif": lambda row: row,
    "swe-agent": lambda row: row,
    "tau-bench": lambda row: row,
    "opencompass": lambda row: {"0": row},
    "lighteval": lambda row: row,
}
GOOD: Final[dict[str, dict[str, Any]]] = {
    "lm-eval": LM_EVAL, "inspect": INSPECT_SAMPLE, "reasoning-gym": GYM_RESULT, "verifiers": VERIFIERS,
    "helm": HELM_STATE, "every-eval-ever": EVERY_EVAL, "atif": ATIF,
    "swe-agent": SWE, "tau-bench": TAU, "opencompass": OPENCOMPASS["0"], "lighteval": LIGHTEVAL,
}  # fmt: skip


def numbers_in(value: Any) -> set[float]:
    """All numbers in a value, also those in texts."""
    if isinstance(value, dict):
        return set().union(*(numbers_in(each) for each in value.values()), set())
    if isinstance(value, list):
        return set().union(*(numbers_in(each) for each in value), set())
    try:
        return {float(value)} if value is not None else set()
    except (ValueError, OverflowError, TypeError):
        return set()


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@given(data=st.data())
def test_rows_of_any_values_neither_crash_nor_gain_values(layout: str, data: st.DataObject) -> None:
    good = GOOD[layout]
    wrong = data.draw(st.dictionaries(st.sampled_from(sorted(good)), ANY, max_size=3), label="replaced")
    missing = data.draw(st.sets(st.sampled_from(sorted(good)), max_size=2), label="missing")
    row = {name: value for name, value in {**good, **wrong}.items() if name not in missing}
    nested = data.draw(st.sampled_from([name for name, value in good.items() if isinstance(value, dict)] or [""]))
    if nested and isinstance(row.get(nested), dict):
        row[nested] = {**row[nested], data.draw(st.sampled_from(sorted(good[nested]))): data.draw(ANY)}
    importer = IMPORTERS.get(layout)
    columns = ImportColumns()
    if layout == "verifiers":
        columns = importer.columns(FileSample(Path("x"), [good]), {})
    converter = Converter(importer, columns, "import-0", "rows", "rows")
    whole = LAYOUTS[layout](row)
    parts = [part for _, part in importer.parts(whole)] if hasattr(importer, "parts") else [whole]
    known = numbers_in(whole) | {0.0, 0.5, 1.0}
    for part in parts:
        try:
            converted = converter.convert(part)
        except BadRowError as error:
            said = str(error)
            crashed = said.startswith("the importer ")
            assert not crashed, said
            continue
        for number, placed in enumerate(converted.rollouts):
            record = Rollout.model_validate(converter.record(placed, number))
            json.dumps(record.model_dump(mode="json"), allow_nan=False)
            assert record.completion.strip()
            if record.reward is not None:
                assert record.reward in known
            if "reward" in placed.stated.empty:
                assert record.reward is None
