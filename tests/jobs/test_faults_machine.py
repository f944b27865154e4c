"""Faults of the machine, of its clocks and of its disk, each done for real. As test_faults.py."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.attempts.processes import ProcessId, is_alive, process_id
from jobs.attempts.records import (
    EXIT,
    HEARTBEAT,
    STARTED,
    ExitRecord,
    JobRecord,
    claim,
    read_record,
    reserve_records,
    write_exit,
)
from jobs.attempts.tickets import LocalQueue, Ticket
from jobs.state.files import PROGRESS
from jobs.state.reader import stage_states
from jobs.submit.cancel import cancel
from pipelines.errors import MissingRequirement
from pipelines.files import read_json, write_json
from tests.jobs.faults import held, release, worker_of
from tests.jobs.lab import Lab, wait_for

# -- the machine -------------------------------------------------------------------------------------


def test_machine_rebooted(lab: Lab) -> None:
    """The records of a run before a boot: same host, other boot id, and a pid that lives again."""
    held(lab)
    lab.submit()
    wait_for(lambda: (lab.folder("a") / "checkpoints/step-000002").exists())
    path, started = _cut_off(lab)
    started["worker"] |= {"boot_id": "0" * 36, "pid": os.getpid(), "started": process_id().started}
    write_json(path, started)
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
    job = JobRecord(key=lab.key("a"), number=1, cluster="local", name="n", submitted=time.time(), submitter=me)
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
    path, started = _cut_off(lab)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        started["worker"] |= {"pid": stranger.pid}
        write_json(path, started)
        assert lab.state("a").state == "lost"
        assert cancel(lab.workspace, [lab.key("a")])[0].state.state == "lost"
        assert stranger.poll() is None
        stranger.kill()


def _cut_off(lab: Lab) -> tuple[Path, dict[str, Any]]:
    """Ends the running stage `a` so that no record tells of it; returns the record of its start, and where that is."""
    path = wait_for(lambda: _started(lab, "a"))
    started = read_json(path)
    lab.close()
    wait_for(lambda: not lab.processes())
    for name in (EXIT, "cancel.json"):
        (lab.attempt("a") / name).unlink(missing_ok=True)
    return path, started


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

    monkeypatch.setattr("jobs.attempts.processes.is_alive", gone)
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


@pytest.mark.parametrize("damage", ['{"process": {"host":', "\0" * 90], ids=["cut", "zeros"])
def test_records_of_the_queue_that_a_loss_of_power_damaged_stop_no_job(lab: Lab, damage: str) -> None:
    """`agent.json` and tickets are not synced: what is left of them must neither kill nor hold an agent."""
    lab.stage("a")
    lab.stage("b")
    queue = lab.workspace.path / "queue"
    queue.mkdir()
    (queue / "agent.json").write_text(damage)
    ticket = queue / f"{1:020d}-{lab.key('b')}-001.json"
    ticket.write_text(damage)
    lab.submit("a")
    lab.wait("a", "done")
    wait_for(lambda: not lab.processes())  # the agent too: it does not wait for the damaged ticket
    assert not ticket.exists()


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
    path, started = _cut_off(lab)
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


def test_a_full_disk_is_named_as_the_cause(small_disk: Path) -> None:
    full = Lab(small_disk)
    try:
        full.stage("a", do="fill")
        full.submit()
        state = full.wait("a", "failed")
        assert state.reason.startswith("the disk is full")
        assert "--retry" in state.remedy
        wait_for(lambda: not full.processes())
    finally:
        full.close()


def test_cancelling_works_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    full = Lab(small_disk)
    try:
        full.stage("a", until=str(tmp_path / "go"))
        full.submit()
        wait_for(lambda: (full.folder("a") / PROGRESS).exists() and (full.attempt("a") / HEARTBEAT).exists())
        fill(small_disk)
        (found,) = cancel(full.workspace, [full.key("a")])
        assert (found.state.state, found.state.reason) == ("cancelled", "cancelled")
        wait_for(lambda: not full.processes())
    finally:
        full.close()


def test_cancelling_works_on_a_file_system_that_has_turned_read_only(tmp_path: Path, small_disk: Path) -> None:
    """The processes end, and the command says that it cannot be recorded; the agent ends too."""
    broken = Lab(small_disk)
    place = str(small_disk)
    try:
        broken.stage("a", until=str(tmp_path / "go"))
        broken.submit()
        wait_for(lambda: (broken.folder("a") / PROGRESS).exists() and (broken.attempt("a") / HEARTBEAT).exists())
        # a second mount over the first, since files that are open for writing keep the first from turning read-only
        subprocess.run(["mount", "--bind", place, place], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        try:
            with pytest.raises(MissingRequirement, match="could not be recorded: Read-only file system") as caught:
                cancel(broken.workspace, [broken.key("a")])
            assert caught.value.detail == "Its processes were ended all the same."
            wait_for(lambda: not broken.processes())
            assert broken.state("a").state == "lost"
        finally:
            subprocess.run(["umount", "-l", place], check=True)
    finally:
        broken.close()


def test_a_submission_that_cannot_be_queued_leaves_no_claim(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.stage("a")
    lab.stage("b")
    write = LocalQueue._write
    written: list[str] = []

    def full(self: LocalQueue, name: str, ticket: Ticket) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        written.append(name)
        write(self, name, ticket)

    with monkeypatch.context() as patch:
        patch.setattr(LocalQueue, "_write", full)
        with pytest.raises(MissingRequirement, match="No space left on device"):
            lab.submit()
    assert list((lab.folder("b") / "attempts").iterdir()) == []
    assert lab.state("b").state == "planned"
    assert [found.action for found in lab.submit()] == ["claimed", "submitted"]
    for name in ("a", "b"):
        lab.wait(name, "done")


def test_without_a_process_for_its_environment_nothing_is_queued(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run with the environment of whichever shell started the agent."""
    lab.stage("a")
    with monkeypatch.context() as patch:
        patch.setattr("jobs.attempts.environment_keeper._PROGRAM", lab.path / "no_program.py")
        with pytest.raises(MissingRequirement, match="no process can be started to keep the environment"):
            lab.submit()
    assert list((lab.folder("a") / "attempts").iterdir()) == []
    lab.submit()
    lab.wait("a", "done")


