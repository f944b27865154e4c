"""`cogtui ls`, `show`, `logs`, `doctor`: what they print for people and for programs, and their exit codes."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipelines.files import write_json
from tests.jobs.lab import Lab, cogtui, wait_for


def data(done: "subprocess.CompletedProcess[str]") -> Any:
    """The data of an envelope."""
    envelope = json.loads(done.stdout)
    assert envelope["version"] == 1
    return envelope["data"]


def test_ls_gives_exactly_the_fields_of_the_contract(lab: Lab) -> None:
    lab.stage("a", labels={"condition": "none", "seed": 1})
    lab.stage("bad", "a", do="raise \x1b]0;evil\x07 [bold]")
    lab.submit()
    lab.wait("bad", "failed")
    cells = [{"labels": {"seed": 1}, "stages": {"a": lab.key("a")}}]
    for moment in ("20260101T000000.000000Z", "20260102T000000.000000Z"):
        write_json(_made(lab.workspace.experiments / "mini") / f"{moment}.json", {"cells": cells})
    (lab.workspace.experiments / "mini/20260103T000000.000000Z.json").write_text("{")
    done = cogtui(lab, "ls", "--json")
    assert done.returncode == 0
    rows = {row["name"]: row for row in data(done)}
    assert set(rows) == {"a", "bad"}
    for row in rows.values():
        assert list(row) == [
            "key", "kind", "name", "experiment", "cell", "state", "reason", "progress",
        ]  # fmt: skip
    assert rows["a"]["experiment"] == "mini"
    assert rows["a"]["cell"] == {"condition": "none", "seed": 1}
    assert rows["a"]["state"] == "done"
    assert rows["a"]["progress"]["done"] == 1
    assert rows["bad"]["experiment"] is None
    assert rows["bad"]["state"] == "failed"
    assert rows["bad"]["reason"].startswith("ValueError: ␛]0;evil␇ [bold]")
    assert len(json.loads(done.stdout)["warnings"]) == 1

    text = cogtui(lab, "ls")
    assert "\x1b" not in text.stdout
    assert text.stdout.splitlines()[0].split() == ["KEY", "STATE", "EXPERIMENT", "STAGE", "CELL", "PROGRESS", "REASON"]
    assert "condition=none seed=1" in text.stdout
    assert [row["name"] for row in data(cogtui(lab, "ls", "--json", "--state", "failed"))] == ["bad"]
    assert [row["name"] for row in data(cogtui(lab, "ls", "--json", "--experiment", "mini"))] == ["a"]
    assert cogtui(lab, "ls", "--experiment", "nope").returncode == 4
    assert cogtui(lab, "ls", "--state", "nope").returncode == 2


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_an_empty_workspace_is_no_error_and_a_missing_one_is(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.workspace = type(lab.workspace)(_made(tmp_path / "empty"))
    done = cogtui(lab, "ls", "--json")
    assert (done.returncode, data(done)) == (0, [])
    lab.workspace = type(lab.workspace)(tmp_path / "nowhere")
    for command in ("ls", "retry"):
        done = cogtui(lab, command, "--json")
        assert done.returncode == 4
        assert "there is no workspace" in json.loads(done.stdout)["error"]["summary"]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", [("ls",), ("doctor",), ("rollouts",), ("retry",), ("run", "smoke", "--dry-run")])
def test_a_file_as_a_workspace_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    lab = Lab(tmp_path)
    (tmp_path / "file").touch()
    lab.workspace = type(lab.workspace)(tmp_path / "file")
    done = cogtui(lab, *command)
    assert done.returncode == 2
    assert "is a file, and a workspace is a folder" in done.stderr


def test_wrong_usage_names_the_help_of_its_command(lab: Lab) -> None:
    assert "See cogtui logs --help." in cogtui(lab, "logs", "--nope").stderr
    assert "See cogtui cancel --help." in cogtui(lab, "cancel").stderr


def test_retry_starts_what_failed_and_refuses_what_is_done(lab: Lab) -> None:
    lab.stage("good")
    lab.stage("bad", do="exit 7")
    lab.submit("good", "bad")
    lab.wait("good", "done")
    lab.wait("bad", "failed")
    done = cogtui(lab, "retry", lab.key("good"))
    assert done.returncode == 2
    assert "is done" in done.stderr
    assert data(cogtui(lab, "retry", "--json")) == [{"key": lab.key("bad"), "was": "failed"}]
    assert lab.attempt("bad", 2).is_dir()
    lab.wait("bad", "failed")
    assert "failed -> queued" in cogtui(lab, "retry", lab.key("bad")).stdout
    assert lab.attempt("bad", 3).is_dir()


def test_show_tells_state_evidence_attempts_and_inputs(lab: Lab) -> None:
    lab.stage("a", labels={"seed": 3})
    lab.stage("b", "a", steps=2, do="exit 7", once=True, resources={"cpus": 2})
    lab.submit()
    lab.wait("b", "failed")
    lab.submit(retry=True)
    lab.wait("b", "done")
    wait_for(lambda: not lab.processes())
    shown = data(cogtui(lab, "show", lab.key("b")[:10], "--json"))
    assert (shown["state"], shown["evidence"]) == ("done", "result.json")
    assert shown["inputs"] == [{"key": lab.key("a"), "state": "done"}]
    assert [attempt["state"] for attempt in shown["attempts"]] == ["failed", "done"]
    assert shown["attempts"][0]["reason"] == "exit code 7"
    assert shown["attempts"][1]["runs"][0]["resumed_step"] == 2
    assert shown["attempts"][0]["resources"]["cpus"] == 2
    assert shown["config"]["steps"] == 2
    assert shown["result"] == {"starts": 2, "steps": 2, "words": ""}
    text = cogtui(lab, "show", lab.key("b")).stdout
    for part in (
        "attempt 1  failed",
        "reason     exit code 7",
        "resumed at step 2",
        "cpus=2",
        f"input      {lab.key('a')}",
    ):
        assert part in text
    assert cogtui(lab, "show", "nope").returncode == 4
    assert cogtui(lab, "show", "probe").returncode == 2  # fits both


def test_logs_of_all_attempts_with_hostile_text(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.stage("a", do="raise \x1b[2Jcleared \x9b31m \u202eright [red]", once=True)
    lab.submit()
    lab.wait("a", "failed")
    lab.submit(retry=True)
    lab.wait("a", "done")
    done = cogtui(lab, "logs", lab.key("a"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "==> attempt 1, stdout.log <=="
    assert "==> attempt 2, stdout.log <==" in lines
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert any(line.startswith("ValueError: ") and line.endswith("right [red]") for line in lines)
    monkeypatch.setenv("COLUMNS", "30")
    narrow = cogtui(lab, "logs", lab.key("a")).stdout
    assert narrow.split() == done.stdout.split()
    assert all(len(line) <= 30 or " " not in line.strip() for line in narrow.splitlines())
    assert cogtui(lab, "logs", lab.key("a"), "--raw").stdout == done.stdout
    last = cogtui(lab, "logs", lab.key("a"), "--stdout", "-n", "1").stdout.splitlines()
    assert last[::2] == ["==> attempt 1, stdout.log <==", "==> attempt 2, stdout.log <=="]
    assert len(last) == 4
    assert json.loads(last[3])["starts"] == 2
    logs = data(cogtui(lab, "logs", lab.key("a"), "--json"))["logs"]
    assert [(log["attempt"], log["log"]) for log in logs][:2] == [(1, "stdout.log"), (1, "stderr.log")]
    assert cogtui(lab, "logs", lab.key("a"), "--json", "-f").returncode == 2


def test_logs_follow_a_running_stage_to_its_end(lab: Lab) -> None:
    lab.stage("a", steps=2, until=str(lab.path / "go"), do="exit 3")
    lab.submit()
    wait_for(lambda: lab.starts("a"))
    command = [sys.executable, "-u", "-c", "from cogtui.cli.main import run; run()", "logs", lab.key("a"), "-f"]
    environment = {**os.environ, "COGTUI_WORKSPACE": str(lab.workspace.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        seen: list[str] = []
        reader = threading.Thread(target=lambda: seen.extend(tail.stdout or ()))
        reader.start()
        wait_for(lambda: "step 2\n" in seen)
        assert tail.poll() is None
        (lab.path / "go").touch()
        assert tail.wait(timeout=60) == 0
        reader.join()
        assert seen.count("step 2\n") == 1
        assert tail.stderr.read().strip() == f"{lab.key('a')} is failed: exit code 3"


def test_doctor_says_what_is_missing_and_what_degrades(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("PATH", str(lab.path))
    lab.stage("a", resources={"python": "/nowhere/python"})
    lab.submit()
    lab.wait("a", "failed")
    done = cogtui(lab, "doctor", "--json")
    assert done.returncode == 0
    assert "sk-ant-secret" not in done.stdout
    found = {(item["area"], item["name"]): item for item in data(done)}
    assert found["workspace", "folder"]["status"] == "ok"
    assert found["slurm", "commands"]["status"] == "missing"
    assert found["slurm", "commands"]["degrades"] == "only --cluster local"
    assert found["keys", "ANTHROPIC_API_KEY"]["detail"] == "is set"
    assert found["keys", "OPENAI_API_KEY"]["status"] == "missing"
    assert found["interpreters", "/nowhere/python"]["status"] == "problem"
    assert found["local", "slots"]["detail"] == "4 CPU cores, no GPUs"
    assert found["disk", "file system"]["status"] == "ok"
    assert ("extras", "vllm") in found
    assert "so: only --cluster local" in cogtui(lab, "doctor").stdout


def test_doctor_of_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    blocker = tmp_path / "file"
    blocker.touch()
    lab.workspace = type(lab.workspace)(blocker / "workspace")
    done = cogtui(lab, "doctor", "--json")
    assert done.returncode == 3
    found = {(item["area"], item["name"]): item for item in data(done)}
    assert found["workspace", "folder"]["status"] == "problem"


def test_looking_imports_nothing_heavy(lab: Lab) -> None:
    lab.stage("a")
    lab.submit()
    lab.wait("a", "done")
    heavy = ("torch", "transformers", "trl", "vllm", "openai", "anthropic", "submitit", "datasets", "textual", "numpy")
    # the state is read without pydantic, whose import alone would take longer than a list
    looks = [(command, (*heavy, "pydantic")) for command in (["ls"], ["show", lab.key("a")], ["logs", lab.key("a")])]
    for command, unwanted in (*looks, (["doctor"], heavy)):
        code = (
            "import sys\nfrom cogtui.cli import main\n"
            "try:\n    main.run(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
            f"print('LOADED', [name for name in {unwanted!r} if name in sys.modules])"
        )
        environment = {**os.environ, "COGTUI_WORKSPACE": str(lab.workspace.path)}
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, env=environment, check=True
        )
        assert done.stdout.splitlines()[-1] == "LOADED []", command
