"""Faults of the local queue, each done for real. After each: the state is right, nothing is lost, nothing remains.

The table in docs/jobs.md names these tests.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.attempts.agent_link import ensure_agent
from jobs.attempts.processes import is_alive, process_id
from jobs.attempts.records import (
    EXIT,
    JOB,
    ExitRecord,
    JobRecord,
    claim,
    claim_all,
    read_record,
)
from jobs.attempts.tickets import LocalQueue
from jobs.submit.cancel import cancel
from pipelines.errors import MissingRequirement
from pipelines.files import sync_folder
from tests.jobs.faults import held, ignored, kill_agent, launcher, release, worker_of
from tests.jobs.lab import ROOT, Lab, wait_for
from tests.power_loss import PowerLoss

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
    assert not is_alive(worker)
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
    assert is_alive(worker)
    assert is_alive(process_id(agent))
    assert lab.state("a").state == "running"
    release(lab)
    lab.wait("b", "done")
    assert len(lab.starts("a")) == 1
    wait_for(lambda: not lab.processes())


def test_a_launcher_in_the_background_goes_on_and_its_stages_hear_every_signal(lab: Lab) -> None:
    """As a script's `cogtui run … &` and `nohup cogtui run …`: they inherit an ignored SIGINT and SIGHUP."""
    held(lab)
    (lab.path / "start").touch()
    background = ["/bin/sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *launcher(lab)]
    with subprocess.Popen(background, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            worker = worker_of(lab, "a")
            kept = {signal.SIGINT, signal.SIGHUP}
            assert kept <= ignored(process.pid)
            ((_, stage, *_),) = lab.starts("a")
            assert not kept & ignored(int(stage))
            assert not kept & ignored(worker.pid)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGHUP)
            (ended,) = cancel(lab.workspace, [lab.key("a")])
            assert ended.state.state == "cancelled"
            assert process.poll() is None
        finally:
            process.kill()
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
    job = JobRecord(
        key=lab.key("a"), number=1, cluster="local", name="n", submitted=time.time(), submitter=process_id()
    )
    assert claim(lab.folder("a"), job) == lab.attempt("a")
    assert claim(lab.folder("a"), job) is None
    assert [path.name for path in (lab.folder("a") / "attempts").iterdir()] == ["001"]


def test_claims_are_whole_after_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders above are not synced, so that an attempt may vanish; what exists has its record."""
    root = tmp_path / "stages"
    root.mkdir()
    jobs = []
    for number in range(40):  # more than are synced one after the other
        (root / str(number) / "attempts").mkdir(parents=True)
        jobs.append(
            JobRecord(key=str(number), number=1, cluster="local", name="n", submitted=0.0, submitter=process_id())
        )
    disk = PowerLoss(root, monkeypatch)
    paths = claim_all([(root / job.key, job) for job in jobs])
    for folder in (root, *root.iterdir(), *root.glob("*/attempts")):
        sync_folder(folder)  # as when the disk had written the renames by chance
    left = disk.crash(tmp_path / "left")
    for job, path in zip(jobs, paths, strict=True):
        assert path is not None
        assert read_record(left / path.relative_to(root) / JOB, JobRecord) == job


def test_claims_are_all_made_or_none(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    (bad / "attempts").write_text("not a folder")
    jobs = [
        JobRecord(key=path.name, number=1, cluster="local", name="n", submitted=0.0, submitter=process_id())
        for path in (good, bad)
    ]
    with pytest.raises(MissingRequirement, match=r"cannot write in .*bad"):
        claim_all([(good, jobs[0]), (bad, jobs[1])])
    assert list((good / "attempts").iterdir()) == []


def test_an_attempt_that_was_replaced_does_nothing(lab: Lab) -> None:
    """As when a person requeues a job whose stage has been started again since."""
    held(lab)
    lab.stage("b", "a")
    lab.submit()
    worker_of(lab, "a")
    job = JobRecord(
        key=lab.key("b"), number=2, cluster="local", name="n", submitted=time.time(), submitter=process_id()
    )
    assert claim(lab.folder("b"), job)
    release(lab)
    ended = wait_for(lambda: read_record(lab.attempt("b") / EXIT, ExitRecord))
    assert (ended.why, ended.reason) == ("cancelled", "a newer attempt replaced it")
    assert lab.starts("b") == []


def test_launcher_killed_between_claim_and_queue(lab: Lab) -> None:
    lab.stage("a")
    job = JobRecord(
        key=lab.key("a"), number=1, cluster="local", name="n", submitted=time.time(), submitter=process_id()
    )
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
    agent = kill_agent(lab)
    wait_for(lambda: not is_alive(worker) or lab.agent_pid() is None)
    assert lab.state("a").state == "running"
    assert lab.state("b").state == "queued"
    ensure_agent(lab.workspace)
    successor = wait_for(lab.agent_pid)
    assert successor != agent
    assert lab.state("a").state == "running"
    assert lab.starts("c") == []  # the one core is still taken by a job that the new agent did not start
    release(lab)
    lab.wait("b", "done")
    lab.wait("c", "done")
    assert len(lab.starts("a")) == 1
    wait_for(lambda: not lab.processes())


def test_a_waiting_job_keeps_its_environment_when_another_agent_takes_over(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent that was killed had it from a shell that is gone; the next one is started by another shell."""
    held(lab)
    lab.stage("b", "a", until=str(lab.path / "go"))
    monkeypatch.setenv("WHOSE_KEY", "the submitter's=1\n2")
    lab.submit()
    worker_of(lab, "a")
    kill_agent(lab)
    monkeypatch.setenv("WHOSE_KEY", "another shell's")
    ensure_agent(lab.workspace)
    wait_for(lab.agent_pid)
    release(lab)
    worker = worker_of(lab, "b")
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
    assert b"WHOSE_KEY=the submitter's=1\n2" in environment
    lab.wait("b", "done")
    wait_for(lambda: not lab.processes())


def test_the_keeper_of_the_environment_is_killed(lab: Lab) -> None:
    """The job is lost, and does not run with another environment; the next run starts it with its own."""
    held(lab)
    lab.stage("b", "a")
    lab.submit()
    worker_of(lab, "a")
    (waiting,) = [found.ticket for found in LocalQueue(lab.workspace).tickets() if found.ticket.placed is None]
    assert waiting.environment is not None
    assert lab.state("b").state == "queued"
    os.kill(waiting.environment.pid, signal.SIGKILL)
    state = lab.wait("b", "lost")
    assert state.reason == "the environment of its submitter is gone with the process that kept it"
    assert [found.action for found in lab.submit()] == ["claimed", "submitted"]
    release(lab)
    lab.wait("b", "done")
    assert len(lab.starts("b")) == 1
    wait_for(lambda: not lab.processes())


def test_agent_killed_and_nobody_looks(lab: Lab) -> None:
    """The worker that ends starts a new agent when others wait."""
    held(lab)
    lab.stage("b", "a")
    lab.submit()
    worker_of(lab, "a")
    kill_agent(lab)
    wait_for(lambda: lab.agent_pid() is None)
    release(lab)
    wait_for(lambda: lab.starts("b"))
    lab.wait("b", "done")
    wait_for(lambda: not lab.processes())


def test_an_agent_that_a_worker_starts_is_not_the_workers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees all GPUs, not those of the worker alone, and is no process of the worker's attempt."""
    monkeypatch.delenv("COGTUI_LOCAL_GPUS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,GPU-ab")
    held(lab)
    later = lab.path / "later"
    lab.stage("b", "a", until=str(later), resources={"gpus": 2})
    lab.submit()
    worker_of(lab, "a")
    kill_agent(lab)
    wait_for(lambda: lab.agent_pid() is None)
    release(lab)
    wait_for(lambda: lab.starts("b"))
    assert lab.starts("b")[0][2:] == ["0,GPU-ab"]
    agent = lab.agent_pid()
    assert agent is not None
    environment = Path(f"/proc/{agent}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=0,GPU-ab" in environment
    assert not [each for each in environment if each.startswith((b"COGTUI_ATTEMPT=", b"SUBMITIT_"))]
    later.touch()
    lab.wait("b", "done")


def test_agent_killed_before_it_noted_a_start(lab: Lab) -> None:
    """A running job whose ticket says that it waits is taken over, not started again."""
    held(lab)
    lab.submit()
    worker = worker_of(lab, "a")
    kill_agent(lab)
    wait_for(lambda: lab.agent_pid() is None)
    queue = LocalQueue(lab.workspace)
    queued = queue.tickets()[0]
    queue.update(queued, queued.ticket.model_copy(update={"placed": None}))
    ensure_agent(lab.workspace)
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
    kill_agent(lab)
    os.kill(worker.pid, signal.SIGKILL)
    state = lab.wait("a", "lost")
    assert state.reason == f"its worker (process {worker.pid}) is gone and wrote no exit record"
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
