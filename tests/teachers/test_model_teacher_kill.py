"""A thousand traces from the loopback Claude with faults, the process killed twice: none missing, none paid twice."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from pipelines.run import prepare
from pipelines.traces import read_traces
from tests.loopback.faults import RandomFaults
from tests.loopback.killing import KilledStage
from tests.loopback.server import serve
from tests.loopback.state import State
from tests.teachers.conftest import LARGE, PAPER, TRAIN
from tests.teachers.model_lab import BAD_DAYS, obedient, settings

pytest.importorskip("anthropic")
pytestmark = pytest.mark.slow

CONDITIONS: Final = os.environ.get("COGTUI_TEST_CONDITIONS", "backtracking_verification").split(",")
"""All six take some minutes: name them to run them."""
TRACES: Final = 1000
CONCURRENCY: Final = 8


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "live"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_thousand_traces_whatever_happens(
    condition: str, batch: bool, tmp_path: Path, problems_stage: Callable[..., Path]
) -> None:
    state = State(brain=obedient, faults=RandomFaults(0.1, BAD_DAYS))
    problems = problems_stage(PAPER, [*TRAIN, *LARGE])
    with serve(state) as url:
        fields = settings(state, url, tmp_path, condition=condition, n=TRACES, batch=batch, concurrency=CONCURRENCY)
        teaching = KilledStage(
            prepare("priming_data", fields, tmp_path / "set", [problems], base=tmp_path), state, "anthropic"
        )
        if batch:
            teaching.kill_when(lambda: len(state.batches) == 1)  # perhaps before it could note the batch
            teaching.kill_when(lambda: state.downloads >= 1)  # perhaps in the middle of the results
        else:
            teaching.kill_when(lambda: len(state.ledger.paid) > 300)
            teaching.kill_when(lambda: len(state.ledger.paid) > 700)
        result = teaching.finish()
    traces = list(read_traces(teaching.folder.artifact("traces.jsonl")))
    assert result["n"] == len(traces) == TRACES
    assert (
        len({trace.id for trace in traces}) == len({(trace.problem_id, trace.completion) for trace in traces}) == TRACES
    )
    assert isinstance(result["dropped"], dict)
    assert {"refused", "truncated"} <= set(result["dropped"])
    assert isinstance(result["spent"], dict)
    if batch:
        assert state.ledger.paid_twice == []
        assert result["spent"]["cost_usd"] == pytest.approx(state.ledger.cost)
    else:  # what was in flight at a kill may be paid again
        assert sum(state.ledger.paid.values()) - len(state.ledger.paid) <= 2 * CONCURRENCY
        assert max(state.ledger.paid.values()) <= 2
