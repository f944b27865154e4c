"""Real Slurm daemons: chains, preemption, requeue, time limits, cancelling, purged parents."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import slurm
from jobs.attempts import EXIT, JOB, STARTED, Exit, Started, read_record
from jobs.control import cancel
from jobs.slurm_types import SlurmJob
from jobs.state import StageState, StateReader
from pipelines.files import read_json, write_json
from tests.jobs.cluster import running_slurm
from tests.jobs.lab import ROOT, Lab, wait_for

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    """A cluster without accounting, which warns of preemption."""
    with running_slurm() as conf:
        yield conf


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """A cluster that preempts by SIGTERM alone."""
    with running_slurm(SLURM_WARN="0") as conf:
        yield conf


@pytest.fixture
def lab(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A workspace on the cluster."""
    yield from _lab(plain, tmp_path, monkeypatch)


@pytest.fixture
def silent_lab(silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A workspace on the cluster that does not warn."""
    yield from _lab(silent, tmp_path, monkeypatch)


def _lab(conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("SLURM_CONF", conf)
    yield Lab(tmp_path, cluster="slurm")
    left = [job.job_id for job in slurm.squeue().values() if job.state in ("RUNNING", "PENDING", "COMPLETING")]
    if left:
        slurm.command(["scancel", *left])
        wait_for(lambda: all(job.state not in ("RUNNING", "PENDING", "COMPLETING") for job in slurm.squeue().values()))


def preempt(seconds: int = 1) -> str:
    """Takes both nodes for a moment; returns the id of the job that does."""
    said = slurm.command(
        ["sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", f"sleep {seconds}"]
    )
    return said.strip()


def job_id(lab: Lab, name: str) -> str:
    found = lab.state(name).attempt
    assert found is not None
    assert found.job_id is not None
    return found.job_id


def saved(lab: Lab, name: str, step: int) -> bool:
    return (lab.folder(name) / f"checkpoints/step-{step:06d}").exists()


def test_a_chain_finishes_by_dependencies_alone_with_the_launcher_gone(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.stage("b", "a")
    lab.stage("c", "b")
    start = lab.path / "start"
    start.touch()
    command = [
        sys.executable,
        "-m",
        "tests.jobs.launcher",
        str(lab.workspace.path),
        str(lab.python),
        str(start),
        "--slurm",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert [launcher.stdout.readline(), launcher.stdout.readline()] == [
            "ready\n",
            "submitted submitted submitted\n",
        ]
        launcher.kill()
    state = lab.wait("a", "running")
    wait_for(lambda: lab.starts("a"))
    assert state.evidence == "scheduler"
    assert lab.state("b").reason == "waits for its inputs"
    assert [found.action for found in lab.submit()] == ["claimed"] * 3
    (lab.path / "go").touch()
    lab.wait("c", "done")
    assert [len(lab.starts(name)) for name in "abc"] == [1, 1, 1]


def test_resources_and_environment_reach_the_stage(lab: Lab) -> None:
    lab.stage(
        "a",
        until=str(lab.path / "go"),
        resources={
            "gpus": 2,
            "cpus": 4,
            "memory": "200M",
            "time": "1:00:00",
            "setup": ["export FROM_SETUP='it came'"],
            "environment": {"FROM_RECIPE": "too"},
            "sbatch": {"comment": "two words", "nice": 7},
        },
    )
    lab.submit()
    pid = wait_for(lambda: lab.starts("a"))[0][1]
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    for line in (b"FROM_SETUP=it came", b"FROM_RECIPE=too", b"OMP_NUM_THREADS=4", b"CUDA_VISIBLE_DEVICES=0,1"):
        assert line in environment
    shown = slurm.command(["scontrol", "show", "job", job_id(lab, "a")])
    for part in ("TimeLimit=01:00:00", "Comment=two words", "CPUs/Task=4", "MinMemoryNode=200M", "Requeue=1"):
        assert part in shown
    (lab.path / "go").touch()
    lab.wait("a", "done")


def test_a_failure_blocks_what_needs_it_and_retry_runs_only_those(lab: Lab) -> None:
    lab.stage("ok")
    lab.stage("bad", "ok", do="exit 7", once=True)
    lab.stage("after", "bad")
    lab.stage("last", "after")
    lab.submit()
    assert lab.wait("bad", "failed").reason == "exit code 7"
    blocked = lab.wait("last", "blocked")
    assert blocked.reason == f"its input {lab.key('bad')} failed: exit code 7"
    wait_for(lambda: all(job.state != "PENDING" for job in slurm.squeue().values()))  # nothing pends for ever
    assert [found.action for found in lab.submit()] == ["reused", "left", "left", "left"]
    assert [found.action for found in lab.submit(retry=True)] == ["reused", "submitted", "submitted", "submitted"]
    lab.wait("last", "done")
    assert [len(lab.starts(name)) for name in ("ok", "bad", "after", "last")] == [1, 2, 1, 1]


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
    wait_for(lambda: read_record(lab.attempt("a") / EXIT, Exit))
    runs = lab.state("a").attempts[0].runs
    assert [(run.why, run.resumed_step) for run in runs] == [("preempted", None), ("done", 3)]
    lab.wait("b", "done")  # its dependency held through the requeue


def test_requeued_outside_resumes(lab: Lab) -> None:
    lab.stage("a", steps=2, until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: saved(lab, "a", 2))
    slurm.command(["scontrol", "requeue", job_id(lab, "a")])
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
    slurm.command(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"])
    try:
        wait_for(lambda: len(lab.starts("a")) == 2)
    finally:
        with contextlib.suppress(slurm.Refused):  # it may be back already
            slurm.command(["scontrol", "update", f"nodename={node}", "state=resume"])
    (lab.path / "go").touch()
    lab.wait("a", "done")


def test_worker_killed_on_its_node(lab: Lab) -> None:
    lab.stage("a", steps=2, do="children", once=True)
    lab.stage("b", "a")
    lab.submit()
    wait_for(lambda: (lab.folder("a") / "children.txt").exists())
    started = read_record(lab.attempt("a") / STARTED, Started)
    assert started is not None
    os.kill(started.worker.pid, signal.SIGKILL)
    state = lab.wait("a", "failed")
    assert (state.reason, state.evidence) == ("Slurm says it failed on n1", "scheduler")
    wait_for(lambda: not _of(lab, "a"))
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
    wait_for(lambda: not _of(lab, "a"))
    assert lab.submit()[0].action == "left"
    (lab.path / "go").touch()
    lab.wait("other", "done")


def _of(lab: Lab, name: str) -> list[str]:
    return [line for line in lab.processes() if lab.key(name) in line or "signal" in line]


def test_cancelled_outside(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.stage("b", "a")
    lab.submit()
    wait_for(lambda: lab.starts("a"))
    slurm.command(["scancel", job_id(lab, "a")])
    state = lab.wait("a", "cancelled")
    assert state.reason == "cancelled outside cogtui"
    assert lab.wait("b", "blocked").reason.startswith(f"its input {lab.key('a')} was cancelled")
    assert len(lab.starts("a")) == 1
    assert not state.active


def test_a_parent_that_failed_and_was_purged_holds_its_child_back(lab: Lab) -> None:
    """Slurm takes `afterok` of an id it does not know for fulfilled, so it is never asked."""
    lab.stage("a", do="exit 3")
    lab.submit()
    lab.wait("a", "failed")
    record = read_json(lab.attempt("a") / JOB)
    write_json(lab.attempt("a") / JOB, {**record, "job_id": "999999999"})  # what a purge leaves: an unknown id
    state = lab.state("a")
    assert (state.state, state.reason, state.evidence) == ("failed", "exit code 3", "exit.json")
    lab.stage("b", "a")
    found = lab.submit()[1]
    assert (found.action, found.reason) == ("left", f"its input {lab.key('a')} failed: exit code 3")
    assert not lab.attempt("b").exists()


def test_purged_without_any_record_is_lost(lab: Lab) -> None:
    lab.stage("a", do="exit 3")
    lab.submit()
    lab.wait("a", "failed")
    (lab.attempt("a") / "exit.json").unlink()
    record = read_json(lab.attempt("a") / JOB)
    write_json(lab.attempt("a") / JOB, {**record, "job_id": "999999999"})
    old = 1_700_000_000
    for name in ("started.json", "heartbeat.json"):
        os.utime(lab.attempt("a") / name, (old, old))
    state = lab.state("a")
    assert state.state == "lost"
    assert state.reason == "Slurm has forgotten job 999999999, which left no end"


def test_a_submission_whose_answer_was_lost_is_found_by_its_name(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.submit()
    record = read_json(lab.attempt("a") / JOB)
    write_json(lab.attempt("a") / JOB, {**record, "job_id": None})  # the launcher died before it wrote the id
    wait_for(lambda: lab.starts("a"))
    state = lab.state("a")
    assert (state.state, state.evidence) == ("running", "scheduler")
    assert lab.submit()[0].action == "claimed"
    done = cancel(lab.workspace, [lab.key("a")])
    assert done[0].state.state == "cancelled"
    wait_for(lambda: not _of(lab, "a"))


def test_attempt_folder_deleted_while_it_runs(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: lab.starts("a"))
    subprocess.run(["rm", "-rf", str(lab.folder("a") / "attempts")], check=True)
    state = lab.state("a")
    assert state.state == "unknown"
    assert state.active
    assert "attempt folder was deleted" in state.reason
    assert lab.submit()[0].action == "claimed"
    cancel(lab.workspace, [lab.key("a")])
    wait_for(lambda: not _of(lab, "a"))


def test_a_job_that_never_reached_its_worker_shows_what_it_said(lab: Lab) -> None:
    lab.stage("a", resources={"setup": ["module load no-such-module || exit 9"]})
    lab.submit()
    state = lab.wait("a", "failed")
    assert "ended before the stage began" in state.reason
    assert "module" in state.reason


def test_a_refused_submission_says_what_slurm_said(lab: Lab) -> None:
    from pipelines.errors import MissingRequirement

    lab.stage("a", resources={"partition": "no-such"})
    with pytest.raises(MissingRequirement, match="Invalid partition"):
        lab.submit()
    state = lab.state("a")
    assert not state.active
    assert "Invalid partition" in state.reason
    assert lab.submit(retry=False)[0].action == "left"


def test_one_squeue_and_no_sacct_for_many_jobs(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        lab.stage(f"s{number}", until=str(lab.path / "go"))
    lab.submit()
    calls: list[str] = []
    ask = slurm.command

    def counted(arguments: list[str], **options: float) -> str:
        calls.append(arguments[0])
        return ask(arguments, **options)

    monkeypatch.setattr("jobs.slurm.command", counted)
    reader = StateReader(lab.workspace)
    states: dict[str, StageState] = reader.read()
    assert len(states) == 12
    assert all(state.active for state in states.values())
    assert calls == ["squeue"]
    reader.read()
    assert calls == ["squeue"]  # again only after some seconds
    (lab.path / "go").touch()
    for number in range(12):
        lab.wait(f"s{number}", "done", seconds=120)


def test_an_array_works_on_the_shards_and_one_job_gathers(lab: Lab) -> None:
    lab.stage("a", shards=4, until=str(lab.path / "go"))
    lab.stage("b", "a")
    lab.submit()
    wait_for(lambda: len(list(lab.folder("a").glob("shard-*.txt"))) == 4)
    state = lab.state("a")
    assert (state.state, state.reason) == ("running", "0 of 4 shards done")
    assert state.progress is not None
    assert (state.progress.done, state.progress.total, state.progress.unit) == (0, 4, "shards")
    assert lab.state("b").state == "queued"
    (lab.path / "go").touch()
    lab.wait("b", "done")
    assert read_json(lab.folder("a") / "result.json") == {"items": 10, "parts": 4}
    attempt = lab.state("a").attempts[0]
    assert (attempt.shards, attempt.shards_done) == (4, 4)
    assert {job.job_id for job in slurm.squeue().values()} >= {f"{attempt.shards_job_id}_{index}" for index in range(4)}


def test_a_shard_that_fails_fails_the_stage_and_is_named(lab: Lab) -> None:
    lab.stage("a", shards=3, do="fail 1")
    lab.stage("b", "a")
    lab.submit()
    state = lab.wait("a", "failed")
    assert state.reason == "shard 1: ValueError: this part is bad (exit code 1); 2 of 3 shards done"
    assert lab.wait("b", "blocked").reason.startswith(f"its input {lab.key('a')} failed: shard 1: ValueError")
    assert lab.submit()[0].action == "left"


def test_only_the_shards_that_failed_run_again(lab: Lab) -> None:
    """First an array of the one that is left, then, as gathering failed, no array; a forced attempt does all anew."""
    lab.stage("a", shards=3, do="fail 1 gather", unless=str(lab.path / "mended"))
    lab.stage("b", "a")
    lab.submit()
    lab.wait("a", "failed")
    lab.wait("b", "blocked")
    (lab.path / "mended").touch()
    assert [found.action for found in lab.submit(retry=True)] == ["submitted", "submitted"]
    wait_for(lambda: lab.state("a").reason.startswith("ValueError: this cannot be gathered"))
    assert _runs_of_shards(lab) == [1, 2, 1]
    second = lab.state("a").attempts[1]
    assert (second.state, second.shards, second.shards_done) == ("failed", 3, 3)
    assert [job.job_id for job in slurm.squeue().values() if job.job_id.startswith(f"{second.shards_job_id}_")] == [
        f"{second.shards_job_id}_0"
    ]
    lab.wait("b", "blocked")

    lab.submit(retry=True)
    lab.wait("b", "done")
    assert _runs_of_shards(lab) == [1, 2, 1]
    assert read_json(lab.folder("a") / "result.json") == {"items": 10, "parts": 3}
    assert lab.state("a").attempts[2].shards_job_id is None

    lab.submit("a", force=[lab.key("a")])
    lab.wait("a", "failed")
    assert _runs_of_shards(lab) == [1, 1, 1]  # the old files are set aside


def _runs_of_shards(lab: Lab) -> list[int]:
    return [len((lab.folder("a") / f"shard-{index}.txt").read_text().splitlines()) for index in range(3)]


def test_an_array_is_cancelled_whole(lab: Lab) -> None:
    lab.stage("a", shards=3, until=str(lab.path / "never"))
    lab.submit()
    wait_for(lambda: len(list(lab.folder("a").glob("shard-*.txt"))) == 3)
    assert cancel(lab.workspace, [lab.key("a")])[0].state.state == "cancelled"
    wait_for(lambda: not _of(lab, "a"))
    assert not slurm.squeue() or all(job.state not in ("PENDING", "RUNNING") for job in slurm.squeue().values())


@pytest.mark.slow
def test_with_accounting_jobs_that_the_controller_forgot_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_slurm(SLURM_ACCOUNTING="1") as conf:
        for lab in _lab(conf, tmp_path, monkeypatch):
            lab.stage("a", until=str(lab.path / "go"))
            lab.stage("b", do="exit 4")
            lab.submit()
            wait_for(lambda lab=lab: lab.starts("a"))  # type: ignore[misc]
            lab.wait("b", "failed")
            slurm.command(["scancel", job_id(lab, "a")])
            lab.wait("a", "cancelled")
            ids = [job_id(lab, name) for name in "ab"]
            for name in "ab":
                (lab.attempt(name) / "exit.json").unlink(missing_ok=True)
            found = wait_for(lambda ids=ids: _accounted(ids))  # type: ignore[misc]
            assert found[ids[0]].state == "CANCELLED"
            assert found[ids[1]].state == "FAILED"
            monkeypatch.setattr("jobs.slurm.squeue", dict)  # as after MinJobAge
            a, b = lab.state("a"), lab.state("b")
            assert (a.state, a.evidence) == ("cancelled", "scheduler")
            assert (b.state, b.evidence) == ("failed", "scheduler")
            monkeypatch.undo()
            monkeypatch.setenv("SLURM_CONF", conf)


def _accounted(ids: list[str]) -> dict[str, SlurmJob] | None:
    found = slurm.sacct(ids)
    ended = all(job_id in found and found[job_id].state not in ("RUNNING", "PENDING") for job_id in ids)
    return found if ended else None
