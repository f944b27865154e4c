"""Faults of the local queue, each done for real. After each: the state is right, nothing is lost, nothing remains.

The table in docs/jobs.md names these tests.
"""

import contextlib
import errno
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.attempts import (
    EXIT,
    HEARTBEAT,
    JOB,
    STARTED,
    Exit,
    Job,
    Started,
    claim,
    read_record,
    reserve_exit,
    write_exit,
)
from jobs.launch import keep_going
from jobs.local_queue import LocalQueue
from jobs.process import ProcessId, alive, process_id
from jobs.state_files import PROGRESS
from pipelines.errors import MissingRequirement
from pipelines.files import read_json, write_json
from tests.jobs.lab import ROOT, Lab, wait_for


def launcher(lab: Lab, *options: str) -> list[str]:
    """Command line of a process that submits everything in the lab."""
    start = str(lab.path / "start")
    return [sys.executable, "-m", "tests.jobs.launcher", str(lab.workspace.path), str(lab.python), start, *options]


def worker_of(lab: Lab, name: str) -> ProcessId:
    """The worker of a stage whose child runs."""
    wait_for(lambda: lab.starts(name))
    found = wait_for(lambda: read_record(lab.attempt(name) / STARTED, Started))
    assert alive(found.worker)
    return found.worker


def held(lab: Lab, name: str = "a", **config: object) -> None:
    """A running stage that ends when `release` is called."""
    lab.stage(name, steps=2, until=str(lab.path / "go"), **config)  # type: ignore[arg-type]


def release(lab: Lab) -> None:
    (lab.path / "go").touch()


# -- the launcher ------------------------------------------------------------------------------------


def test_launcher_killed_with_9(lab: Lab) -> None:
    held(lab)
    lab.stage("b", "a")
    (lab.path / "start").touch()
    with subprocess.Popen(launcher(lab), cwd=ROOT, stdout=subprocess.PIPE) as process:
        worker = worker_of(lab, "a")
        process.kill()
    assert lab.state("a").state == "running"
    release(lab)
    lab.wait("b", "done")
    assert not alive(worker)
    wait_for(lambda: not lab.processes())


@pytest.mark.parametrize("how", ["hang-up", "ctrl-c"])
def test_terminal_hung_up_and_ctrl_c(lab: Lab, how: str) -> None:
    held(lab)
    lab.stage("b", "a")
    (lab.path / "start").touch()
    pid, terminal = pty.fork()
    if pid == 0:  # the launcher, leader of a session on its own terminal
        os.chdir(ROOT)
        os.execv(sys.executable, launcher(lab))
    try:
        worker = worker_of(lab, "a")
        agent = lab.agent_pid()
        if how == "ctrl-c":
            os.write(terminal, b"\x03")
            wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0])
    finally:
        os.close(terminal)  # what a dropped ssh connection does
    if how == "hang-up":
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0])
    assert agent is not None
    assert alive(worker)
    assert alive(process_id(agent))
    assert lab.state("a").state == "running"
    release(lab)
    lab.wait("b", "done")
    assert len(lab.starts("a")) == 1
    wait_for(lambda: not lab.processes())


