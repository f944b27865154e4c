"""Jobs on a real Slurm that are interrupted: preempted, requeued, killed, out of time, cancelled."""

import contextlib
import os
import signal

import pytest

from jobs.attempts.records import EXIT, STARTED, ExitRecord, StartRecord, read_record
from jobs.slurm import client as slurm
from jobs.submit.cancel import cancel
from tests.jobs.lab import Lab, wait_for
from tests.jobs.on_slurm.labs import job_id, preempt, processes_of, saved

pytestmark = pytest.mark.slurm


def test_preempted_with_a_warning_resumes_under_the_same_id(lab: Lab) -> None:
    _preempted_and_resumed(lab)


def test_preempted_without_a_warning_resumes_under_the_same_id(silent_lab: Lab) -> None:
    _preempted_and_resumed(silent_lab)


def _preempted_and_resumed(lab: Lab) -> None:
    lab.stage("a", steps=3, until=str(lab.path / "go"))
    lab.stage("b", "a")
    lab.submit()
    wait_for(lambda: saved(lab, "a", 3))
    before = job_id(lab, "a")
    preempt()
    state = lab.wait("a", "preempted")
    assert (state.active, state.evidence) == (True, "scheduler")
    assert [found.action for found in lab.submit()] == ["claimed", "claimed"]
    lab.wait("a", "resuming")  # from the moment it has a node
    wait_for(lambda: lab.state("a").reason == "continues from step 3")
    assert lab.state("a").state == "resuming"
    (lab.path / "go").touch()
    state = lab.wait("a", "done")
    assert job_id(lab, "a") == before
    assert [int(start[0]) for start in lab.starts("a")] == [0, 3]
    assert len(state.attempts) == 1
    wait_for(lambda: read_record(lab.attempt("a") / EXIT, ExitRecord))
    runs = lab.state("a").attempts[0].runs
    assert [(run.why, run.resumed_step) for run in runs] == [("preempted", None), ("done", 3)]
    lab.wait("b", "done")  # its dependency held through the requeue


def test_requeued_outside_resumes(lab: Lab) -> None:
    lab.stage("a", steps=2, until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: saved(lab, "a", 2))
    slurm.run_command(["scontrol", "requeue", job_id(lab, "a")])
    lab.wait("a", "preempted")
    wait_for(lambda: len(lab.starts("a")) == 2)
    (lab.path / "go").touch()
    state = lab.wait("a", "done")
    assert state.attempts[0].restarts == 1
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]


def test_node_failure_is_survived(lab: Lab) -> None:
    lab.stage("a", steps=2, until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: saved(lab, "a", 2))
    node = slurm.squeue()[job_id(lab, "a")].nodes
    slurm.run_command(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"])
    seen = []

    def started_again() -> bool:
        seen.append(lab.state("a"))
        return len(lab.starts("a")) == 2

    try:
        wait_for(started_again)
        assert [state for state in seen if not state.active] == []
    finally:
        with contextlib.suppress(slurm.SlurmRefusal):  # it may be back already
            slurm.run_command(["scontrol", "update", f"nodename={node}", "state=resume"])
    (lab.path / "go").touch()
    lab.wait("a", "done")


def test_worker_killed_on_its_node(lab: Lab) -> None:
    lab.stage("a", steps=2, do="children", once=True)
    lab.stage("b", "a")
    lab.submit()
    wait_for(lambda: (lab.folder("a") / "children.txt").exists())
    started = read_record(lab.attempt("a") / STARTED, StartRecord)
    assert started is not None
    os.kill(started.worker.pid, signal.SIGKILL)
    state = lab.wait("a", "failed")
    assert (state.reason, state.evidence) == ("Slurm says it failed on n1", "scheduler")
    wait_for(lambda: not processes_of(lab, "a"))
    lab.wait("b", "blocked")
    assert [found.action for found in lab.submit(retry=True)] == ["submitted", "submitted"]
    lab.wait("b", "done")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]


def test_trainer_killed_on_its_node(lab: Lab) -> None:
    lab.stage("a", steps=2, do="kill 9", once=True)
    lab.submit()
    state = lab.wait("a", "failed")
    assert state.reason == "killed by signal 9 (SIGKILL)"
    assert lab.submit()[0].action == "submitted"  # it is continued without --retry
    lab.wait("a", "done")


@pytest.mark.slow
def test_over_its_time_limit_it_is_warned_and_goes_on_as_the_same_job(lab: Lab) -> None:
    lab.stage("a", steps=2, until=str(lab.path / "go"), resources={"time": "0:01"})
    lab.submit()
    wait_for(lambda: saved(lab, "a", 2))
    state = lab.wait("a", "timeout", "preempted", seconds=120)  # at once after the warning, which may come early
    assert state.active
    wait_for(lambda: len(lab.starts("a")) == 2, 120)
    (lab.path / "go").touch()
    state = lab.wait("a", "done")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]
    assert state.attempts[0].runs[0].why == "timeout"


def test_cancelled_with_what_depends_on_it(lab: Lab) -> None:
    lab.stage("a", do="children")
    lab.stage("b", "a")
    lab.stage("c", "b")
    lab.stage("other", until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: (lab.folder("a") / "children.txt").exists())
    done = {item.key: item for item in cancel(lab.workspace, [lab.key("a")])}
    assert [done[lab.key(name)].because for name in "abc"] == ["", lab.key("a"), lab.key("b")]
    for name in "abc":
        assert lab.wait(name, "cancelled").reason == "cancelled"
    assert lab.state("other").state in ("queued", "running")
    wait_for(lambda: not processes_of(lab, "a"))
    assert lab.submit()[0].action == "left"
    (lab.path / "go").touch()
    lab.wait("other", "done")


def test_cancelled_outside(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.stage("b", "a")
    lab.submit()
    wait_for(lambda: lab.starts("a"))
    slurm.run_command(["scancel", job_id(lab, "a")])
    state = lab.wait("a", "cancelled")
    assert state.reason == "cancelled outside cogtui"
    assert lab.wait("b", "blocked").reason.startswith(f"its input {lab.key('a')} was cancelled")
    assert len(lab.starts("a")) == 1
    assert not state.active
