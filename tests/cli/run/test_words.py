"""What `cogtui run` prints at its end: the result in words, tables on request, and runs that are left out."""

from pathlib import Path

import pytest

from cogtui.cli.run.ending import print_summary
from cogtui.cli.run.request import RunRequest
from jobs.planning.types import RecipePlan
from jobs.workspace import Workspace
from tests.analysis.lab import write_run


def printed(capsys: pytest.CaptureFixture[str], workspace: Workspace, plan: RecipePlan, *, tables: bool = False) -> str:
    request = RunRequest(plan.recipe_path, tables=tables)
    print_summary(request, plan, workspace, ["mini: 4 stages done", "", "a table of a stage", "", "warning: a stage's"])
    return capsys.readouterr().out


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path / "ws")
    found.create()
    return found


def test_words_by_default_and_tables_on_request(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    cells = (
        write_run(workspace, {"condition": "none", "seed": 1}, 4, 6),
        write_run(workspace, {"condition": "backtracking_verification", "seed": 1}, 6, 26),
        write_run(workspace, {"condition": "backtracking_verification", "seed": 2}, 6, 26, done=False),
    )
    plan = RecipePlan("mini", Path("mini.toml"), "", (), (), cells)
    words = printed(capsys, workspace, plan)
    assert words.startswith(
        "mini: 4 stages done\nwarning: a stage's\nwarning: backtracking_verification seed 2: evaluated"
    )
    assert "50.0 percentage points ahead" in " ".join(words.split())
    assert f"cogtui compare mini --workspace {workspace.path}" in words
    assert "a table of a stage" not in words
    assert "accuracy on the test problems" not in words
    tables = printed(capsys, workspace, plan, tables=True)
    assert "a table of a stage" in tables
    assert "accuracy on the test problems" in tables
    assert "holds for these problems" in " ".join(tables.split())


def test_long_warnings_are_wrapped_and_whole(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    cells = (
        write_run(workspace, {"condition": "none", "seed": 1}, 4, 6),
        write_run(workspace, {"condition": "backtracking_verification", "seed": 1}, 6, 26),
    )
    plan = RecipePlan("mini", Path("mini.toml"), "", (), (), cells)
    warning = "warning: ppo seed=1: kl_explosion: the KL divergence from the initial policy is 0.53 nats per token"
    print_summary(RunRequest(plan.recipe_path), plan, workspace, ["mini: 2 stages done", "", warning])
    out = capsys.readouterr().out
    assert warning in " ".join(out.split())
    assert all(len(line) <= 60 for line in out.splitlines() if "cogtui compare" not in line)


def test_without_an_unprimed_condition_the_tables_are_printed(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = tuple(write_run(workspace, {"condition": name, "seed": 1}, 4, 6) for name in ("dots", "all_strategies"))
    out = printed(capsys, workspace, RecipePlan("mini", Path("mini.toml"), "", (), (), cells))
    assert "a table of a stage" in out
    assert "accuracy on the test problems" in out
