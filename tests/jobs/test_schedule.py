"""Quiet stages are looked at rarely, and everything at once when anything was started."""

import os
import time
from pathlib import Path

import pytest

from jobs.attempts.records import EXIT, ExitRecord, write_record
from jobs.attempts.tickets import LocalQueue, Ticket
from jobs.state.files import FileReader, StageFiles
from jobs.state.folder_watch import FolderWatch, file_system_type
from jobs.state.reader import StateReader
from jobs.state.scan_schedule import LONGEST_S, WATCHED_S
from jobs.submit.launch import submit
from pipelines.folder import StageInfo
from tests.jobs.lab import Lab


class Clock:
    """Monotonic time that a test sets; also counts which stages are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.read: list[str] = []
        monkeypatch.setattr("jobs.state.scan_schedule.time.monotonic", lambda: self.now)
        original = FileReader.stage

        def counting(reader: FileReader, path: str | Path) -> StageFiles | None:
            self.read.append(str(path).rpartition("/")[2])
            return original(reader, path)

        monkeypatch.setattr(FileReader, "stage", counting)

    def look(self, reader: StateReader, seconds: float = 1.0) -> list[str]:
        """Let time pass and read; return the stages that were looked at."""
        self.now += seconds
        self.read.clear()
        reader.read()
        return sorted(self.read)


@pytest.fixture
def quiet(lab: Lab) -> Lab:
    """Three stages, planned an hour ago."""
    for name in "abc":
        lab.stage(name)
    (lab.workspace.path / "queue").mkdir()
    hour = time.time() - 3600
    for path in sorted(lab.workspace.path.rglob("*"), reverse=True):
        os.utime(path, (hour, hour))
    return lab


def test_quiet_stages_are_looked_at_rarely(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    every = sorted(quiet.key(name) for name in "abc")
    assert clock.look(reader) == every
    first = reader.read()
    assert [clock.look(reader) for _ in range(20)] == [[]] * 20
    assert all(state is first[key] for key, state in reader.read().items())
    assert clock.look(reader, LONGEST_S) == every


def test_a_change_of_a_quiet_stage_is_seen_in_time(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    clock.look(reader)
    (quiet.folder("b") / "result.json").write_text('{"n": 1}')
    clock.look(reader, LONGEST_S)
    assert reader.read()[quiet.key("b")].state == "done"
    # it has just changed, and is looked at often again
    clock.look(reader, 1.0)
    assert clock.look(reader, 1.0) == [quiet.key("b")]


def test_all_are_looked_at_when_anything_is_started(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    clock.look(reader)
    assert clock.look(reader) == []
    monkeypatch.setattr("jobs.submit.launch.ensure_agent", lambda *_: None)
    submit(quiet.workspace, [quiet.instances["a"]])
    assert quiet.key("a") in clock.look(reader)
    assert reader.read()[quiet.key("a")].state == "queued"
    LocalQueue(quiet.workspace).add([Ticket(key=quiet.key("c"), number=1)])
    assert clock.look(reader) == sorted(quiet.key(name) for name in "abc")


def test_a_running_stage_is_looked_at_every_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.stage("a", until=str(lab.path / "go"))
    lab.stage("b")
    lab.submit("a")
    lab.wait("a", "running")
    clock, reader = Clock(monkeypatch), StateReader(lab.workspace, watching=True)
    for _ in range(5):
        assert lab.key("a") in clock.look(reader)
    (lab.path / "go").touch()
    lab.wait("a", "done")
    clock.look(reader)
    assert reader.read()[lab.key("a")].state == "done"


def test_the_time_of_the_evidence_stays_while_a_stage_is_quiet(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet.stage("d")
    attempt = quiet.attempt("d")
    attempt.mkdir(parents=True)
    write_record(attempt / EXIT, ExitRecord(run=1, host="h", time=0.0, why="done"))
    (quiet.folder("d") / "result.json").write_text('{"n": 1}')
    hour = time.time() - 3600
    os.utime(quiet.folder("d") / "result.json", (hour, hour))
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    for _ in range(3):
        clock.look(reader, LONGEST_S)
        state = reader.read()[quiet.key("d")]
        assert state.age_s is not None
        assert state.read_at - state.age_s == pytest.approx(hour, abs=5)


def test_watched_stages_are_looked_at_when_their_folders_change(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.state.folder_watch.file_system_type", lambda device: "ext4")
    attempt = quiet.folder("b") / "attempts" / "001"
    attempt.mkdir(parents=True)
    (quiet.folder("b") / "result.json").write_text('{"n": 1}')
    hour = time.time() - 3600
    for path in (quiet.folder("b") / "result.json", attempt, attempt.parent, quiet.folder("b")):
        os.utime(path, (hour, hour))
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    clock.look(reader)
    clock.look(reader, LONGEST_S)  # once more, since the folders are watched
    before = reader.read()
    assert [clock.look(reader, LONGEST_S) for _ in range(5)] == [[]] * 5
    assert reader.read() is before
    assert not reader.may_have_changed
    (quiet.folder("a") / "result.json").write_text('{"n": 1}')
    assert clock.look(reader) == [quiet.key("a")]
    assert reader.read()[quiet.key("a")].state == "done"
    (attempt / "exit.json").write_text("{}")
    assert quiet.key("b") in clock.look(reader)
    clock.look(reader, LONGEST_S)
    assert clock.look(reader, WATCHED_S) == sorted(quiet.key(name) for name in "abc")


def test_lost_reports_make_every_stage_due(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    clock.look(reader)
    clock.look(reader, LONGEST_S)
    monkeypatch.setattr(FolderWatch, "changed", lambda _: None)
    assert clock.look(reader) == sorted(quiet.key(name) for name in "abc")


@pytest.mark.parametrize("what", ["network", "no inotify"])
def test_unwatched_folders_are_looked_at_by_the_clock(what: str, quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "network":
        monkeypatch.setattr("jobs.state.folder_watch.file_system_type", lambda device: "nfs4")
    else:
        monkeypatch.setattr(FolderWatch, "_open", lambda _: False)
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    clock.look(reader)
    for _ in range(5):
        assert clock.look(reader, LONGEST_S) == sorted(quiet.key(name) for name in "abc")


def test_a_folder_that_becomes_a_stage_late_is_seen_at_once(quiet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = quiet.workspace.stages / "problems-000000000000"
    folder.mkdir()
    hour = time.time() - 3600
    os.utime(quiet.workspace.stages, (hour, hour))
    clock, reader = Clock(monkeypatch), StateReader(quiet.workspace, watching=True)
    for _ in range(3):
        clock.look(reader)
    info = StageInfo(kind="problems", key=folder.name, config={})
    (folder / "stage.json").write_text(info.model_dump_json())
    clock.look(reader)
    assert reader.read()[folder.name].state == "planned"


def test_the_type_of_a_mounted_file_system_is_found() -> None:
    assert file_system_type(Path("/proc").stat().st_dev) == "proc"
    assert file_system_type(os.makedev(999, 999)) == ""
