"""Cancelling local jobs: all their processes end, even if agent or worker is dead, and no others."""

import os
import signal
import sys
from pathlib import Path

import pytest

from jobs.attempts.records import CANCEL, STARTED, StartRecord, read_record
from jobs.attempts.tickets import LocalQueue
from jobs.submit.cancel import cancel, dependents
from pipelines.errors import MissingRequirement
from tests.jobs.faults import kill_agent
from tests.jobs.lab import Lab, cogtui, wait_for


def running_with_children(lab: Lab, name: str = "a") -> int:
    """Starts a stage with children, grandchildren, a session of its own and a daemon; returns its worker's pid."""
    lab.stage(name, do="children")
    lab.submit(name)
    wait_for(lambda: (lab.folder(name) / "children.txt").exists())
    started = read_record(lab.attempt(name) / STARTED, StartRecord)
    assert started is not None
    wait_for(lambda: len(lab.processes()) == 8)  # agent, worker, stage, its five
    return started.worker.pid


def test_cancel_ends_the_whole_tree(lab: Lab) -> None:
    running_with_children(lab)
    done = cancel(lab.workspace, [lab.key("a")], grace_s=1.0)
    assert [(item.was.state, item.state.state) for item in done] == [("running", "cancelled")]
    wait_for(lambda: not lab.processes())
    assert lab.state("a").attempts[0].runs[0].why == "cancelled"


def test_cancel_with_a_dead_agent(lab: Lab) -> None:
    running_with_children(lab)
    kill_agent(lab)
    assert cancel(lab.workspace, [lab.key("a")], grace_s=0.5)[0].state.state == "cancelled"
    assert LocalQueue(lab.workspace).tickets() == []
    wait_for(lambda: not lab.processes())


def test_cancel_with_a_worker_that_does_not_answer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.submit.cancel._AFTER_GRACE_S", 0.5)
    worker = running_with_children(lab)
    os.kill(worker, signal.SIGSTOP)
    assert cancel(lab.workspace, [lab.key("a")], grace_s=0.5)[0].state.state == "cancelled"
    wait_for(lambda: not lab.processes())


def test_cancel_what_waits_with_a_dead_agent(lab: Lab) -> None:
    running_with_children(lab)
    lab.stage("b", "a")
    lab.submit("b")
    kill_agent(lab)
    done = {item.key: item for item in cancel(lab.workspace, [lab.key("b")], grace_s=0.5)}
    assert done[lab.key("b")].state.state == "cancelled"
    assert lab.state("a").state == "running"
    cancel(lab.workspace, [lab.key("a")], grace_s=0.0)
    wait_for(lambda: not lab.processes())
    assert lab.starts("b") == []


def test_a_stage_that_ends_politely_is_not_killed(lab: Lab) -> None:
    lab.stage("a", steps=2, until=str(lab.path / "never"))
    lab.submit()
    wait_for(lambda: (lab.folder("a") / "checkpoints/step-000002").exists())
    cancel(lab.workspace, [lab.key("a")])
    attempt = lab.state("a").attempt
    assert attempt is not None
    assert (attempt.state, attempt.code, attempt.signal) == ("cancelled", 75, None)


def test_dependents_go_along_and_others_stay(lab: Lab) -> None:
    go = str(lab.path / "go")
    lab.stage("a", until=str(lab.path / "never"))
    lab.stage("b", "a")
    lab.stage("c", "b")
    lab.stage("other", until=go)
    lab.stage("after", "other")
    lab.submit()
    wait_for(lambda: lab.starts("a"))
    assert dependents(lab.workspace, [lab.key("a")]) == {lab.key("b"): lab.key("a"), lab.key("c"): lab.key("b")}
    done = cancel(lab.workspace, [lab.key("a")])
    assert {item.key: item.state.state for item in done} == {lab.key(name): "cancelled" for name in "abc"}
    assert lab.state("other").state in ("queued", "running")
    (lab.path / "go").touch()
    lab.wait("after", "done")
    assert lab.starts("b") == []
    assert [found.action for found in lab.submit()] == ["left", "left", "left", "reused", "reused"]


def test_cancelling_what_is_over_changes_nothing(lab: Lab) -> None:
    lab.stage("a")
    lab.stage("b")
    lab.submit("a")
    lab.wait("a", "done")
    done = cancel(lab.workspace, [lab.key("a"), lab.key("b")])
    assert [(item.was.state, item.state.state) for item in done] == [("done", "done"), ("planned", "planned")]
    assert not (lab.attempt("a") / CANCEL).exists()
    assert cogtui(lab, "cancel", lab.key("a")).stdout == f"{lab.key('a')}  is done: nothing to cancel\n"


def test_a_request_that_cannot_be_saved_ends_the_stage_all_the_same(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: lab.starts("a"))

    def full(path: Path, record: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.submit.cancel.write_reserved", full)
    with pytest.raises(MissingRequirement, match="could not be recorded: No space left") as caught:
        cancel(lab.workspace, [lab.key("a")])
    assert caught.value.detail == "Its processes were ended all the same."
    wait_for(lambda: not lab.processes())
    assert (lab.state("a").state, lab.state("a").active) == ("preempted", False)


def test_the_command_asks_and_says_what_went_along(lab: Lab) -> None:
    running_with_children(lab)
    lab.stage("b", "a")
    lab.submit("b")
    refused = cogtui(lab, "cancel", lab.key("a"))
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert lab.state("a").state == "running"
    done = cogtui(lab, "cancel", lab.key("a")[:12], "--yes", "--grace", "0.5")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{lab.key('a')}  running -> cancelled",
        f"{lab.key('b')}  queued -> cancelled  (needs {lab.key('a')})",
    ]
    wait_for(lambda: not lab.processes())


def test_on_a_terminal_no_means_no(lab: Lab) -> None:
    import pty

    lab.stage("a", until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: lab.starts("a"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["COGTUI_WORKSPACE"] = str(lab.workspace.path)
        code = "from cogtui.cli.main import run; run()"
        os.execv(sys.executable, [sys.executable, "-c", code, "cancel", lab.key("a")])
    said = b""
    while b"?" not in said and b"]:" not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"n\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    os.close(terminal)
    assert lab.state("a").state == "running"
    (lab.path / "go").touch()
    lab.wait("a", "done")
