"""The stage folder: complete or absent, never in between."""

import io
import signal
from pathlib import Path

import pytest

from pipelines.errors import Interrupted, InvalidInput, NotFound
from pipelines.files import read_json, write_atomic, write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.signals import graceful
from tests.processes import stop_signals


def test_a_checkpoint_is_complete_or_absent(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    with folder.new_checkpoint(10) as path:
        (path / "weights").write_text("w10")

    def killed_while_saving() -> None:
        with folder.new_checkpoint(20) as path:
            (path / "weights").write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed_while_saving()
    assert [step for step, _ in folder.checkpoints()] == [10]
    assert [item.name for item in (tmp_path / "checkpoints").iterdir()] == ["step-000010"]


def test_old_checkpoints_go_only_after_the_new_one_stands(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    for step in (1, 2, 3):
        with folder.new_checkpoint(step, keep=2):
            assert len(folder.checkpoints()) == min(step - 1, 2)
    assert [step for step, _ in folder.checkpoints()] == [2, 3]


def test_writing_a_step_again_replaces_it(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    for text in ("old", "new"):
        with folder.new_checkpoint(5) as path:
            (path / "weights").write_text(text)
    assert (folder.checkpoints()[0][1] / "weights").read_text() == "new"


def test_what_killed_attempts_left_unfinished_is_removed(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    (tmp_path / "checkpoints" / ".step-000003.22989.tmp").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".step-000003.22989.tmp" / "weights").write_text("half")
    with folder.new_checkpoint(5) as path:
        (path / "weights").write_text("whole")
    assert [item.name for item in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (folder.artifacts / ".traces.jsonl.22989.tmp").write_text("half")
    (folder.artifacts / ".model.22989.tmp").mkdir()
    (folder.artifacts / ".link.22989.tmp").symlink_to(elsewhere)
    (folder.artifacts / "traces.jsonl").write_text("whole")
    folder.write_result({"n": 1})
    assert [item.name for item in folder.artifacts.iterdir()] == ["traces.jsonl"]
    assert (elsewhere / "kept").read_text() == "kept"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "folder", "text")
    assert read_json(path) == {"a": 1}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["folder", "result.json"]


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text('{"kind": ')
    with pytest.raises(InvalidInput, match=r"stage\.json is not valid JSON"):
        StageFolder(tmp_path).info()
    with pytest.raises(NotFound):
        StageFolder(tmp_path / "elsewhere").info()


def test_progress_is_kept_to_two_a_second_but_the_last_is_written(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    for step in range(101):
        folder.report(step, 100, "steps", values={"reward": step / 100})
    progress = folder.progress()
    assert progress is not None
    assert (progress.done, progress.values["reward"]) == (100, 1.0)


def test_progress_is_told_in_the_log_too_once_in_two_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    now = [1000.0]
    monkeypatch.setattr("pipelines.folder.time.time", lambda: now[0])
    folder = StageFolder(tmp_path, log=log)
    for step in range(1, 11):
        now[0] += 0.6
        folder.report(step, 10, "steps", "two\nlines", {"reward": step / 10})
    folder.report(10, 10, "steps")
    told = [line.split("  ")[1:] for line in log.getvalue().splitlines()]
    assert told == [[f"{n}/10 steps", "two lines", f"reward={n / 10:.4g}"] for n in (1, 5, 9, 10)]
    log.close()
    folder.report(10, 10, "steps")  # a log that cannot be written fails nothing


def test_stage_info_refuses_unknown_fields() -> None:
    with pytest.raises(ValueError, match="unknown field `colour`"):
        StageInfo.model_validate({"kind": "base", "key": "base-0", "config": {}, "colour": 1})


def test_a_graceful_stage_chooses_where_it_stops() -> None:
    with stop_signals(), graceful() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(Interrupted, match="SIGTERM"):
            stop.raise_if_requested()
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
    with stop_signals(), pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGUSR2)
