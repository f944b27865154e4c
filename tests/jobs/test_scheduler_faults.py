"""Slurm's commands missing, hanging, failing or talking nonsense: the state is right or unknown, never wrong."""

import os
import time
from pathlib import Path

import pytest

from jobs.attempts import records as attempts
from jobs.attempts.processes import ProcessId, process_id
from jobs.attempts.records import ExitRecord, JobRecord, StartRecord, WorkerRun, claim, job_name
from jobs.slurm.client import AccountingDisabled, query_jobs, sacct, squeue
from jobs.state.reader import StateReader
from jobs.submit.launch import submit
from pipelines.errors import MissingRequirement
from pipelines.files import write_json
from tests.jobs.lab import Lab, wait_for


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("jobs.slurm.client.TIMEOUT_S", 0.5)
    return folder


def script(folder: Path, name: str, text: str) -> None:
    """Puts a command there."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def on_slurm(
    lab: Lab, *, started: bool = True, heartbeat_age: float | None = None, ended: ExitRecord | None = None
) -> None:
    """Makes the records that a job of stage `a` on another node would have written."""
    instance = lab.stage("a")
    job = JobRecord(
        key=instance.key,
        number=1,
        cluster="slurm",
        name=job_name(lab.workspace.path, instance.key, 1),
        job_id="7",
        submitted=time.time() - 500,
        submitter=process_id(),
    )
    path = claim(lab.folder("a"), job)
    assert path is not None
    old = time.time() - 400
    if started:
        worker = ProcessId(host="node3", boot_id="b", pid_namespace="p", pid=5, started=1)
        record = StartRecord(worker=worker, run=WorkerRun(number=1, host="node3", started=old))
        attempts.write_record(path / attempts.STARTED, record)
        os.utime(path / attempts.STARTED, (old, old))
    if heartbeat_age is not None:
        write_json(path / attempts.HEARTBEAT, {"v": 1, "time": 5.0, "active": 5.0})
        moment = time.time() - heartbeat_age
        os.utime(path / attempts.HEARTBEAT, (moment, moment))
    if ended is not None:
        attempts.write_exit(path, ended)
    os.utime(path / attempts.JOB, (old, old))


FAULTS = {
    "missing": (None, "squeue is not installed here"),
    "hanging": ("sleep() { while :; do :; done; }; trap '' TERM; sleep", "squeue did not answer within 0.5 s"),
    "failing": ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "Unable to contact"),
    "garbage": ("echo 'Welcome to the cluster!'; echo '7|RUNNING|None|n1|x'", "cannot read the output of squeue"),
    "binary": ("printf '\\377\\000\\033[31m|\\n'", "cannot read the output of squeue"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_scheduler_commands_missing_hanging_or_printing_garbage(lab: Lab, commands: Path, fault: str) -> None:
    text, reason = FAULTS[fault]
    if text is not None:
        script(commands, "squeue", text)
    on_slurm(lab, heartbeat_age=1000.0)
    began = time.monotonic()
    state = lab.state("a")
    assert time.monotonic() - began < 5
    assert state.state == "unknown"
    assert reason in state.reason
    assert submit(lab.workspace, [lab.instances["a"]], retry=True)[0].action == "claimed"  # never twice on a guess


def test_without_a_scheduler_a_fresh_heartbeat_tells_that_it_runs(lab: Lab, commands: Path) -> None:
    on_slurm(lab, heartbeat_age=3.0)
    state = lab.state("a")
    assert (state.state, state.evidence) == ("running", "heartbeat")


def test_without_a_scheduler_the_jobs_own_end_tells(lab: Lab, commands: Path) -> None:
    on_slurm(lab, ended=ExitRecord(run=1, host="node3", time=time.time(), code=9, why="failed", reason="no luck"))
    state = lab.state("a")
    assert (state.state, state.reason, state.evidence) == ("failed", "no luck", "exit.json")


def test_without_a_scheduler_a_result_is_a_result(lab: Lab, commands: Path) -> None:
    on_slurm(lab)
    write_json(lab.folder("a") / "result.json", {})
    assert lab.state("a").state == "done"


def test_a_forgotten_job_is_lost_only_where_accounting_does_not_contradict(lab: Lab, commands: Path) -> None:
    script(commands, "squeue", "exit 0")
    on_slurm(lab, heartbeat_age=1000.0)
    script(commands, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert lab.state("a").state == "lost"
    script(commands, "sacct", "echo 'sacct: error: Connection refused' >&2; exit 1")
    state = lab.state("a")
    assert state.state == "unknown"
    assert "Connection refused" in state.reason
    script(commands, "sacct", "echo '7|NODE_FAIL|1:0|node3|x'")
    assert (lab.state("a").state, lab.state("a").reason) == ("lost", "its node failed on node3")
    script(commands, "sacct", "echo '7|CANCELLED by 1000|0:15|node3|x'")
    assert (lab.state("a").state, lab.state("a").reason) == ("cancelled", "cancelled outside cogtui")


def test_a_scheduler_that_hangs_delays_no_screen(lab: Lab, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What files say is there at once, and nothing is called lost because nobody answered; the answer comes later."""
    monkeypatch.setattr("jobs.slurm.client.TIMEOUT_S", 60.0)
    answers = lab.path / "answers"
    script(commands, "squeue", f"while [ ! -e {answers} ]; do :; done; echo '7|RUNNING|None|node3|x'")
    lab.stage("b")
    on_slurm(lab, heartbeat_age=1000.0)
    reader = StateReader(lab.workspace, scheduler_every_s=0.0, scheduler_patience_s=0.05)
    for _ in range(3):
        states = reader.read()
        assert states[lab.key("b")].state == "planned"
        assert (states[lab.key("a")].state, states[lab.key("a")].active) == ("unknown", True)
        assert states[lab.key("a")].reason == "Slurm has not answered yet"
    beat = lab.attempt("a") / attempts.HEARTBEAT
    os.utime(beat)
    assert (reader.read()[lab.key("a")].state, reader.read()[lab.key("a")].evidence) == ("running", "heartbeat")
    answers.touch()
    wait_for(lambda: reader.read()[lab.key("a")].evidence == "scheduler")
    answers.unlink()
    assert reader.read()[lab.key("a")].evidence == "scheduler", "the previous answer, until there is a newer one"
    answers.touch()


