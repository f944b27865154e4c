"""The local queue: order, inputs, slots, limits, continuing, and what a start finds already done."""

import os
import signal
from pathlib import Path

import pytest

from jobs.attempts.records import EXIT, JOB, STARTED, ExitRecord, StartRecord, read_record
from jobs.submit.launch import preview, submit
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.files import read_json, write_json
from tests.jobs.lab import Lab, wait_for


def test_a_chain_runs_by_itself_and_the_agent_ends(lab: Lab) -> None:
    lab.stage("a")
    lab.stage("b", "a")
    lab.stage("c", "a", "b")
    assert [found.action for found in lab.submit()] == ["submitted"] * 3
    state = lab.wait("c", "done")
    assert state.evidence == "result.json"
    assert state.progress is not None
    assert (state.progress.done, state.progress.total) == (1, 1)
    begun = [_started(lab, name).run.started for name in "abc"]
    assert begun == sorted(begun)
    wait_for(lambda: not lab.processes())


def test_done_is_reused_and_nothing_starts(lab: Lab) -> None:
    lab.stage("a")
    lab.submit()
    lab.wait("a", "done")
    wait_for(lambda: not lab.processes())
    assert [found.action for found in lab.submit()] == ["reused"]
    assert lab.processes() == []
    assert len(lab.starts("a")) == 1


def test_a_failure_blocks_what_needs_it_and_retry_runs_only_those(lab: Lab, tmp_path: Path) -> None:
    lab.stage("ok")
    lab.stage("bad", "ok", do="exit 7", once=True)
    lab.stage("after", "bad")
    lab.stage("last", "after")
    lab.stage("beside", "ok")
    lab.submit()
    bad, last = lab.wait("bad", "failed"), lab.wait("last", "blocked")
    lab.wait("beside", "done")
    assert bad.attempt is not None
    assert (bad.reason, bad.attempt.code, bad.evidence) == ("exit code 7", 7, "exit.json")
    assert "--retry" in bad.remedy
    assert last.reason == f"its input {lab.key('bad')} failed: exit code 7"
    assert last.attempt is not None
    assert last.attempt.runs == ()

    plain = {found.key: found for found in lab.submit()}
    assert [plain[lab.key(name)].action for name in ("ok", "bad", "after", "last", "beside")] == [
        "reused", "left", "left", "left", "reused",
    ]  # fmt: skip
    again = {found.key: found for found in lab.submit(retry=True)}
    assert [again[lab.key(name)].action for name in ("ok", "bad", "after", "last", "beside")] == [
        "reused", "submitted", "submitted", "submitted", "reused",
    ]  # fmt: skip
    lab.wait("last", "done")
    assert [len(lab.starts(name)) for name in ("ok", "bad", "after", "last", "beside")] == [1, 2, 1, 1, 1]
    assert [attempt.state for attempt in lab.state("bad").attempts] == ["failed", "done"]


def test_a_python_error_is_told_by_the_last_line_of_its_traceback(lab: Lab) -> None:
    lab.stage("a", do="raise it went [b]wrong[/b] \x1b[31m")
    lab.submit()
    assert lab.wait("a", "failed").reason == "ValueError: it went [b]wrong[/b] ␛[31m (exit code 1)"


def test_an_error_of_the_project_is_told_in_its_own_words(lab: Lab) -> None:
    lab.stage("up", until=str(lab.path / "go"))
    lab.stage("a", "up")
    lab.submit("up")
    wait_for(lambda: lab.starts("up"))
    (lab.folder("a") / "stage.json").write_text(
        (lab.folder("a") / "stage.json").read_text().replace('"probe"', '"prob"', 1)
    )
    lab.submit("a")
    (lab.path / "go").touch()
    failed = lab.wait("a", "failed")
    assert failed.reason.startswith("there is no stage kind 'prob'")
    assert failed.remedy.startswith("Did you mean")
    assert failed.attempt is not None
    assert failed.attempt.code == 2