def test_two_launchers_at_once_start_nothing_twice(lab: Lab) -> None:
    for number in range(6):
        lab.stage(f"s{number}", *([f"s{number - 1}"] if number % 2 else []))
    processes = [
        subprocess.Popen(launcher(lab, "--leave"), cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (lab.path / "start").touch()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    for number in range(6):
        lab.wait(f"s{number}", "done")
    assert [len(lab.starts(f"s{number}")) for number in range(6)] == [1] * 6
    assert [len(lab.state(f"s{number}").attempts) for number in range(6)] == [1] * 6
    assert all(set(actions) <= {"submitted", "claimed", "reused"} for actions in said)
    assert sum(actions.count("submitted") for actions in said) == 6


def test_a_claim_can_be_won_once(lab: Lab) -> None:
    lab.stage("a")
    job = Job(key=lab.key("a"), number=1, cluster="local", name="n", submitted=time.time(), submitter=process_id())
    assert claim(lab.folder("a"), job) == lab.attempt("a")
    assert claim(lab.folder("a"), job) is None
    assert [path.name for path in (lab.folder("a") / "attempts").iterdir()] == ["001"]


def test_an_attempt_that_was_replaced_does_nothing(lab: Lab) -> None:
    """As when somebody requeues a job by hand whose stage was started anew since."""
    held(lab)
    lab.stage("b", "a")
    lab.submit()
    worker_of(lab, "a")
    job = Job(key=lab.key("b"), number=2, cluster="local", name="n", submitted=time.time(), submitter=process_id())
    assert claim(lab.folder("b"), job)
    release(lab)
    ended = wait_for(lambda: read_record(lab.attempt("b") / EXIT, Exit))
    assert (ended.why, ended.reason) == ("cancelled", "a newer attempt has taken over")
    assert lab.starts("b") == []


def test_launcher_killed_between_claim_and_queue(lab: Lab) -> None:
    lab.stage("a")
    job = Job(key=lab.key("a"), number=1, cluster="local", name="n", submitted=time.time(), submitter=process_id())
    path = claim(lab.folder("a"), job)
    assert path is not None
    fresh = lab.state("a")
    assert (fresh.state, fresh.reason, fresh.active) == ("queued", "is being submitted", True)
    long_ago = time.time() - 3600
    os.utime(path / JOB, (long_ago, long_ago))
    assert lab.state("a").state == "lost"
    assert lab.submit()[0].action == "submitted"
    lab.wait("a", "done")


# -- the agent ---------------------------------------------------------------------------------------


def test_agent_killed_and_taken_over(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGTUI_LOCAL_CPUS", "1")
    held(lab)
    lab.stage("b", "a")
    held(lab, "c")
    lab.submit()
    worker = worker_of(lab, "a")
    agent = lab.agent_pid()
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: not alive(worker) or lab.agent_pid() is None)
    assert lab.state("a").state == "running"
    assert lab.state("b").state == "queued"
    keep_going(lab.workspace)
    successor = wait_for(lab.agent_pid)
    assert successor != agent
    assert lab.state("a").state == "running"
    assert lab.starts("c") == []  # the one core is still taken by a job that the new agent did not start
    release(lab)
    lab.wait("b", "done")
    lab.wait("c", "done")
    assert len(lab.starts("a")) == 1
    wait_for(lambda: not lab.processes())


def test_agent_killed_and_nobody_looks(lab: Lab) -> None:
    """The worker that ends starts a new agent when others wait."""
    held(lab)
    lab.stage("b", "a")
    lab.submit()
    worker_of(lab, "a")
    agent = lab.agent_pid()
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: lab.agent_pid() is None)
    release(lab)
    wait_for(lambda: lab.starts("b"))
    lab.wait("b", "done")
    wait_for(lambda: not lab.processes())


def test_agent_killed_before_it_noted_a_start(lab: Lab) -> None:
    """A running job whose ticket says that it waits is taken over, not started again."""
    held(lab)
    lab.submit()
    worker = worker_of(lab, "a")
    agent = lab.agent_pid()
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: lab.agent_pid() is None)
    queue = LocalQueue(lab.workspace)
    queued = queue.tickets()[0]
    queue.update(queued, queued.ticket.model_copy(update={"placed": None}))
    keep_going(lab.workspace)
    taken = wait_for(lambda: queue.tickets()[0].ticket.placed)
    assert taken.worker == worker
    release(lab)
    lab.wait("a", "done")
    assert len(lab.starts("a")) == 1


# -- the worker and the stage ------------------------------------------------------------------------


def test_worker_killed_with_9(lab: Lab) -> None:
    lab.stage("a", steps=2, do="children", once=True)
    lab.stage("b", "a")
    lab.submit()
    worker = worker_of(lab, "a")
    wait_for(lambda: (lab.folder("a") / "children.txt").exists())
    os.kill(worker.pid, signal.SIGKILL)
    lab.wait("b", "blocked")
    wait_for(lambda: not lab.processes())  # neither the trainer nor what it started
    state = lab.state("a")
    assert (state.state, state.reason) == ("lost", "its worker was killed by signal 9")
    assert [found.action for found in lab.submit()] == ["submitted", "submitted"]
    lab.wait("b", "done")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]


