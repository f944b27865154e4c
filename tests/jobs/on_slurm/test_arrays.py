"""Arrays on a real Slurm: one job a shard, and one that gathers."""

import pytest

from jobs.slurm import client as slurm
from jobs.submit.cancel import cancel
from pipelines.files import read_json
from tests.jobs.lab import Lab, wait_for
from tests.jobs.on_slurm.labs import processes_of

pytestmark = pytest.mark.slurm


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
    wait_for(lambda: not processes_of(lab, "a"))
    assert not slurm.squeue() or all(job.state not in ("PENDING", "RUNNING") for job in slurm.squeue().values())