def test_no_more_run_at_once_than_there_are_cores(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGTUI_LOCAL_CPUS", "2")
    for name in "abc":
        lab.stage(name, until=str(lab.path / f"go-{name}"))
    lab.submit()
    lab.wait("a", "running")
    lab.wait("b", "running")
    assert lab.wait("c", "queued").reason == "waits for 1 free CPU core"
    (lab.path / "go-a").touch()
    wait_for(lambda: lab.starts("c"))
    assert lab.state("b").state == "running"
    for name in "bc":
        (lab.path / f"go-{name}").touch()
    lab.wait("c", "done")


def test_threads_follow_the_cores_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    go = str(lab.path / "go")
    lab.stage("one", until=go)
    lab.stage("three", until=go, resources={"cpus": 3, "environment": {"MKL_NUM_THREADS": "9"}})
    lab.submit()
    seen = {}
    for name in ("one", "three"):
        wait_for(lambda name=name: lab.starts(name))  # type: ignore[misc]
        raw = Path(f"/proc/{lab.starts(name)[0][1]}/environ").read_bytes().split(b"\0")
        seen[name] = {line.partition(b"=")[0]: line.partition(b"=")[2] for line in raw}
    assert (seen["one"][b"OMP_NUM_THREADS"], seen["one"][b"MKL_NUM_THREADS"]) == (b"1", b"1")
    assert (seen["three"][b"OMP_NUM_THREADS"], seen["three"][b"MKL_NUM_THREADS"]) == (b"3", b"9")
    (lab.path / "go").touch()
    lab.wait("three", "done")


def test_no_gpu_is_given_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGTUI_LOCAL_GPUS", "0,1,GPU-ab")
    go = str(lab.path / "go")
    lab.stage("two", until=go, resources={"gpus": 2})
    lab.stage("one", until=go, resources={"gpus": 1})
    lab.stage("none", until=go)
    lab.stage("late", resources={"gpus": 1})
    lab.submit()
    for name in ("two", "one", "none"):
        wait_for(lambda name=name: lab.starts(name))  # type: ignore[misc]
    assert lab.state("late").reason == "waits for 1 free GPU"
    assert [lab.starts(name)[0][2:] for name in ("two", "one", "none")] == [["0,1"], ["GPU-ab"], []]
    (lab.path / "go").touch()
    lab.wait("late", "done")


def test_what_this_machine_lacks_is_refused_at_once(lab: Lab) -> None:
    lab.stage("a", resources={"gpus": 2})
    with pytest.raises(MissingRequirement, match="asks for 2 GPUs, this machine has 0"):
        lab.submit()
    assert lab.state("a").state == "planned"
    lab.stage("b", resources={"nodes": 2})
    with pytest.raises(MissingRequirement, match="2 nodes"):
        lab.submit("b")
    with pytest.raises(InvalidInput, match="no cluster 'cloud'"):
        submit(lab.workspace, [lab.instances["a"]], cluster="cloud")


def test_a_stage_stopped_from_outside_is_continued_by_its_worker(lab: Lab) -> None:
    lab.stage("a", steps=3, until=str(lab.path / "go"))
    lab.submit()
    wait_for(lambda: (lab.folder("a") / "checkpoints/step-000003").exists())
    os.kill(int(lab.starts("a")[0][1]), signal.SIGTERM)
    wait_for(lambda: len(lab.starts("a")) == 2)
    state = lab.wait("a", "resuming")
    assert state.reason == "continues from step 3"
    (lab.path / "go").touch()
    lab.wait("a", "done")
    wait_for(lambda: read_record(lab.attempt("a") / EXIT, ExitRecord))
    state = lab.state("a")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 3]
    assert state.attempt is not None
    first, second = state.attempt.runs
    assert (first.why, first.code, first.resumed_step) == ("interrupted", 75, None)
    assert (second.why, second.code, second.resumed_step) == ("done", 0, 3)
    assert "continues from step 3" in (lab.attempt("a") / "stderr.log").read_text()