def test_worker_and_agent_killed_with_9(lab: Lab) -> None:
    lab.stage("a", steps=2, do="children", once=True)
    lab.submit()
    worker = worker_of(lab, "a")
    wait_for(lambda: (lab.folder("a") / "children.txt").exists())
    agent = lab.agent_pid()
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    os.kill(worker.pid, signal.SIGKILL)
    state = lab.wait("a", "lost")
    assert state.reason == f"its worker (process {worker.pid}) is gone and left no end"
    assert state.evidence == "process"
    lab.submit()
    lab.wait("a", "done")
    wait_for(lambda: not lab.processes())


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (9, "killed by signal 9 (SIGKILL)"),
        (11, "killed by signal 11 (SIGSEGV): Fatal Python error: Segmentation fault"),
    ],
)
def test_trainer_killed_by_a_signal(lab: Lab, number: int, reason: str) -> None:
    lab.stage("a", steps=2, do=f"kill {number}", once=True)
    lab.submit()
    state = lab.wait("a", "failed")
    assert state.reason == reason
    assert state.attempt is not None
    assert (state.attempt.signal, state.attempt.code) == (number, None)
    # a kill says nothing against the stage, a crash does
    assert lab.submit()[0].action == ("submitted" if number == 9 else "left")
    lab.submit(retry=True)
    lab.wait("a", "done")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]
    wait_for(lambda: not lab.processes())


def test_exit_code_7(lab: Lab) -> None:
    lab.stage("a", do="exit 7")
    lab.submit()
    state = lab.wait("a", "failed")
    assert state.reason == "exit code 7"
    assert state.attempt is not None
    assert state.attempt.code == 7


def test_python_exception(lab: Lab) -> None:
    lab.stage("a", do="raise the numbers do not add up")
    lab.submit()
    assert lab.wait("a", "failed").reason == "ValueError: the numbers do not add up (exit code 1)"


def test_a_stage_that_leaves_processes_behind(lab: Lab) -> None:
    lab.stage("a", do="leave")
    lab.submit()
    lab.wait("a", "done")
    assert (lab.folder("a") / "children.txt").exists()
    wait_for(lambda: not lab.processes())


# -- the machine -------------------------------------------------------------------------------------


def test_machine_rebooted(lab: Lab) -> None:
    """The records of a run before a boot: same host, other boot id, and a pid that lives again."""
    held(lab)
    lab.submit()
    started = read_json(wait_for(lambda: _started(lab, "a")))
    wait_for(lambda: (lab.folder("a") / "checkpoints/step-000002").exists())
    lab.close()
    wait_for(lambda: not lab.processes())
    started["worker"] |= {"boot_id": "0" * 36, "pid": os.getpid(), "started": process_id().started}
    write_json(lab.attempt("a") / STARTED, started)
    (lab.attempt("a") / EXIT).unlink(missing_ok=True)
    (lab.attempt("a") / "cancel.json").unlink(missing_ok=True)
    state = lab.state("a")
    assert state.state == "lost"
    assert state.reason.endswith("was restarted while it ran")
    release(lab)
    assert lab.submit()[0].action == "submitted"
    lab.wait("a", "done")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]


def test_machine_rebooted_before_the_worker_began(lab: Lab) -> None:
    lab.stage("a")
    lab.submit()
    lab.wait("a", "done")
    wait_for(lambda: not lab.processes())
    shutil.rmtree(lab.folder("a") / "attempts")
    (lab.folder("a") / "result.json").unlink()
    (lab.folder("a") / "starts.txt").unlink()
    me = process_id()
    job = Job(key=lab.key("a"), number=1, cluster="local", name="n", submitted=time.time(), submitter=me)
    claim(lab.folder("a"), job)
    ticket = {"key": lab.key("a"), "number": 1, "placed": {"worker": {**me.model_dump(), "boot_id": "-"}, "cpus": 1}}
    write_json(lab.workspace.path / f"queue/{time.time_ns():020d}-a-001.json", ticket)
    assert (lab.state("a").state, lab.state("a").reason) == ("lost", "the machine was restarted")
    lab.submit()
    lab.wait("a", "done")


