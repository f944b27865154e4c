"""stage.json of every planned stage, written once however many launchers there are."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.planning.experiments import record_experiment
from jobs.planning.files import write_once
from jobs.planning.plan import materialise
from jobs.planning.types import RecipePlan
from pipelines.errors import InvalidInput, MissingRequirement, StageFailed
from pipelines.files import read_json
from pipelines.run import validated_config
from pipelines.stages import stage_kind
from tests.jobs.planning.recipes import plan, workspace, write

LAUNCHER = """
import sys, time
from pathlib import Path
from jobs.planning.plan import make_plan, materialise
from jobs.recipe.load import load_recipe
from jobs.workspace import Workspace
folder, start = Path(sys.argv[1]), float(sys.argv[2])
workspace = Workspace(folder / "ws")
plan = make_plan(load_recipe(folder / "tiny.toml", ["seeds=" + str(list(range(40)))]), workspace)
time.sleep(max(0.0, start - time.time()))
print(len(materialise(plan, workspace)))
"""


def infos(found: RecipePlan, folder: Path) -> dict[str, object]:
    return {stage.key: workspace(folder).folder(stage.key).info() for stage in found.stages}


def test_every_stage_has_its_json(tmp_path: Path) -> None:
    found = plan(tmp_path)
    assert materialise(found, workspace(tmp_path)) == [stage.key for stage in found.stages]
    for stage in found.stages:
        info = workspace(tmp_path).folder(stage.key).info()
        assert (info.key, info.kind, info.name) == (stage.key, stage.kind, stage.name)
        assert (info.config, info.inputs, info.labels) == (stage.config, stage.inputs, stage.labels)
        assert info.code_version
        # what the stage's process will do with it
        validated_config(stage_kind(info.kind), info.config, workspace(tmp_path).folder(stage.key).path)
    assert sorted(workspace(tmp_path).keys()) == sorted(stage.key for stage in found.stages)


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    found = plan(tmp_path)
    materialise(found, workspace(tmp_path))
    before = infos(found, tmp_path)
    assert materialise(found, workspace(tmp_path)) == []
    assert infos(found, tmp_path) == before
    more = plan(tmp_path, overrides=("seeds=[1,2,3]",))
    assert len(materialise(more, workspace(tmp_path))) == 4


def test_launchers_at_once_write_each_stage_once(tmp_path: Path) -> None:
    write(tmp_path)
    start = str(time.time() + 2.5)
    command = [sys.executable, "-c", LAUNCHER, str(tmp_path), start]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    written = [int(process.communicate(timeout=60)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    found = plan(tmp_path, overrides=(f"seeds={list(range(40))}",))
    assert sum(written) == len(found.stages) == 4 + 4 * 40
    assert set(infos(found, tmp_path)) == {stage.key for stage in found.stages}
    left_over = [path for path in (tmp_path / "ws").rglob("*") if path.name.endswith(".tmp")]
    assert left_over == []


def test_a_folder_that_holds_another_stage_is_refused(tmp_path: Path) -> None:
    found = plan(tmp_path)
    materialise(found, workspace(tmp_path))
    one, other = (workspace(tmp_path).folder(found.stages[index].key).path for index in (0, 1))
    (one / "stage.json").write_text((other / "stage.json").read_text())
    with pytest.raises(InvalidInput, match=f"{one} belongs to stage"):
        materialise(found, workspace(tmp_path))


def test_a_workspace_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "ws").write_text("")
    with pytest.raises(MissingRequirement, match="cannot be written"):
        materialise(plan(tmp_path), workspace(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_stage_folder_that_cannot_be_written(tmp_path: Path) -> None:
    found = plan(tmp_path)
    workspace(tmp_path).create()
    folder = workspace(tmp_path).folder(found.stages[0].key).path
    folder.mkdir(mode=0o500)
    with pytest.raises(MissingRequirement, match=f"{folder} cannot be written"):
        materialise(found, workspace(tmp_path))


def test_a_full_disk_is_said_to_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    found = plan(tmp_path)
    monkeypatch.setattr("jobs.planning.files.write_json", full)
    with pytest.raises(StageFailed, match="the disk is full"):
        materialise(found, workspace(tmp_path))
    assert list(workspace(tmp_path).keys()) == []
    with pytest.raises(StageFailed, match="the disk is full"):
        record_experiment(found, workspace(tmp_path))
    monkeypatch.undo()
    assert len(materialise(found, workspace(tmp_path))) == len(found.stages)


def test_write_once_keeps_the_first(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert write_once(path, {"a": 1})
    assert not write_once(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_write_once_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "x.json"
    assert write_once(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]