def test_a_job_that_gives_signs_of_life_is_not_called_lost(lab: Lab, commands: Path) -> None:
    script(commands, "squeue", "exit 0")
    script(commands, "sacct", "exit 0")
    on_slurm(lab, heartbeat_age=5.0)
    state = lab.state("a")
    assert state.state == "unknown"
    assert state.active


def test_an_answer_from_before_its_end_does_not_keep_a_job_running(lab: Lab, commands: Path) -> None:
    script(commands, "squeue", "echo '7|RUNNING|None|node3|x'; echo '8|RUNNING|None|node3|y'")
    on_slurm(lab, heartbeat_age=1.0)
    reader = StateReader(lab.workspace)
    assert reader.read()[lab.key("a")].state == "running"
    ended = ExitRecord(run=1, host="node3", time=time.time(), code=9, why="failed", reason="no luck")
    attempts.write_exit(lab.attempt("a"), ended)
    state = reader.read()[lab.key("a")]  # Slurm still says that it runs, and may start it again
    assert (state.state, state.active, state.reason) == (
        "running",
        True,
        "has ended; Slurm decides whether it starts again",
    )
    reader = StateReader(lab.workspace)
    (lab.attempt("a") / attempts.EXIT).unlink()
    assert reader.read()[lab.key("a")].state == "running"
    script(commands, "squeue", "echo '7|FAILED|None|node3|x'; echo '8|FAILED|None|node3|y'")
    attempts.write_exit(lab.attempt("a"), ended)
    assert reader.read()[lab.key("a")].state == "failed"  # though the answer of a moment ago said otherwise
    old = time.time() - 3600
    os.utime(lab.attempt("a") / attempts.EXIT, (old, old))
    assert reader.read()[lab.key("a")].state == "failed"


def test_each_shard_is_told_by_its_own_task(lab: Lab, commands: Path) -> None:
    instance = lab.stage("a")
    job = JobRecord(
        key=instance.key,
        number=1,
        cluster="slurm",
        name=job_name(lab.workspace.path, instance.key, 1),
        job_id="8",
        submitted=time.time(),
        submitter=process_id(),
        shards=3,
        shards_job_id="7",
    )
    path = claim(lab.folder("a"), job)
    assert path is not None
    for index in range(3):
        folder = attempts.shard_path(path, index)
        folder.mkdir()
        attempts.write_record(folder / attempts.JOB, job.model_copy(update={"shard": index, "array_task": index}))
    script(commands, "squeue", "for i in 0 2; do echo \"7_$i|RUNNING|None|n1|x\"; done; echo '7_1|NODE_FAIL|None|n2|x'")
    state = lab.state("a")
    assert (state.state, state.reason) == ("running", "0 of 3 shards done")
    for index in (0, 2):
        done = ExitRecord(run=1, host="n1", time=time.time(), code=0, why="done")
        attempts.write_exit(attempts.shard_path(path, index), done)
    state = lab.state("a")
    assert (state.state, state.reason) == ("lost", "shard 1: its node failed on n2; 2 of 3 shards done")


def test_the_users_display_settings_change_nothing(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(commands, "squeue", 'test -z "$SQUEUE_FORMAT$SQUEUE_PARTITION" && echo "7_3|RUNNING|None|n1|name"')
    monkeypatch.setenv("SQUEUE_FORMAT", "%A")
    monkeypatch.setenv("SQUEUE_PARTITION", "mine")
    assert squeue()["7_3"].nodes == "n1"


def test_no_accounting_is_told_from_a_failing_one(commands: Path) -> None:
    with pytest.raises(AccountingDisabled):
        sacct(["7"])
    script(commands, "squeue", "echo '8|PENDING|Dependency||n'")
    answer = query_jobs(["7", "8"])
    assert (list(answer.jobs), answer.problem, answer.incomplete) == (["8"], "", "")


def test_submitting_without_slurm_claims_nothing(lab: Lab, commands: Path) -> None:
    instance = lab.stage("a")
    with pytest.raises(MissingRequirement, match="no sbatch"):
        submit(lab.workspace, [instance], cluster="slurm")
    assert not (lab.folder("a") / "attempts").exists()


def test_sbatch_that_hangs_leaves_a_claim_that_is_lost_later(
    lab: Lab, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.submit.sbatch._SBATCH_TIMEOUT_S", 0.5)
    for name in ("srun", "squeue"):
        script(commands, name, "exit 0")
    script(commands, "sbatch", "while :; do :; done")
    instance = lab.stage("a")
    with pytest.raises(MissingRequirement, match="did not answer"):
        submit(lab.workspace, [instance], cluster="slurm")
    state = lab.state("a")
    assert (state.state, state.active) == ("queued", True)  # it may have been taken
    script(commands, "squeue", f"echo '55|PENDING|Priority||{job_name(lab.workspace.path, instance.key, 1)}'")
    assert (lab.state("a").state, lab.state("a").evidence) == ("queued", "scheduler")
    script(commands, "squeue", "exit 0")
    old = time.time() - 600
    os.utime(lab.attempt("a") / attempts.JOB, (old, old))
    assert (lab.state("a").state, lab.state("a").reason) == ("lost", "its submission did not finish")