def test_pid_used_again(lab: Lab) -> None:
    """A process that has the worker's number but not its start time is not the worker, and is not harmed."""
    held(lab)
    lab.submit()
    path = wait_for(lambda: _started(lab, "a"))
    started = read_json(path)
    lab.close()
    wait_for(lambda: not lab.processes())
    for name in (EXIT, "cancel.json"):
        (lab.attempt("a") / name).unlink(missing_ok=True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        started["worker"] |= {"pid": stranger.pid}
        write_json(path, started)
        assert lab.state("a").state == "lost"
        from jobs.control import cancel

        assert cancel(lab.workspace, [lab.key("a")])[0].state.state == "lost"
        assert stranger.poll() is None
        stranger.kill()


def _started(lab: Lab, name: str) -> Path | None:
    """The record of a start whose child runs."""
    path = lab.attempt(name) / STARTED
    return path if lab.starts(name) and (read_json(path) or {}).get("child") else None


def test_a_job_that_ends_while_it_is_looked_at_is_not_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes its end after its files were read and before its process is looked for."""
    lab.stage("a", do="exit 7")
    lab.submit()
    lab.wait("a", "failed")
    wait_for(lambda: not lab.processes())
    end = (lab.attempt("a") / EXIT).read_text()
    (lab.attempt("a") / EXIT).unlink()
    looked = []

    def gone(process: ProcessId) -> bool | None:
        looked.append(process)
        (lab.attempt("a") / EXIT).write_text(end)
        return False

    monkeypatch.setattr("jobs.process.alive", gone)
    state = lab.state("a")
    assert len(looked) == 1
    assert (state.state, state.reason) == ("failed", "exit code 7")


def test_attempt_folder_deleted_while_it_runs(lab: Lab) -> None:
    held(lab)
    lab.submit()
    worker_of(lab, "a")
    shutil.rmtree(lab.folder("a") / "attempts")
    state = lab.state("a")
    assert state.state == "unknown"
    assert state.active
    assert "attempt folder was deleted" in state.reason
    assert lab.submit()[0].action == "claimed"
    release(lab)
    lab.wait("a", "done")
    assert len(lab.starts("a")) == 1
    wait_for(lambda: not lab.processes())


def test_attempt_folder_deleted_while_it_waits(lab: Lab) -> None:
    held(lab)
    lab.stage("b", "a")
    lab.submit()
    worker_of(lab, "a")
    shutil.rmtree(lab.folder("b") / "attempts")
    assert lab.state("b").state == "planned"
    release(lab)
    lab.wait("a", "done")
    wait_for(lambda: not lab.processes())
    assert lab.state("b").state == "planned"
    assert [found.action for found in lab.submit()] == ["reused", "submitted"]
    lab.wait("b", "done")


def test_a_damaged_record_makes_the_state_unknown(lab: Lab) -> None:
    lab.stage("a", do="exit 3")
    lab.submit()
    lab.wait("a", "failed")
    (lab.attempt("a") / EXIT).write_text('{"v": 1, "ru')
    state = lab.state("a")
    assert state.state == "unknown"
    assert state.reason.startswith("001/exit.json cannot be read")
    assert lab.submit(retry=True)[0].action == "left"
    (lab.folder("a") / "stage.json").write_text("no JSON")
    assert lab.state("a").state == "unknown"


# -- clocks ------------------------------------------------------------------------------------------


def test_clock_skew_between_nodes(lab: Lab) -> None:
    """What a node writes of its own clock never decides: an hour ahead or behind changes no state."""
    held(lab)
    lab.submit()
    worker_of(lab, "a")
    wait_for(lambda: (lab.attempt("a") / HEARTBEAT).exists())
    for skew in (-3600.0, 3600.0):
        for name in (STARTED, HEARTBEAT):
            raw = read_json(lab.attempt("a") / name)
            for part in (raw, raw.get("run", {})):
                for field in ("time", "active", "started"):
                    if isinstance(part.get(field), float):
                        part[field] += skew
            write_json(lab.attempt("a") / name, raw)
        state = lab.state("a")
        assert (state.state, state.stalled) == ("running", False)
        assert state.age_s is not None
        assert state.age_s >= 0
    release(lab)
    lab.wait("a", "done")


def test_a_job_of_another_host_is_told_by_its_heartbeat_only(lab: Lab) -> None:
    held(lab)
    lab.submit()
    path = wait_for(lambda: _started(lab, "a"))
    started = read_json(path)
    lab.close()
    wait_for(lambda: not lab.processes())
    for name in (EXIT, "cancel.json"):
        (lab.attempt("a") / name).unlink(missing_ok=True)
    started["worker"]["host"] = "elsewhere"
    write_json(path, started)
    beat = lab.attempt("a") / HEARTBEAT
    write_json(beat, {"v": 1, "time": time.time() - 86400, "active": time.time() - 86400})
    state = lab.state("a")
    assert (state.state, state.evidence, state.stalled) == ("running", "heartbeat", False)
    old = time.time() - 1000
    os.utime(beat, (old, old))
    state = lab.state("a")
    assert state.state == "unknown"
    assert "elsewhere" in state.reason
    assert lab.submit()[0].action == "claimed"  # never started twice on a guess


def test_a_running_job_that_gives_no_sign_is_stalled(lab: Lab) -> None:
    held(lab)
    lab.submit()
    worker = worker_of(lab, "a")
    wait_for(lambda: (lab.attempt("a") / HEARTBEAT).exists())
    os.kill(worker.pid, signal.SIGSTOP)
    state = wait_for(lambda: found if (found := lab.state("a")).stalled else None)
    assert (state.state, state.active) == ("running", True)
    assert "is stopped by a signal" in state.reason
    os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: not lab.state("a").stalled)
    beat = read_json(lab.attempt("a") / HEARTBEAT)
    write_json(lab.attempt("a") / HEARTBEAT, {**beat, "active": beat["time"] - 1200})
    assert lab.state("a").reason == "no output and no processor time for 20 min"
    old = time.time() - 300
    for name in (HEARTBEAT, STARTED):
        os.utime(lab.attempt("a") / name, (old, old))
    state = lab.state("a")
    assert state.stalled
    assert state.reason.startswith("no heartbeat for ")
    release(lab)
    lab.wait("a", "done")


# -- the disk ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted without root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Takes all the room there is."""
    with (place / "filler").open("wb", buffering=0) as stream:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"x" * size)


