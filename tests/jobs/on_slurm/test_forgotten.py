"""Jobs that a real Slurm has forgotten, or whose records are gone."""

import os
import subprocess
from pathlib import Path

import pytest

from jobs.attempts.records import JOB
from jobs.slurm import client as slurm
from jobs.slurm.types import SlurmJob
from jobs.submit.cancel import cancel
from pipelines.files import read_json, write_json
from tests.jobs.cluster import running_slurm
from tests.jobs.lab import Lab, wait_for
from tests.jobs.on_slurm.labs import job_id, lab_on, processes_of

pytestmark = pytest.mark.slurm


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
    assert state.reason == "Slurm no longer lists job 999999999, which wrote no exit record"


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
    wait_for(lambda: not processes_of(lab, "a"))


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
    wait_for(lambda: not processes_of(lab, "a"))


@pytest.mark.slow
def test_with_accounting_jobs_that_the_controller_forgot_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_slurm(SLURM_ACCOUNTING="1") as conf:
        for lab in lab_on(conf, tmp_path, monkeypatch):
            lab.stage("a", until=str(lab.path / "go"))
            lab.stage("b", do="exit 4")
            lab.submit()
            wait_for(lambda lab=lab: lab.starts("a"))  # type: ignore[misc]
            lab.wait("b", "failed")
            slurm.run_command(["scancel", job_id(lab, "a")])
            lab.wait("a", "cancelled")
            ids = [job_id(lab, name) for name in "ab"]
            for name in "ab":
                (lab.attempt(name) / "exit.json").unlink(missing_ok=True)
            found = wait_for(lambda ids=ids: _accounted(ids))  # type: ignore[misc]
            assert found[ids[0]].state == "CANCELLED"
            assert found[ids[1]].state == "FAILED"
            monkeypatch.setattr("jobs.slurm.client.squeue", dict)  # as after MinJobAge
            a, b = lab.state("a"), lab.state("b")
            assert (a.state, a.evidence) == ("cancelled", "scheduler")
            assert (b.state, b.evidence) == ("failed", "scheduler")
            monkeypatch.undo()
            monkeypatch.setenv("SLURM_CONF", conf)


def _accounted(ids: list[str]) -> dict[str, SlurmJob] | None:
    found = slurm.sacct(ids)
    ended = all(job_id in found and found[job_id].state not in ("RUNNING", "PENDING") for job_id in ids)
    return found if ended else None