def test_disk_full_without_any_reserve(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot write its end at all: the state is lost, not wrong, and the next start continues."""
    held(lab)
    lab.submit()
    worker = worker_of(lab, "a")
    release(lab)
    lab.wait("a", "done")
    wait_for(lambda: not is_alive(worker) and not lab.processes())
    (lab.folder("a") / "result.json").unlink()
    (lab.attempt("a") / EXIT).unlink()
    assert lab.state("a").state == "lost"
    assert lab.submit()[0].action == "submitted"
    lab.wait("a", "done")


def test_an_exit_record_fits_into_its_reserve_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve_records(tmp_path)

    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("pipelines.files.write_json", full)
    record = ExitRecord(run=1, host="h", time=1.0, code=1, why="failed", reason="ü" * 5000)
    write_exit(tmp_path, record)
    found = read_record(tmp_path / EXIT, ExitRecord)
    assert found == record.model_copy(update={"reason": "ü" * 300})
    with pytest.raises(OSError, match="No space left"):
        write_exit(tmp_path, record)


def test_starts_without_progress_are_bounded(lab: Lab) -> None:
    """A stage that is always stopped before it makes progress fails with that reason, whichever process restarts it."""
    lab.stage("a", do="exit 75")
    lab.submit()
    state = lab.wait("a", "failed")
    assert state.reason == "stopped after 8 starts in a row without progress, each ended from outside"
    assert [int(start[0]) for start in lab.starts("a")] == [0, *[1] * 8]  # the first brought a checkpoint
    wait_for(lambda: not lab.processes())


def test_strange_files_make_one_stage_unknown_and_hide_no_other(lab: Lab) -> None:
    lab.stage("a")
    lab.submit()
    lab.wait("a", "done")
    for name in ("deep", "pipe", "odd"):
        lab.stage(name)
    (lab.folder("deep") / "result.json").write_text("[" * 200_000)
    os.mkfifo(lab.folder("pipe") / PROGRESS)
    (lab.folder("odd") / "attempts" / "²").mkdir(parents=True)
    (lab.folder("odd") / "attempts" / "001").mkdir()
    os.mkfifo(lab.folder("odd") / "attempts" / "001" / "job.json")
    states = stage_states(lab.workspace)
    assert states[lab.key("a")].state == "done"
    assert states[lab.key("pipe")].state == "planned"  # its progress is only shown
    assert states[lab.key("deep")].reason == "result.json cannot be read: it is nested too deeply"
    assert (states[lab.key("odd")].state, states[lab.key("odd")].reason) == ("unknown", "001/job.json is not a file")
    assert {states[lab.key(name)].state for name in ("deep", "odd")} == {"unknown"}
