"""A workspace with two conditions, two seeds, and a judge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cogtui.store import Store, open_store
from jobs.workspace import Workspace
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts


@pytest.fixture(autouse=True)
def own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What people write of opened files goes nowhere but here."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An empty workspace."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    return Lab(workspace)


@pytest.fixture
def filled(lab: Lab) -> Lab:
    """Four PPO runs (two conditions, two seeds), three of them judged, and one failed judgement."""
    judged = lab.judge_stage(9)
    for number, (condition, seed) in enumerate(
        [("none", 1), ("none", 2), ("all_strategies", 1), ("all_strategies", 2)]
    ):
        folder = lab.stage("ppo", number + 1, {"condition": condition, "seed": seed})
        rollouts = make_rollouts(folder.key, range(0, 30, 10))
        write_rollouts(folder, rollouts)
        write_rollouts(folder, make_rollouts(folder.key, [20], split="test"), "eval")
        lab.finish(folder)
        if number < 3:
            failed = [
                judge(one, failed={"subgoal": "parse_error"} if index == 5 else None)
                for index, one in enumerate(rollouts)
            ]
            write_judgements(judged, [one for four in failed for one in four])
    lab.finish(judged)
    return lab


@pytest.fixture
def store(filled: Lab) -> Iterator[Store]:
    """The index of that workspace, up to date."""
    with open_store(filled.workspace) as opened:
        opened.ingest()
        yield opened
