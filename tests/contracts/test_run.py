"""Running one stage: what goes wrong is said, with the exit code of the contract, and can be continued."""

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.errors import InvalidInput, MissingRequirement, StageFailed
from pipelines.files import write_json
from pipelines.folder import ATTEMPT_VARIABLE, StageFolder
from pipelines.run import prepare, require_packages, run_stage
from pipelines.stages import Inputs, StageKind, stage_kind

CONFIG = {"train": 4, "test": 2, "sizes": [2], "number_range": [1, 9], "target_range": [1, 40]}


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return prepare("problems", CONFIG, tmp_path / "problems", [], base=tmp_path)


def failing_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(config: Any, inputs: Inputs, folder: StageFolder) -> None:
        raise error

    monkeypatch.setattr(StageKind, "run_function", lambda kind: fail)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "weights.bin"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 89280 vs 89232"),
    ],
)
def test_a_full_disk_is_called_so(monkeypatch: pytest.MonkeyPatch, folder: StageFolder, error: Exception) -> None:
    failing_with(monkeypatch, error)
    with pytest.raises(StageFailed, match="the disk is full") as found:
        run_stage(folder)
    assert "continues" in found.value.remedy
    monkeypatch.undo()
    assert run_stage(folder)["train"] == 4


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, folder: StageFolder) -> None:
    failing_with(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        run_stage(folder)


def test_a_finished_stage_is_left_alone(folder: StageFolder) -> None:
    first = run_stage(folder)
    write_json(folder.path / "result.json", first | {"mark": 1})
    assert run_stage(folder)["mark"] == 1


def test_an_unfinished_input_is_named(tmp_path: Path, folder: StageFolder) -> None:
    config = {"condition": "all_strategies", "n": 3}
    traces = prepare("priming_data", config, tmp_path / "traces", [folder.path], base=tmp_path)
    with pytest.raises(StageFailed, match=f"the input {folder.key} is not done"):
        run_stage(traces)


def test_a_folder_belongs_to_one_stage(tmp_path: Path, folder: StageFolder) -> None:
    with pytest.raises(InvalidInput, match="belongs to another stage"):
        prepare("problems", CONFIG | {"train": 5}, folder.path, [], base=tmp_path)
    assert prepare("problems", CONFIG, folder.path, [], base=tmp_path).key == folder.key


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRequirement, match="torch") as error:
        require_packages(stage_kind("ppo"))
    assert "cogtui[train]" in error.value.remedy


def test_the_command_exits_as_the_contract_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command takes over signals, which belong to the tests here.
    monkeypatch.setattr("pipelines.signals.install", lambda: None)
    (tmp_path / "good.toml").write_text(
        "train = 4\ntest = 2\nsizes = [2]\nnumber_range = [1, 9]\ntarget_range = [1, 40]\n"
    )
    (tmp_path / "wrong.toml").write_text("trian = 4\n")
    (tmp_path / "broken.toml").write_text("train = \n")
    out = tmp_path / "out"
    assert main(["problems", str(tmp_path / "good.toml"), "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == 2
    assert main(["--folder", str(out)]) == 0
    for name, code in (("wrong", 2), ("broken", 2), ("absent", 4)):
        assert main(["problems", str(tmp_path / f"{name}.toml"), "--out", str(tmp_path / name)]) == code
    assert main(["--folder", str(tmp_path / "nothing")]) == 4


def test_an_error_is_left_for_the_job_even_if_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.signals.install", lambda: None)
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))
    assert main(["--folder", str(tmp_path / "nothing")]) == 4
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "not_found"
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path / "gone"))
    assert main(["--folder", str(tmp_path / "nothing")]) == 4
    assert "is not a stage folder" in capsys.readouterr().err
    assert sys.exc_info() == (None, None, None)
