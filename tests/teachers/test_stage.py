"""The `priming_data` stage as it is run: files, counts, inputs, errors."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput, NotFound
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage, validated_config
from pipelines.stages import content_key, stage_kind
from pipelines.tasks.countdown.problems import make_problem
from pipelines.teachers.conditions import CONDITIONS
from pipelines.teachers.configs import PrimingDataConfig
from pipelines.traces import PrimingTrace, read_traces
from tests.teachers.conftest import MINI, TEST, TRAIN, RunStage

WRITTEN = [name for name, condition in CONDITIONS.items() if condition.origin == "written"]


def traces_of(folder: StageFolder) -> list[PrimingTrace]:
    return list(read_traces(folder.artifact("traces.jsonl")))


@pytest.mark.parametrize("style", ["plain", "varied"])
@pytest.mark.parametrize("condition", WRITTEN)
def test_writes_scored_traces_and_counts_them(priming: RunStage, condition: str, style: str) -> None:
    folder = priming("set", condition=condition, style=style, n=100)
    traces = traces_of(folder)
    result = folder.result()
    assert result is not None
    assert len(traces) == len({trace.id for trace in traces}) == result["n"] == 100
    assert result["accuracy"] == 1.0
    assert result["adherence"] == {"unwanted": 0, "incomplete": 0}
    for behavior in BEHAVIORS:
        n = sum(span.behavior == behavior and not span.weak for trace in traces for span in trace.spans)
        assert result["behaviors"][behavior]["mean"] == pytest.approx(n / 100)
        assert (n > 0) == (behavior in CONDITIONS[condition].behaviors)
    by_id = {problem.id: problem for problem in TRAIN}
    for trace in traces:
        problem = by_id[trace.problem_id]
        assert trace.prompt == MINI.prompt(problem)
        score = MINI.score(trace.completion, problem)
        assert (trace.reward, trace.correct, trace.answer) == (score.reward, score.correct, score.answer)
    per_problem = [sum(trace.problem_id == problem.id for trace in traces) for problem in TRAIN]
    if condition != "negative_control":  # some problems have few linear solutions
        assert max(per_problem) - min(per_problem) <= 3


def test_the_same_config_and_seed_give_the_same_bytes(priming: RunStage) -> None:
    def artifact(name: str, **config: Any) -> bytes:
        return priming(name, condition="all_strategies", style="varied", **config).artifact("traces.jsonl").read_bytes()

    first = artifact("a")
    assert first == artifact("b")
    assert first != artifact("c", seed=1)


def test_a_trace_that_repeats_another_is_kept_only_when_there_are_no_more(priming: RunStage) -> None:
    folder = priming("set", condition="negative_control", n=60)
    result = folder.result()
    assert result is not None
    distinct = len({(trace.problem_id, trace.completion) for trace in traces_of(folder)})
    assert result["n"] == 60
    assert result["repeats"] == 60 - distinct > 0
    assert result["dropped"]["repeat"] > 300
    plenty = priming("plenty", condition="backtracking_verification", n=60).result()
    assert plenty is not None
    assert plenty["repeats"] == 0


def test_failed_attempts_stay_in_their_range(priming: RunStage) -> None:
    folder = priming("set", condition="only_backtracking", failed_attempts=[2, 4])
    assert {trace.meta["failed_attempts"] for trace in traces_of(folder)} == {2, 3, 4}


def test_words_stay_below_their_bound(priming: RunStage) -> None:
    folder = priming("set", condition="all_strategies", max_words=80)
    assert all(trace.meta["words"] <= 80 for trace in traces_of(folder))


def test_unsolved_searches_are_kept_when_asked(priming: RunStage) -> None:
    folder = priming("set", condition="backtracking_verification", unsolved="keep", failed_attempts=[0, 2], n=60)
    result = folder.result()
    assert result is not None
    unsolved = [trace for trace in traces_of(folder) if trace.answer is None]
    assert 5 < len(unsolved) < 60
    assert result["answered"] == pytest.approx(1 - len(unsolved) / 60)
    for trace in unsolved:
        assert (trace.reward, trace.correct) == (0.0, False)
        assert trace.meta["failed_attempts"] == 3 - 1
        assert trace.completion.endswith("I stop here . </think>")


def test_linear_traces_can_be_wrong_by_share(priming: RunStage) -> None:
    result = priming("set", condition="negative_control", linear_correct=0.3, n=100).result()
    assert result is not None
    assert 0.15 < result["accuracy"] < 0.5
    assert result["answered"] == 1.0


@pytest.mark.parametrize("condition", ["empty_cot", "no_positive_all_strategies"])
def test_control_sets_come_from_another_set_or_from_one_written_on_the_way(priming: RunStage, condition: str) -> None:
    source = priming("source", condition="all_strategies")
    derived = priming("derived", (source.path,), condition=condition)
    alone = priming("alone", condition=condition)
    result = derived.result()
    assert result is not None
    assert result["source"] == source.key
    by_id = {trace.id: trace for trace in traces_of(source)}
    for trace in traces_of(derived):
        origin = by_id[trace.meta["source"]]
        assert (trace.problem_id, trace.prompt) == (origin.problem_id, origin.prompt)
    assert [t.completion for t in traces_of(derived)] == [t.completion for t in traces_of(alone)][: len(by_id)]


@pytest.mark.parametrize("wrong_answers", ["illegal_line", "corrupted_answer"])
def test_every_answer_is_wrong_and_the_behaviours_are_there(priming: RunStage, wrong_answers: str) -> None:
    folder = priming("set", condition="no_positive_all_strategies", wrong_answers=wrong_answers, n=30)
    result = folder.result()
    assert result is not None
    assert (result["n"], result["accuracy"], result["answered"]) == (30, 0.0, 1.0)
    assert result["mean_reward"] == pytest.approx(0.1)
    assert result["adherence"] == {"unwanted": 0, "incomplete": 0}
    assert result["behaviors"]["verification"]["present"] == 1.0
    for trace in traces_of(folder):
        for span in trace.spans:
            assert trace.completion[span.start : span.end] == span.quote


@pytest.mark.train
def test_dots_take_the_tokenizer_of_the_model_given(priming: RunStage, tmp_path: Path) -> None:
    from pipelines.teachers.symbolic.lexicon import phrases
    from pipelines.tokenizer import build_tokenizer

    model = tmp_path / "base"
    (model / "artifacts" / "model").mkdir(parents=True)
    tokenizer = build_tokenizer(phrases("plain"), [MINI.prompt(TRAIN[0])], range(51))
    tokenizer.save_pretrained(model / "artifacts" / "model")
    (model / "stage.json").write_text('{"kind": "base", "key": "base-0", "config": {}}')
    StageFolder(model).write_result({})
    folder = priming("set", (model,), condition="dots")
    result = folder.result()
    assert result is not None
    assert "notes" not in result  # none differs in length
    source = {trace.id: trace for trace in traces_of(priming("source", condition="all_strategies"))}
    for trace, origin in zip(traces_of(folder), source.values(), strict=True):
        assert len(tokenizer(trace.completion)["input_ids"]) == len(tokenizer(origin.completion)["input_ids"])
        assert trace.correct


def test_dots_without_a_model_say_what_to_add(priming: RunStage) -> None:
    with pytest.raises(InvalidInput, match="tokenizer") as caught:
        priming("set", condition="dots")
    assert "needs" in caught.value.remedy


def human_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))  # no newline at the end, as editors leave it
    return path


GOOD = {"nums": [3, 7, 5], "target": 16, "text": "21 - 5, so <answer>3*7-5</answer>", "who": "ann"}


def test_people_s_traces_are_imported_and_test_problems_left_out(priming: RunStage, tmp_path: Path) -> None:
    span = {"behavior": "backtracking", "start": 0, "end": 4, "quote": "hmm,"}
    rows = [
        GOOD,
        {"numbers": [6, 4, 2], "target": 14, "completion": "<answer>2*4+6</answer>"},
        {"numbers": [1, 2, 9], "target": 18, "completion": "hmm, <answer>9+2</answer>", "spans": [span]},
    ]
    assert make_problem((6, 4, 2), 14).key == TEST[0].key
    folder = priming("set", condition="human_cot", traces=str(human_file(tmp_path / "people.jsonl", rows)))
    result = folder.result()
    assert result is not None
    assert result["dropped"] == {"test_problem": 1}
    first, second = traces_of(folder)
    assert (first.teacher, first.correct, first.completion) == ("human", True, GOOD["text"])
    assert first.prompt == MINI.prompt(make_problem((3, 7, 5), 16))
    assert (second.correct, second.reward) == (False, 0.1)
    assert [s.quote for s in second.spans] == ["hmm,"]


@pytest.mark.parametrize(
    "row",
    [
        {"numbers": [3, 7, 5], "completion": "x"},
        {"numbers": [3], "target": 3, "completion": "x"},
        {"numbers": [3, 7], "target": 3, "completion": ""},
        {"numbers": [3, 7], "target": 3, "completion": "abc", "spans": [
            {"behavior": "subgoal", "start": 0, "end": 2, "quote": "xy"}]},
        {"numbers": [3, 7], "target": 3, "completion": "abc", "spans": [
            {"behavior": "laughing", "start": 0, "end": 2, "quote": "ab"}]},
    ],
)  # fmt: skip
def test_a_bad_line_of_people_s_traces_is_named(priming: RunStage, tmp_path: Path, row: dict[str, Any]) -> None:
    path = human_file(tmp_path / "people.jsonl", [GOOD, row])
    with pytest.raises(InvalidInput, match="line 2"):
        priming("set", condition="human_cot", traces=str(path))
    assert not (tmp_path / "set" / "result.json").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"condition": "none"}, "skip this stage"),
        ({"condition": "dots", "source_condition": "empty_cot"}, "source_condition"),
        ({"condition": "human_cot"}, "traces"),
        ({"condition": "only_backtracking", "failed_attempts": [4, 2]}, "failed_attempts"),
        ({"condition": "only_backtracking", "teacher": "nobody"}, "teachers: symbolic"),
        ({"condition": "backtrackin"}, "all_strategies"),
        ({"condition": "only_backtracking", "n": 0}, "greater"),
    ],
)
def test_a_wrong_config_is_refused_with_the_reason(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        validated_config(stage_kind("priming_data"), config, tmp_path)
    assert words in str(caught.value)


def test_problems_that_no_search_solves_are_an_error_with_the_reasons(
    problems_stage: Callable[..., Path], priming: RunStage
) -> None:
    problems_stage(train=[make_problem((1, 1, 1), 49)])
    with pytest.raises(InvalidInput, match="none of 20 requested traces") as caught:
        priming("set", condition="only_backtracking", n=1)
    assert "unsolved: 20" in caught.value.detail


def test_no_training_problems_are_an_error(problems_stage: Callable[..., Path], priming: RunStage) -> None:
    problems_stage(train=[])
    with pytest.raises(InvalidInput, match="no training problems"):
        priming("set", condition="only_backtracking")


def test_two_sources_are_refused(priming: RunStage) -> None:
    one, two = priming("one", condition="all_strategies"), priming("two", condition="all_strategies", seed=1)
    with pytest.raises(InvalidInput, match="one set"):
        priming("set", (one.path, two.path), condition="empty_cot")


def test_a_damaged_trace_file_is_named(priming: RunStage) -> None:
    source = priming("source", condition="all_strategies")
    path = source.artifact("traces.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"id": 3}', *lines[2:]]) + "\n")
    with pytest.raises(InvalidInput, match="line 2"):
        priming("set", (source.path,), condition="empty_cot")
    path.unlink()
    with pytest.raises(NotFound):
        priming("set2", (source.path,), condition="empty_cot", seed=1)


def test_the_key_depends_on_the_settings_and_on_the_file_s_content(tmp_path: Path) -> None:
    def key(**config: Any) -> str:
        kind = stage_kind("priming_data")
        return content_key("priming_data", validated_config(kind, {"n": 5, **config}, tmp_path), ["problems-0"])

    assert key(condition="only_backtracking") == key(condition="only_backtracking", style="varied")
    assert key(condition="only_backtracking") != key(condition="only_backtracking", style="plain")
    here, there = human_file(tmp_path / "a.jsonl", [GOOD]), human_file(tmp_path / "b.jsonl", [GOOD])
    first = key(condition="human_cot", traces=str(here))
    assert first == key(condition="human_cot", traces=str(there))
    human_file(there, [GOOD, GOOD])
    assert first != key(condition="human_cot", traces=str(there))


def test_killed_in_the_middle_it_leaves_no_set_and_writes_the_same_one_again(
    problems_stage: Callable[..., Path], priming: RunStage, tmp_path: Path
) -> None:
    problems = problems_stage()
    config = {"condition": "all_strategies", "style": "varied", "n": 30_000}
    folder = prepare("priming_data", config, tmp_path / "killed", [problems], base=tmp_path)
    command = [sys.executable, "-m", "pipelines", "--folder", str(folder.path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path.cwd())
    deadline = time.monotonic() + 60
    while not list(folder.path.glob("artifacts/.traces.jsonl.*.tmp")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait(timeout=60) == 75
    assert list((folder.path / "artifacts").iterdir()) == []
    assert folder.result() is None


def test_importing_the_stage_is_light() -> None:
    code = (
        "import sys, pipelines.teachers.stage;"
        "import pipelines.teachers.symbolic.base_texts, pipelines.teachers.symbolic.lexicon;"
        "print([m for m in ('torch', 'numpy', 'transformers', 'tokenizers', 'trl', 'datasets') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_field_of_the_config_is_described() -> None:
    assert all(field.description for field in PrimingDataConfig.model_fields.values())


def test_a_finished_stage_is_left_alone(priming: RunStage) -> None:
    folder = priming("set", condition="only_backtracking")
    before = folder.artifact("traces.jsonl").stat().st_mtime_ns
    run_stage(folder)
    assert folder.artifact("traces.jsonl").stat().st_mtime_ns == before
