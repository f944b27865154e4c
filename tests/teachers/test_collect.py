"""Collecting from a teacher that is nothing like the symbolic one: in batches, out of order, with refusals."""

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from pipelines.records import LabelledSpan
from pipelines.teachers.collect import PrimingSetStats, collect
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.teacher import DroppedTrace, TraceOutcome, TraceRequest
from tests.teachers.conftest import MINI, TRAIN


class BatchTeacher:
    """Takes all requests of a call at once, as a batch API does, and answers from the last to the first."""

    name = "batch:model"

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def answer(self, requests: Iterable[TraceRequest], work: Path) -> Generator[TraceOutcome]:
        assert work.is_dir()
        batch = list(requests)
        self.batches.append([request.index for request in batch])
        for request in reversed(batch):
            yield TraceOutcome(request, self._result(request))

    def _result(self, request: TraceRequest) -> WrittenTrace | DroppedTrace:
        if request.index % 3 == 0:
            return DroppedTrace("refused")
        text = f"number {request.index // 2} – too low. <answer>1</answer>"
        span = LabelledSpan(behavior="verification", start=text.index("too"), end=text.index("."), quote="too low")
        return WrittenTrace(text, (span,))


def gather(teacher: BatchTeacher, tmp_path: Path, n: int, condition: str = "only_backtracking") -> PrimingSetStats:
    stats = PrimingSetStats()
    traces = collect(
        teacher, MINI, TRAIN[:1], condition=condition, n=n, seed=0, key="key", work=tmp_path, stats=stats
    )  # fmt: skip
    for trace in traces:
        stats.count(trace)
    return stats


def test_what_is_missing_is_asked_for_again_and_nothing_twice(tmp_path: Path) -> None:
    teacher = BatchTeacher()
    stats = gather(teacher, tmp_path, 20)
    asked = [index for batch in teacher.batches for index in batch]
    assert asked == list(range(len(asked)))
    assert len(teacher.batches) > 1
    assert [len(batch) for batch in teacher.batches] == sorted(map(len, teacher.batches), reverse=True)
    assert stats.n == 20
    assert stats.drops["refused"] == sum(index % 3 == 0 for index in asked)
    assert stats.drops["repeat"] > 0
    assert stats.n + sum(stats.drops.values()) == len(asked)


def test_traces_that_break_their_condition_are_counted(tmp_path: Path) -> None:
    result = gather(BatchTeacher(), tmp_path, 10).result()
    assert result["adherence"] == {"unwanted": 10, "incomplete": 10}
    assert result["behaviors"]["verification"] == {"mean": 1.0, "present": 1.0}
    assert result["accuracy"] == 0.0
    assert result["mean_failed_attempts"] is None  # this teacher does not say


class Refusing(BatchTeacher):
    """Refuses all."""

    def _result(self, request: TraceRequest) -> WrittenTrace | DroppedTrace:
        return DroppedTrace("refused")


def test_a_teacher_that_writes_nothing_is_given_up(tmp_path: Path) -> None:
    teacher = Refusing()
    with pytest.raises(InvalidInput, match="none of 60") as caught:
        gather(teacher, tmp_path, 3)
    assert "refused: 60" in caught.value.detail
    assert sum(map(len, teacher.batches)) == 60
