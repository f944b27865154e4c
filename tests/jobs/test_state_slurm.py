"""Every word of Slurm, with what the job itself recorded, and the state it makes."""

import time
from pathlib import Path

import pytest

from jobs.attempts.processes import ProcessId, process_id
from jobs.attempts.records import CancelRequest, ExitRecord, JobRecord, StartRecord, WorkerRun
from jobs.slurm.types import SlurmAnswer, SlurmJob
from jobs.state.files import AttemptFiles
from jobs.state.local import FileAges, StateDecision
from jobs.state.slurm import decide_slurm

NODE = ProcessId(host="node1", boot_id="b", pid_namespace="p", pid=9, started=3)
FAILED = ExitRecord(run=1, host="node1", time=1.0, code=3, why="failed", reason="it broke")
PREEMPTED = ExitRecord(run=1, host="node1", time=1.0, code=75, why="preempted", requeued=True)
TIMED_OUT = ExitRecord(run=1, host="node1", time=1.0, code=75, why="timeout", requeued=True)


def files(
    path: Path,
    *,
    run: int = 1,
    started: bool = True,
    ended: ExitRecord | None = None,
    cancelled: bool = False,
    step: int | None = None,
) -> AttemptFiles:
    """An attempt's records."""
    now = time.time()
    job = JobRecord(
        key="ppo-1", number=1, cluster="slurm", name="ppo-1.001.x", job_id="7", submitted=now, submitter=process_id(),
        resources={"memory": "64G"}, time_limit_s=3600.0,
    )  # fmt: skip
    found = AttemptFiles(1, str(path), job=job, exit=ended, written={"job.json": now})
    if started:
        found.started = StartRecord(
            worker=NODE, run=WorkerRun(number=run, host="node1", started=now, resumed_step=step)
        )
        found.written["started.json"] = found.written["heartbeat.json"] = now
    if cancelled:
        found.cancel = CancelRequest(time=now, host="h", user="u")
    return found


def judge(
    found: AttemptFiles,
    state: str | None,
    reason: str = "",
    *,
    failed_input: str = "",
    code: str = "",
    progress: float | None = None,
    answered_ago: float = -1.0,
) -> StateDecision:
    """The verdict when Slurm says so."""
    job = SlurmJob("7", state, reason, "node1", "ppo-1.001.x", code) if state else None
    asked = time.time() - answered_ago
    answer = SlurmAnswer(jobs={"7": job} if job else {}, names={job.name: job} if job else {}, asked=asked)
    return decide_slurm(found, answer, failed_input, progress, FileAges(lambda: 0.0))


@pytest.mark.parametrize(
    ("word", "why", "state", "active", "reason"),
    [
        ("PENDING", "Priority", "queued", True, "waits for its turn"),
        ("PENDING", "Resources", "queued", True, "waits for free resources"),
        ("PENDING", "Dependency", "queued", True, "waits for its inputs"),
        ("PENDING", "QOSMaxJobsPerUserLimit", "queued", True, "Slurm: QOSMaxJobsPerUserLimit"),
        ("PENDING", "DependencyNeverSatisfied", "blocked", False, "an input failed"),
        ("CONFIGURING", "", "queued", True, "its node node1 is being made ready"),
        ("RUNNING", "", "running", True, "starts on node1"),
        ("CANCELLED", "", "cancelled", False, "cancelled outside cogtui"),
        ("TIMEOUT", "", "timeout", False, "its time limit of 60 min was over"),
        ("NODE_FAIL", "", "lost", False, "its node failed on node1"),
        ("BOOT_FAIL", "", "lost", False, "its node failed on node1"),
        ("PREEMPTED", "", "preempted", False, "preempted on node1 and not queued again"),
        ("SOMETHING_NEW", "", "unknown", False, "Slurm says SOMETHING_NEW"),
    ],
)
def test_before_the_worker_began(tmp_path: Path, word: str, why: str, state: str, active: bool, reason: str) -> None:
    verdict = judge(files(tmp_path, started=False), word, why)
    assert (verdict.state, verdict.active, verdict.reason) == (state, active, reason)
    assert verdict.evidence == "scheduler"


@pytest.mark.parametrize(
    ("word", "state", "reason"),
    [
        ("RUNNING", "running", ""),
        ("COMPLETING", "running", "is ending"),
        ("SUSPENDED", "running", "suspended by the scheduler"),
        ("PENDING", "preempted", "preempted or requeued; queued again as the same job, waits for its turn"),
        ("REQUEUED", "preempted", "preempted or requeued; queued again as the same job, waits for its turn"),
        ("OUT_OF_MEMORY", "failed", "killed for lack of memory (it had 64G)"),
        ("COMPLETED", "unknown", "Slurm says it is done, but result.json is not visible here yet"),
        ("DEADLINE", "timeout", "its time limit of 60 min was over"),
    ],
)
def test_after_it_began(tmp_path: Path, word: str, state: str, reason: str) -> None:
    verdict = judge(files(tmp_path), word)
    assert (verdict.state, verdict.reason) == (state, reason)


