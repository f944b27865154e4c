"""Traces arranged from a model's own samples: true verdicts, exact spans, training problems only."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from pipelines.files import write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.records import Rollout, rollout_id
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import problem_json
from pipelines.traces import read_traces
from tests.teachers.conftest import MINI, TRAIN, RunStage

RIGHT = "3 * 7 = 21 , 21 - 5 = 16 </think> <answer> ( 3 * 7 ) - 5 </answer>"
WRONG = (
    "3 + 7 = 10 , 10 + 5 = 15 </think> <answer> ( 3 + 7 ) + 5 </answer>",
    "7 - 3 = 4 , 4 * 5 = 20 </think> <answer> ( 7 - 3 ) * 5 </answer>",
    "7 + 5 = 12 , 12 - 3 = 9 </think> <answer> ( 7 + 5 ) - 3 </answer>",
)
MISREAD = "3 + 7 = 10 , 10 + 5 = 16 </think> <answer> ( 3 + 7 ) + 5 </answer>"
"""Wrong, but its reasoning ends in the target."""
UNFINISHED = "3 + 7 = 10 , 10"


def sampled(texts: tuple[str, ...], problem: Problem = TRAIN[0]) -> list[Rollout]:
    found = []
    for sample, text in enumerate(texts):
        score = MINI.score(text, problem)
        found.append(
            Rollout(
                id=rollout_id("sample-0", "train", 0, problem.id, sample), step=0, split="train", sample=sample,
                problem_id=problem.id, task=MINI.name, problem=problem_json(problem), prompt=MINI.prompt(problem),
                completion=text, reward=score.reward, correct=score.correct, answer=score.answer,
                finish_reason="stop", n_tokens=9,
            )
        )  # fmt: skip
    return found


@pytest.fixture
def samples_stage(tmp_path: Path) -> Callable[..., Path]:
    """Makes a finished `sample` stage with these rollouts."""

    def make(rollouts: list[Rollout], split: str = "train") -> Path:
        path = tmp_path / "samples"
        path.mkdir()
        info = StageInfo(kind="sample", key="sample-0", config={"split": split})
        write_json(path / "stage.json", info.model_dump())
        folder = StageFolder(path)
        with folder.stream("rollouts", split) as stream:
            stream.append(rollouts)
        folder.write_result({})
        return path

    return make


def test_every_verdict_of_an_arranged_trace_is_true(priming: RunStage, samples_stage: Callable[..., Path]) -> None:
    rollouts = sampled((RIGHT, *WRONG, MISREAD, UNFINISHED)) + sampled(WRONG[:1], TRAIN[1])
    samples = samples_stage(rollouts)
    folder = priming("set", (samples,), condition="self_distilled", n=12, failed_attempts=[0, 3])
    traces = list(read_traces(folder.artifact("traces.jsonl")))
    result = folder.result()
    assert result is not None
    assert result["source"] == "sample-0"
    assert result["teacher"] == "samples"
    # One right sample and three wrong ones: 1 + 3 + 6 + 6 arrangements.
    assert len({trace.completion for trace in traces}) == result["n"] == 12
    assert result["adherence"] == {"unwanted": 0, "incomplete": 0}
    for trace in traces:
        assert trace.problem_id == TRAIN[0].id  # no sample of the other problem is right
        assert trace.correct
        assert "10 + 5 = 16" not in trace.completion
        verdicts = re.findall(r"= (\d+) is (not )?the goal \.", trace.completion)
        assert [value == "16" for value, _ in verdicts] == [not no for _, no in verdicts]
        assert len(verdicts) == trace.meta["failed_attempts"] + 1
        for span in trace.spans:
            assert trace.completion[span.start : span.end] == span.quote
        kinds = [span.behavior for span in trace.spans]
        assert kinds.count("verification") == len(verdicts)
        assert kinds.count("backtracking") == trace.meta["failed_attempts"]


def test_a_set_stays_short_where_the_samples_allow_no_more(
    priming: RunStage, samples_stage: Callable[..., Path]
) -> None:
    samples = samples_stage(sampled((RIGHT, *WRONG[:1])))
    result = priming("set", (samples,), condition="self_distilled", n=50, failed_attempts=[0, 5]).result()
    assert result is not None
    assert result["n"] == 2
    assert result["warnings"] == ["only 2 of 50 traces could be arranged from the samples"]


def test_samples_of_test_problems_and_missing_samples_are_refused(
    priming: RunStage, samples_stage: Callable[..., Path]
) -> None:
    with pytest.raises(InvalidInput, match="on which the model will be evaluated"):
        priming("test", (samples_stage(sampled((RIGHT,)), split="test"),), condition="self_distilled")
    with pytest.raises(InvalidInput, match="arranged from the samples of one stage, got 0"):
        priming("none", condition="self_distilled")


def test_a_model_that_is_never_right_gives_no_set(priming: RunStage, samples_stage: Callable[..., Path]) -> None:
    with pytest.raises(InvalidInput, match="no trace could be made"):
        priming("set", (samples_stage(sampled(WRONG)),), condition="self_distilled")
