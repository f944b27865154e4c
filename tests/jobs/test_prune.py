"""`cogtui prune`: what it frees of finished stages, and what it leaves alone."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobs.prune import plan_prune, prune
from jobs.submit.claims import set_aside
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.run import run_stage
from tests.commands import cogtui_here
from tests.jobs.lab import Lab, cogtui, wait_for

WEIGHTS = 100_000


def stage(workspace: Workspace, key: str, *, done: bool = True, steps: tuple[int, ...] = (1, 2)) -> StageFolder:
    """A stage with checkpoints, a model, a stream and a result."""
    folder = StageFolder(workspace.stages / key)
    folder.path.mkdir(parents=True)
    write_json(folder.path / "stage.json", {"kind": "ppo", "key": key, "config": {}, "name": "ppo"})
    for step in steps:
        with folder.new_checkpoint(step) as place:
            (place / "actor_optimizer.pt").write_bytes(os.urandom(WEIGHTS))
    (folder.artifacts / "model.safetensors").write_bytes(os.urandom(1000))
    (folder.path / "metrics-train-001.jsonl").write_text('{"step": 1}\n')
    if done:
        folder.write_result({"steps": 2})
    return folder


def run(workspace: Workspace, *arguments: str) -> Any:
    """The data that the command prints as JSON."""
    environment = {**os.environ, "COGTUI_WORKSPACE": str(workspace.path)}
    ended = cogtui_here("prune", *arguments, "--json", environment=environment)
    assert ended.returncode == 0, ended
    return json.loads(ended.stdout)["data"]


def files(folder: StageFolder) -> set[str]:
    """All files of a stage."""
    return {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}


def test_it_says_what_it_would_free_and_frees_it_when_told_to(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    one, other = stage(workspace, "ppo-000000000001"), stage(workspace, "ppo-000000000002", steps=(7,))
    before = files(one)
    said = run(workspace)
    assert said["removed"] is False
    assert [(each["key"], each["checkpoints"]) for each in said["stages"]] == [(one.path.name, 2), (other.path.name, 1)]
    assert 3 * WEIGHTS < said["bytes"] < 3 * WEIGHTS + 200_000
    assert said["bytes"] == sum(each["bytes"] for each in said["stages"])
    assert files(one) == before
    done = run(workspace, "--yes")
    assert (done["removed"], done["bytes"]) == (True, said["bytes"])
    assert files(one) == {
        "stage.json", "result.json", "metrics-train-001.jsonl", "artifacts/model.safetensors", "last-save.json",
    }  # fmt: skip
    assert run(workspace, "--yes") == {"removed": True, "bytes": 0, "stages": [], "left": []}


def test_only_the_stages_of_an_experiment(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    mine, other = stage(workspace, "ppo-000000000001"), stage(workspace, "ppo-000000000002")
    (workspace.experiments / "e").mkdir(parents=True)
    write_json(workspace.experiments / "e" / "20260101T000000.000000Z.json", {"cells": [{"stages": {"p": mine.key}}]})
    assert [each["key"] for each in run(workspace, "e", "--yes")["stages"]] == [mine.key]
    assert len(other.checkpoints()) == 2
    environment = {**os.environ, "COGTUI_WORKSPACE": str(workspace.path)}
    wrong = cogtui_here("prune", "f", environment=environment)
    assert (wrong.returncode, "There are: e." in wrong.stderr) == (4, True)


@pytest.mark.slow
def test_running_and_unfinished_stages_keep_theirs(lab: Lab) -> None:
    go = lab.path / "go"
    lab.stage("finished", steps=2)
    lab.stage("bad", do="exit 7", steps=2)
    lab.stage("busy", until=str(go), steps=2)
    lab.stage("waiting", "busy")
    lab.submit()
    lab.wait("finished", "done")
    lab.wait("bad", "failed")
    wait_for(lambda: len(StageFolder(lab.folder("busy")).checkpoints()) == 2)
    shown = cogtui(lab, "prune", "--yes")
    assert shown.returncode == 0, shown
    assert lab.key("finished") in shown.stdout
    assert f"left: {lab.key('bad')}" in shown.stderr
    assert "is failed: it continues from them" in shown.stderr
    assert "is running: it works with them" in shown.stderr
    left = [len(StageFolder(lab.folder(name)).checkpoints()) for name in ("finished", "bad", "busy")]
    assert left == [0, 2, 2]
    go.touch()
    lab.wait("waiting", "done")
    assert [found.action for found in lab.submit("finished")] == ["reused"]
    # more steps make another stage, which begins anew as it would have with the checkpoints
    longer = lab.stage("finished", steps=4)
    lab.submit("finished")
    lab.wait("finished", "done")
    assert lab.starts("finished")[0][0] == "0"
    assert longer.key == lab.key("finished")


def test_a_stage_that_is_started_again_meanwhile_keeps_its_new_checkpoints(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    folder = stage(workspace, "ppo-000000000001")
    (folder.path / "attempts" / "001").mkdir(parents=True)
    (planned,) = plan_prune(workspace).stages
    (folder.path / "attempts" / "002").mkdir()
    set_aside(folder.path, 1)
    with folder.new_checkpoint(1) as place:
        (place / "new").touch()
    assert prune(workspace, planned) is False
    assert [step for step, _ in folder.checkpoints()] == [1]


def test_what_was_replaced_and_what_verl_left_goes_too_and_shared_files_count_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    folder = stage(workspace, "ppo-000000000001", steps=(1,))
    optimizer = folder.checkpoints()[0][1] / "actor_optimizer.pt"
    verl = folder.path / "verl" / "001" / "checkpoints" / "global_step_1"
    verl.mkdir(parents=True)
    os.link(optimizer, verl / "optim.pt")
    old = folder.path / "replaced" / "001"
    shutil.copytree(folder.path / "checkpoints", old / "checkpoints")
    (old / "result.json").write_text("{}")
    (planned,) = plan_prune(workspace).stages
    assert 2 * WEIGHTS < planned.size < 2 * WEIGHTS + 200_000
    elsewhere = tmp_path / "mine.pt"
    os.link(optimizer, elsewhere)  # a name outside: removing the others frees nothing of it
    assert WEIGHTS < plan_prune(workspace).size < WEIGHTS + 200_000
    assert prune(workspace, planned)
    assert {path.name for path in folder.path.rglob("*.pt")} == set()
    assert (old / "result.json").exists()
    assert elsewhere.stat().st_size == WEIGHTS


def test_links_are_not_followed_and_leftovers_are_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    linked, cut = stage(workspace, "ppo-000000000001"), stage(workspace, "ppo-000000000002")
    (linked.path / "checkpoints").rename(tmp_path / "scratch")
    (linked.path / "checkpoints").symlink_to(tmp_path / "scratch")
    (cut.path / "checkpoints").rename(cut.path / ".pruned-77-0")  # a prune that was killed
    done = run(workspace, "--yes")
    assert [each["key"] for each in done["stages"]] == [cut.key]
    assert len(list((tmp_path / "scratch").iterdir())) == 2
    assert not (cut.path / ".pruned-77-0").exists()


def test_a_folder_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path / "w")
    first, second = stage(workspace, "ppo-000000000001"), stage(workspace, "ppo-000000000002")
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.parent == first.path:
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    ended = cogtui_here("prune", "--yes", environment={**os.environ, "COGTUI_WORKSPACE": str(workspace.path)})
    assert ended.returncode == 3
    assert f"{first.key}: Permission denied" in ended.stderr
    assert (len(first.checkpoints()), len(second.checkpoints())) == (2, 0)


def test_a_pruned_stage_is_finished_for_whoever_runs_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    folder = stage(workspace, "ppo-000000000001")
    run(workspace, "--yes")
    assert run_stage(folder) == {"steps": 2}


def test_prunes_at_once_and_a_start_after_the_last_look_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "w")
    folders = [stage(workspace, f"ppo-{number:012}") for number in range(3)]
    gone, cut, again = (plan_prune(workspace, [folder.path.name]).stages[0] for folder in folders)
    assert prune(workspace, gone) is True
    assert prune(workspace, gone) is False  # another prune that had planned the same
    unlink = os.unlink

    def slowly(path: Any, **options: Any) -> None:
        # the other prune finds the folder that is being removed, and removes it all the way
        monkeypatch.setattr(os, "unlink", unlink)
        (leftover,) = plan_prune(workspace, [cut.key]).stages
        assert leftover.folders[0].name.startswith(".pruned-")
        assert prune(workspace, leftover) is True
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", slowly)
    prune(workspace, cut)
    assert not list(folders[1].path.glob(".pruned-*"))
    rename = Path.rename

    def start_first(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        (folders[2].path / "attempts" / "002").mkdir(parents=True)
        return self.rename(target)

    monkeypatch.setattr(Path, "rename", start_first)
    assert prune(workspace, again) is False
    assert [step for step, _ in folders[2].checkpoints()] == [1, 2]
