"""A thousand traces from the loopback Claude with faults, the process killed twice: none missing, none paid twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from pipelines.folder import StageFolder
from pipelines.run import prepare
from pipelines.teachers.traces import read_traces
from tests.loopback.faults import RandomFaults
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
_PATIENCE_S: Final = 600.0


class Teaching:
    """A `priming_data` stage, run by processes of its own."""

    def __init__(self, folder: StageFolder, state: State) -> None:
        self.folder = folder
        self._environment = {**os.environ, "ANTHROPIC_API_KEY": state.key}

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipelines", "--folder", str(self.folder.path)]
        with (self.folder.path / "stderr.log").open("a") as log:
            return subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True)

    def kill_when(self, ripe: Callable[[], bool]) -> None:
        """Starts it, and kills it with -9 as soon as the server has seen enough."""
        process = self.start()
        limit = time.monotonic() + _PATIENCE_S
        try:
            while not ripe():
                assert process.poll() is None, (self.folder.path / "stderr.log").read_text()
                assert time.monotonic() < limit
                time.sleep(0.002)  # the server has no other way to tell; not a wait for time to pass
        finally:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert process.stdout is not None
            process.stdout.close()

    def finish(self) -> dict[str, object]:
        process = self.start()
        out, _ = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == 0, (self.folder.path / "stderr.log").read_text()
        result: dict[str, object] = json.loads(out)
        return result


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "live"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_thousand_traces_whatever_happens(
    condition: str, batch: bool, tmp_path: Path, problems_stage: Callable[..., Path]
) -> None:
    state = State(brain=obedient, faults=RandomFaults(0.1, BAD_DAYS))
    problems = problems_stage(PAPER, [*TRAIN, *LARGE])
    with serve(state) as url:
        fields = settings(state, url, tmp_path, condition=condition, n=TRACES, batch=batch, concurrency=CONCURRENCY)
        teaching = Teaching(prepare("priming_data", fields, tmp_path / "set", [problems], base=tmp_path), state)
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