def test_completed_long_ago_without_a_result_is_a_failure(tmp_path: Path) -> None:
    found = files(tmp_path)
    found.written = dict.fromkeys(found.written, time.time() - 500)
    assert judge(found, "COMPLETED").reason == "Slurm says it is done, but there is no result.json"


def test_failed_before_the_worker_began_quotes_slurms_log(tmp_path: Path) -> None:
    (tmp_path / "7_0_log.err").write_text("loading\n/bin/sh: python9: not found\n")
    verdict = judge(files(tmp_path, started=False), "FAILED")
    assert verdict.reason == "ended before the stage began on node1: /bin/sh: python9: not found"


def test_failed_without_an_own_record_is_told_by_the_log_and_the_code(tmp_path: Path) -> None:
    (tmp_path / "stderr.log").write_text("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n")
    assert judge(files(tmp_path), "FAILED", code="1:0").reason == "KeyError: 'a' (exit code 1)"
    assert judge(files(tmp_path), "FAILED", code="0:9").reason == "killed by signal 9 (SIGKILL)"


@pytest.mark.parametrize("word", ["FAILED", "COMPLETED", "COMPLETING", None])
def test_its_own_record_of_a_failure_explains_it(tmp_path: Path, word: str | None) -> None:
    verdict = judge(files(tmp_path, ended=FAILED), word)
    assert (verdict.state, verdict.reason, verdict.evidence, verdict.active) == (
        "failed",
        "it broke",
        "exit.json",
        False,
    )


def test_out_of_memory_wins_over_a_killed_child(tmp_path: Path) -> None:
    killed = ExitRecord(run=1, host="node1", time=1.0, signal=9, why="failed")
    verdict = judge(files(tmp_path, ended=killed), "OUT_OF_MEMORY")
    assert (verdict.state, verdict.reason) == ("failed", "killed for lack of memory (it had 64G)")


def test_started_again_after_its_end(tmp_path: Path) -> None:
    """Slurm requeued a failed job, as after the failure of its node: its word is newer than the record."""
    found = files(tmp_path, ended=FAILED)
    found.written["exit.json"] = time.time()
    assert judge(found, "PENDING").active
    for word in ("RUNNING", "COMPLETING"):  # Slurm has not noticed yet, or is about to requeue it
        ending = judge(found, word)
        assert (ending.state, ending.active) == ("running", True)
        assert ending.reason == "has ended; Slurm decides whether it starts again"
    assert judge(found, "FAILED").state == "failed"
    assert judge(found, None).state == "failed"
    found.cancel = CancelRequest(time=1.0, host="h", user="u")
    assert judge(found, "RUNNING").state == "failed"
    found.cancel = None
    found.written["exit.json"] = time.time() - 500
    assert judge(found, "PENDING").active
    assert judge(found, "RUNNING").active


@pytest.mark.parametrize(("ended", "state"), [(PREEMPTED, "preempted"), (TIMED_OUT, "timeout")])
def test_waiting_for_its_next_start(tmp_path: Path, ended: ExitRecord, state: str) -> None:
    verdict = judge(files(tmp_path, ended=ended), "PENDING", "BeginTime")
    assert (verdict.state, verdict.active) == (state, True)
    assert verdict.reason.endswith("queued again as the same job, waits for its start time")
    verdict = judge(files(tmp_path, ended=ended), "RUNNING")
    assert (verdict.state, verdict.reason) == ("resuming", "starts on node1")
    gone = judge(files(tmp_path, ended=ended), "CANCELLED")
    assert (gone.state, gone.active) == ("cancelled", False)


def test_resuming_until_it_makes_progress(tmp_path: Path) -> None:
    found = files(tmp_path, run=2, step=40)
    assert (judge(found, "RUNNING").state, judge(found, "RUNNING").reason) == ("resuming", "continues from step 40")
    assert judge(found, "RUNNING", progress=time.time() + 1).state == "running"


def test_a_start_that_is_newer_than_the_answer_counts(tmp_path: Path) -> None:
    assert judge(files(tmp_path), "PENDING", "Dependency", answered_ago=4.0).state == "running"
    assert judge(files(tmp_path), "PENDING", "Priority").state == "preempted"


def test_cancelled_for_its_input_is_blocked_and_by_a_person_cancelled(tmp_path: Path) -> None:
    cause = "its input base-1 failed: it broke"
    verdict = judge(files(tmp_path, started=False), "CANCELLED", failed_input=cause)
    assert (verdict.state, verdict.reason) == ("blocked", cause)
    asked = judge(files(tmp_path, started=False, cancelled=True), "CANCELLED", failed_input=cause)
    assert (asked.state, asked.reason) == ("cancelled", "cancelled")


def test_a_forgotten_job(tmp_path: Path) -> None:
    never = judge(files(tmp_path, started=False), None)
    assert (never.state, never.reason) == ("lost", "Slurm no longer lists job 7, which never started")
    asked = judge(files(tmp_path, started=False, cancelled=True), None)
    assert asked.state == "cancelled"
    blocked = judge(files(tmp_path, started=False), None, failed_input="its input x failed")
    assert blocked.state == "blocked"
