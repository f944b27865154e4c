"""`cogtui judge` from the outside: a real workspace, real jobs, the loopback server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.workspace import Workspace
from pipelines.behaviors.judge import JudgeTask
from pipelines.records import countdown_fields
from tests.behaviors.llm_lab import judging, sample_stage, settings_for
from tests.loopback.server import serve
from tests.loopback.state import State

pytest.importorskip("openai")

KEY = "sk-cli-secret-0123456789"


@pytest.fixture
def state() -> State:
    return State(brain=judging, key=KEY)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    with serve(state) as base_url:
        yield base_url


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = Workspace(tmp_path / "ws")
    place.create()
    texts = [f"3 + 4 = 7, not 24.\nLet me try again, number {number}.\n" for number in range(6)]
    tasks = [
        JudgeTask(f"{number:016x}", **countdown_fields((3, 4, 5), 24), completion=text)
        for number, text in enumerate(texts)
    ]
    sample_stage(place.stages / "sample-0123456789ab", tasks)
    return place


class Cli:
    """The command as a user runs it."""

    def __init__(self, workspace: Workspace, state: State, url: str, place: Path) -> None:
        self._workspace = workspace
        fields = settings_for("openai", state, url, place)
        self.judge = ["--judge", fields["judge"], "--url", fields["url"], "--prices", fields["prices"]]
        self.environment = {**os.environ, "OPENAI_API_KEY": KEY, "OMP_NUM_THREADS": "1"}

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        command = [sys.executable, "-c", "from cogtui.cli.main import run; run()", "judge", *arguments]
        command += ["--workspace", str(self._workspace.path), "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture
def cli(workspace: Workspace, state: State, url: str, tmp_path: Path) -> Cli:
    return Cli(workspace, state, url, tmp_path)


def test_a_dry_run_shows_the_cost_and_asks_nobody_without_any_key(cli: Cli, state: State) -> None:
    del cli.environment["OPENAI_API_KEY"]
    code, out, _ = cli("--dry-run", *cli.judge)
    assert code == 0
    assert out["data"]["to_judge"] == 6
    assert out["data"]["estimate"]["requests"] == 24
    assert 0 < out["data"]["estimate"]["cost_usd"] < out["data"]["estimate"]["most_usd"]
    code, out, _ = cli("--dry-run", "--judge", "openai:nobody-knows")
    assert (code, out["data"]["estimate"]["cost_usd"]) == (0, None)
    assert state.ledger.requests == 0


def test_what_is_wrong_is_said_with_its_exit_code(cli: Cli) -> None:
    del cli.environment["OPENAI_API_KEY"]
    code, out, _ = cli(*cli.judge)
    assert code == 3
    assert "OPENAI_API_KEY is not set" in out["error"]["summary"]
    assert cli("--judge", "oracle")[0] == 2
    assert cli("--judge", "vllm:m")[0] == 2
    assert cli("no_such_field:3", "--dry-run")[0] == 2
    assert cli("step>=999", "--dry-run")[0] == 4
    assert cli("--dry-run", "--prompt", "nonsense", *cli.judge)[0] == 2


@pytest.mark.slow
def test_judging_is_done_once_however_often_it_is_asked_for(cli: Cli, state: State, workspace: Workspace) -> None:
    code, out, errors = cli("id:0000000000000002", *cli.judge)
    assert code == 0, errors
    assert (out["data"]["to_judge"], state.ledger.requests) == (1, 4)
    code, out, errors = cli(*cli.judge)
    assert code == 0, errors
    assert (out["data"]["judged_before"], out["data"]["to_judge"]) == (1, 5)
    (stage,) = out["data"]["stages"]
    assert stage["result"]["statuses"] == {"ok": 20}
    assert state.ledger.requests == 24
    code, out, _ = cli(*cli.judge)
    assert (code, out["data"]["to_judge"], out["data"]["stages"]) == (0, 0, [])
    assert state.ledger.requests == 24
    assert state.ledger.paid_twice == []
    for path in workspace.path.rglob("*"):
        assert path.is_dir() or not path.is_file() or KEY.encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_raised_cap_lets_the_same_stage_go_on(cli: Cli, state: State) -> None:
    code, out, _ = cli("--cap", "0.0032", "--max-tokens", "150", *cli.judge)
    assert code == 1
    assert "spending cap" in json.dumps(out["error"])
    assert 0 < state.ledger.cost <= 0.0032
    code, out, errors = cli("--cap", "1", "--max-tokens", "150", *cli.judge)
    assert code == 0, errors
    assert sum(out["data"]["continued"].values()) == 6
    assert out["data"]["stages"][0]["result"]["spent"]["cost_usd"] == pytest.approx(state.ledger.cost)
    assert state.ledger.paid_twice == []
