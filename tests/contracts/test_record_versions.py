"""Records of version 1, which had `numbers` and `target`, are read as those of today."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cogtui.analysis.agreement.sources import read_gold_source
from cogtui.store.stage_files.decode import BadLineError, read_rollout, read_trace
from pipelines.behaviors.gold import read_gold
from pipelines.errors import InvalidInput
from pipelines.records import RECORD_VERSION, Rollout, countdown_fields
from pipelines.streams import StreamWriter, complete_lines, parse_line, read_rollouts
from pipelines.traces import PrimingTrace, read_traces

OLD_PROBLEM: dict[str, Any] = {"numbers": [25, 3, 7], "target": 46}
PROBLEM = {"id": "p", "numbers": [25, 3, 7], "target": 46}
OLD: dict[str, Any] = {
    "id": "r1", "step": 2, "split": "test", "problem_id": "p", "sample": 0, **OLD_PROBLEM, "prompt": "?",
    "completion": "<answer>25+3*7</answer>", "reward": 1.0, "correct": True, "answer": "25+3*7",
    "finish_reason": "stop", "n_tokens": 5, "meta": {},
}  # fmt: skip
OLD_TRACE: dict[str, Any] = {
    "id": "t1", "problem_id": "p", "condition": "dots", "teacher": "symbolic", **OLD_PROBLEM, "prompt": "?",
    "completion": "<answer>25+3*7</answer>", "spans": [], "reward": 1.0, "correct": True, "answer": "25+3*7",
    "meta": {},
}  # fmt: skip


def test_a_rollout_file_of_version_1_is_read(tmp_path: Path) -> None:
    line = json.dumps({"v": 1, "stream": "rollouts-test", "seq": 0, **OLD})
    (tmp_path / "rollouts-test-001.jsonl").write_text(line + "\n")
    (rollout,) = read_rollouts(tmp_path)
    assert (rollout.task, rollout.problem) == ("countdown", PROBLEM)
    indexed = read_rollout(line.encode())
    assert (indexed.task, indexed.problem) == ("countdown", PROBLEM)


def test_rollouts_are_written_with_the_version_and_read_back(tmp_path: Path) -> None:
    rollout = Rollout.model_validate({**OLD, "id": "r2"})
    with StreamWriter(tmp_path, "rollouts", "test") as stream:
        stream.append([rollout])
    (line,) = complete_lines(tmp_path / "rollouts-test-001.jsonl")
    written = parse_line(line.data)
    assert (written["v"], written["task"], written["problem"]) == (RECORD_VERSION, "countdown", PROBLEM)
    assert "numbers" not in written
    assert list(read_rollouts(tmp_path)) == [rollout]
    assert read_rollout(line.data).problem == PROBLEM


def test_a_record_without_numbers_is_about_no_known_problem() -> None:
    """Documents, and imported rows whose problem could not be read, had no numbers and the target 0."""
    rollout = Rollout.model_validate({**OLD, "numbers": [], "target": 0})
    assert (rollout.task, rollout.problem) == ("", {"id": "p"})


@pytest.mark.parametrize("change", [{"numbers": "3 4"}, {"target": None}, {"numbers": [3, "4"]}])
def test_a_damaged_record_of_version_1_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"numbers|target"):
        Rollout.model_validate({**OLD, **change})
    with pytest.raises(BadLineError):
        read_rollout(json.dumps({**OLD, **change}).encode())


def test_a_record_without_any_problem_is_refused() -> None:
    rest = {name: value for name, value in OLD.items() if name not in OLD_PROBLEM}
    with pytest.raises(ValidationError, match="problem"):
        Rollout.model_validate(rest)
    with pytest.raises(BadLineError, match="problem"):
        read_rollout(json.dumps(rest).encode())


def test_priming_traces_of_version_1_are_read(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_text(json.dumps(OLD_TRACE) + "\n")
    (trace,) = read_traces(tmp_path / "traces.jsonl")
    assert (trace.task, trace.problem) == ("countdown", PROBLEM)
    assert PrimingTrace.model_validate(trace.model_dump(mode="json")) == trace
    for record in (OLD_TRACE, trace.model_dump(mode="json")):
        assert read_trace(json.dumps(record).encode()).problem == PROBLEM


def test_priming_traces_without_spans_are_no_gold(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    rest = {name: value for name, value in OLD_TRACE.items() if name != "spans"}
    path.write_text(json.dumps({**rest, "spans": []}) + "\n" + json.dumps({**rest, "id": "other"}) + "\n")
    assert len(list(read_traces(path))) == 2
    with pytest.raises(InvalidInput, match="row 2: spans: missing"):
        read_gold_source(path)


def test_gold_rows_of_version_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "a", **OLD_PROBLEM, "text": "x", "spans": []},
        {"id": "b", **countdown_fields([25, 3, 7], 46), "text": "x", "spans": []},
        {"id": "c", "task": "other", "problem": {"id": "q", "question": "why?"}, "text": "x", "spans": []},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second, third = read_gold(path)
    assert (first.task, first.problem) == (second.task, second.problem) == ("countdown", {**PROBLEM, "id": "3-7-25_46"})
    assert (third.problem_id, third.problem["question"]) == ("q", "why?")
