"""The checker of the soak test finds nothing in a whole workspace, and names each of many seeded corruptions."""

import asyncio
import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.planning.plan import make_plan, materialise
from jobs.recipe.load import load_recipe
from jobs.workspace import Workspace
from pipelines.folder import StageFolder
from pipelines.run import run_stage
from tests.soak.app_view import read_screens
from tests.soak.checker import check
from tests.soak.readers import (
    AppContent,
    WorkspaceContent,
    app_content,
    read_command_line,
    read_files,
    read_index,
)
from tests.soak.recipe import write_recipe
from tests.soak.round import base_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WorkspaceContent]:
    """A workspace in which everything is done, and its content as all readers see it."""
    place = tmp_path_factory.mktemp("soak")
    workspace = Workspace(place / "ws")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "plugin"))
        from pipelines.stages import STAGE_KINDS

        STAGE_KINDS.reload()
        plan = make_plan(load_recipe(write_recipe(place / "soak.toml", seeds=1, steps=4, step_s=0.0), ()), workspace)
        materialise(plan, workspace)
        for stage in plan.stages:
            run_stage(StageFolder(workspace.stages / stage.key))
        from jobs.planning.experiments import record_experiment

        record_experiment(plan, workspace)
        content = read_files(workspace.path)
        content.command_line = read_command_line(workspace.path, base_environment())
        content.app = app_content(asyncio.run(read_screens(workspace)))
        content.index = read_index(workspace.path)
    return workspace.path, content


def test_a_whole_workspace_passes(whole: tuple[Path, WorkspaceContent]) -> None:
    path, content = whole
    assert check(content, read_files(path)) == []
    assert content.index is not None
    assert sum(content.index.rollouts.values()) == 2 * 4 * 6 + 60
    assert content.app == AppContent(["done"] * 8, 108)


# -- corruptions of files ----------------------------------------------------------------------------


def _stream(workspace: Path, pattern: str) -> Path:
    return sorted(workspace.glob(f"stages/{pattern}"))[0]


def _lose_a_line(workspace: Path) -> None:
    path = _stream(workspace, "soak_walk-*/rollouts-train-001.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5] + lines[6:]))


def _lose_the_last_line(workspace: Path) -> None:
    path = _stream(workspace, "soak_walk-*/metrics-train-001.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _double_a_line(workspace: Path) -> None:
    path = _stream(workspace, "judge-*/judgements-judge-001.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[3]]))


def _tear_a_line(workspace: Path) -> None:
    path = _stream(workspace, "soak_walk-*/rollouts-train-001.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1][:40] + b"\n", *lines[1:]]))


def _change_a_text(workspace: Path) -> None:
    path = _stream(workspace, "soak_walk-*/rollouts-train-001.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"completion":"', b'"completion":"?', 1))


def _flip_a_bit(workspace: Path) -> None:
    path = sorted(workspace.glob("stages/soak_walk-*/checkpoints/step-*/weights"))[-1]
    data = bytearray(path.read_bytes())
    data[777] ^= 4
    path.write_bytes(data)


def _empty_the_result(workspace: Path) -> None:
    os.truncate(_stream(workspace, "judge-*/result.json"), 0)


def _remove_the_result(workspace: Path) -> None:
    _stream(workspace, "priming_data-*/result.json").unlink()


def _change_the_count(workspace: Path) -> None:
    path = _stream(workspace, "soak_walk-*/result.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "rollouts": 25}))


def _change_an_artifact(workspace: Path) -> None:
    with _stream(workspace, "problems-*/artifacts/train.jsonl").open("ab") as stream:
        stream.write(b" ")


def _lose_a_stage(workspace: Path) -> None:
    shutil.rmtree(_stream(workspace, "judge-*"))


def _leave_a_ticket(workspace: Path) -> None:
    (workspace / "queue").mkdir(exist_ok=True)
    (workspace / "queue" / f"{1:020d}-x-001.json").write_text("{}")


def _run_twice(workspace: Path) -> None:
    (_stream(workspace, "soak_walk-*") / "ran-twice.txt").touch()


@pytest.mark.parametrize(
    ("corrupt", "names"),
    [
        (_lose_a_line, {"sequence-gap", "content-differs", "result-count", "index-count", "stream-short"}),
        (_lose_the_last_line, {"step-missing", "stream-short", "content-differs", "index-metrics"}),
        (_double_a_line, {"duplicate-record", "sequence-gap"}),
        (_tear_a_line, {"broken-line"}),
        (_change_a_text, {"content-differs", "command-line-text"}),
        (_flip_a_bit, {"checkpoint-damaged"}),
        (_empty_the_result, {"result-damaged", "command-line-state"}),
        (_remove_the_result, {"not-done", "command-line-state", "result-differs"}),
        (_change_the_count, {"result-count", "result-differs"}),
        (_change_an_artifact, {"artifact-differs"}),
        (_lose_a_stage, {"stage-set", "command-line-state"}),
        (_leave_a_ticket, {"ticket-left"}),
        (_run_twice, {"ran-twice"}),
    ],
)
def test_corrupted_files_are_named(
    corrupt: Callable[[Path], None], names: set[str], whole: tuple[Path, WorkspaceContent], tmp_path: Path
) -> None:
    path, seen = whole
    shutil.copytree(path, tmp_path / "ws")
    corrupt(tmp_path / "ws")
    content = read_files(tmp_path / "ws")
    content.command_line, content.app, content.index = seen.command_line, seen.app, seen.index
    found = check(content, seen)
    assert names <= {finding.name for finding in found}, found


# -- false statements about whole files --------------------------------------------------------------


def _index_lost_a_rollout(content: WorkspaceContent) -> None:
    assert content.index is not None
    key = next(key for key in content.index.rollouts if key.startswith("soak_walk"))
    content.index.rollouts[key] -= 1


def _index_lost_judgements(content: WorkspaceContent) -> None:
    assert content.index is not None
    key = next(key for key in content.index.judgements if key.startswith("soak_walk"))
    content.index.judgements[key] = 0


def _index_points_elsewhere(content: WorkspaceContent) -> None:
    assert content.index is not None
    content.index.misplaced = ["r1"]


def _says_running(content: WorkspaceContent) -> None:
    assert content.command_line is not None
    content.command_line.states[next(iter(content.command_line.states))] = "running"


def _lists_too_few(content: WorkspaceContent) -> None:
    assert content.command_line is not None
    content.command_line.rollouts.popitem()


def _app_shows_failed(content: WorkspaceContent) -> None:
    assert content.app is not None
    content.app.words[2] = "failed"


def _app_counts_too_many(content: WorkspaceContent) -> None:
    assert content.app is not None
    content.app.rollouts = (content.app.rollouts or 0) + 1


def _process_left(content: WorkspaceContent) -> None:
    content.processes.append("python -m jobs.local.agent")


@pytest.mark.parametrize(
    ("corrupt", "name"),
    [
        (_index_lost_a_rollout, "index-count"),
        (_index_lost_judgements, "index-judgements"),
        (_index_points_elsewhere, "index-address"),
        (_says_running, "command-line-state"),
        (_lists_too_few, "command-line-count"),
        (_app_shows_failed, "app-state"),
        (_app_counts_too_many, "app-count"),
        (_process_left, "process-left"),
    ],
)
def test_false_statements_are_named(
    corrupt: Callable[[WorkspaceContent], None], name: str, whole: tuple[Path, WorkspaceContent]
) -> None:
    content = copy.deepcopy(whole[1])
    corrupt(content)
    assert {finding.name for finding in check(content, whole[1])} == {name}