def test_disk_full_while_state_files_are_written(tmp_path: Path, small_disk: Path) -> None:
    full = Lab(small_disk)
    try:
        full.stage("a", until=str(tmp_path / "go"), do="exit 5", once=True)
        full.stage("b")
        full.submit("a")
        # its progress is the last thing it writes before it waits
        wait_for(lambda: (full.folder("a") / PROGRESS).exists() and (full.attempt("a") / HEARTBEAT).exists())
        fill(small_disk)
        with pytest.raises(MissingRequirement, match=r"cannot write in .*: No space left on device"):
            full.submit("b")
        assert full.state("b").state == "planned"
        assert full.state("a").state == "running"
        (tmp_path / "go").touch()
        state = full.wait("a", "failed")
        assert (state.reason, state.evidence) == ("exit code 5", "exit.json")
        (small_disk / "filler").unlink()
        assert [found.action for found in full.submit(retry=True)] == ["submitted", "submitted"]
        full.wait("a", "done")
        full.wait("b", "done")
        wait_for(lambda: not full.processes())
    finally:
        full.close()


def test_disk_full_without_any_reserve(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot write its end at all: the state is lost, not wrong, and the next start continues."""
    held(lab)
    lab.submit()
    worker = worker_of(lab, "a")
    release(lab)
    lab.wait("a", "done")
    wait_for(lambda: not alive(worker) and not lab.processes())
    (lab.folder("a") / "result.json").unlink()
    (lab.attempt("a") / EXIT).unlink()
    assert lab.state("a").state == "lost"
    assert lab.submit()[0].action == "submitted"
    lab.wait("a", "done")


def test_an_exit_record_fits_into_its_reserve_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve_exit(tmp_path)

    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("jobs.attempts.write_json", full)
    record = Exit(run=1, host="h", time=1.0, code=1, why="failed", reason="ü" * 5000)
    write_exit(tmp_path, record)
    found = read_record(tmp_path / EXIT, Exit)
    assert found == record.model_copy(update={"reason": ""})
    with pytest.raises(OSError, match="No space left"):
        write_exit(tmp_path, record)
