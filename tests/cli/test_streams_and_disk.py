"""Closed or full standard streams, a full disk, a path with a line break: explained, without a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cogtui.cli import main
from cogtui.store.db.location import locate_index
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput


@pytest.mark.parametrize(("closing", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), (">/dev/full", 1)])
def test_a_closed_or_full_stream_is_no_traceback(closing: str, code: int, tmp_path: Path) -> None:
    Workspace(tmp_path / "w").create()
    command = f'"{sys.executable}" -m cogtui ls --json --workspace "{tmp_path}/w" {closing}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr == "error: standard output cannot be written: No space left on device\n"


def test_a_full_disk_in_any_command_is_an_envelope(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/w/file")

    monkeypatch.setattr(main, "app", full)
    assert main._dispatch(["ls", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["summary"]) == ("missing_requirement", "No space left on device: /w/file")


def test_a_line_break_in_the_path_of_a_workspace_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has a line break in its path"):
        Workspace(tmp_path / "a\nb").create()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_named_cache_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy of a full disk names it, so it must win over the folder beside the workspace."""
    workspace = Workspace(tmp_path / "w")
    workspace.create()
    assert locate_index(workspace).folder == workspace.path / "index"
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    assert locate_index(workspace).folder.is_relative_to(tmp_path / "cache")