def test_a_stage_over_its_time_limit_is_ended_and_continued_by_the_next_start(lab: Lab) -> None:
    lab.stage("up", until=str(lab.path / "go"))
    lab.stage("a", "up", steps=2, do="deaf", once=True, resources={"time": "0:01"})
    lab.submit()
    assert read_json(lab.attempt("a") / JOB)["time_limit_s"] == 60
    _change(lab.attempt("a") / JOB, time_limit_s=2.0)  # while it waits; a minute is long for a test
    (lab.path / "go").touch()
    state = lab.wait("a", "timeout")
    assert state.reason == "its time limit of 2 s was over"
    assert state.attempt is not None
    assert state.attempt.signal == signal.SIGKILL  # it was deaf to the warning
    assert not state.active
    assert lab.submit("a")[0].action == "submitted"  # no --retry: it was not the stage's fault
    lab.wait("a", "done")
    assert [int(start[0]) for start in lab.starts("a")] == [0, 2]


def test_the_environment_of_the_submitter_reaches_the_stage_but_no_file(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.stage("holds", until=str(lab.path / "go"))
    lab.submit()  # this agent was started without the key
    wait_for(lambda: lab.starts("holds"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-93")
    lab.stage("later", until=str(lab.path / "go"))
    lab.submit("later")
    wait_for(lambda: lab.starts("later"))
    environment = Path(f"/proc/{lab.starts('later')[0][1]}/environ").read_bytes()
    assert b"OPENAI_API_KEY=sk-very-secret-93\0" in environment
    (lab.path / "go").touch()
    lab.wait("later", "done")
    for path in lab.path.rglob("*"):
        assert not path.is_file() or b"sk-very-secret-93" not in path.read_bytes(), path


@pytest.mark.parametrize("name", [b"w \xff\xfe", b"back\\slash 100%j $(touch x) 'q'"], ids=["not UTF-8", "odd"])
def test_odd_characters_in_the_workspace(lab: Lab, name: bytes) -> None:
    lab.workspace = Workspace(lab.path / os.fsdecode(name))
    lab.workspace.create()
    lab.stage("a")
    lab.stage("b", "a")
    lab.submit()
    lab.wait("b", "done")
    wait_for(lambda: not lab.processes())


def test_forcing_starts_anew_and_keeps_the_old_files(lab: Lab) -> None:
    lab.stage("a", steps=2)
    lab.stage("b", "a")
    lab.submit()
    lab.wait("b", "done")
    with pytest.raises(InvalidInput, match="no stage nope to force"):
        lab.submit(force=["nope"])
    assert [found.action for found in lab.submit(force=["a"])] == ["submitted", "reused"]
    wait_for(lambda: lab.state("a").state == "done" and len(lab.state("a").attempts) == 2)
    assert [start[0] for start in lab.starts("a")] == ["0"]  # not continued from the old checkpoint
    assert (lab.folder("a") / "replaced/001/result.json").exists()
    assert (lab.folder("a") / "replaced/001/checkpoints/step-000002").is_dir()


def test_a_missing_interpreter_is_named(lab: Lab) -> None:
    lab.stage("a", resources={"python": "/nowhere/python"})
    lab.submit()
    assert lab.wait("a", "failed").reason == "cannot start /nowhere/python: No such file or directory"


def test_the_preview_is_the_command_that_runs(lab: Lab) -> None:
    instance = lab.stage("a", resources={"cpus": 2})
    text = preview([instance], "local", lab.workspace)[0]
    lab.submit()
    lab.wait("a", "done")
    started = _started(lab, "a")
    assert text == f"OMP_NUM_THREADS=2 {' '.join(started.command)}"


def test_every_record_is_there_after_the_end(lab: Lab) -> None:
    lab.stage("a")
    lab.submit()
    lab.wait("a", "done")
    ended = wait_for(lambda: read_record(lab.attempt("a") / EXIT, ExitRecord))
    assert (ended.why, ended.code, ended.run) == ("done", 0, 1)
    names = {path.name for path in lab.attempt("a").iterdir()}
    assert {"job.json", "started.json", "heartbeat.json", "exit.json", "stdout.log", "stderr.log"} <= names
    assert not [name for name in names if name.endswith(".tmp")]


def _change(path: Path, **values: object) -> None:
    write_json(path, {**read_json(path), **values})


def _started(lab: Lab, name: str) -> StartRecord:
    found = read_record(lab.attempt(name) / STARTED, StartRecord)
    assert found is not None
    return found
