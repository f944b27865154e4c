"""What another user of the machine may try: take over folders, sockets and pickles. Each as a second uid."""

import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cogtui.cli import main
from jobs import submitit_adapter
from jobs.attempts import agent_link
from jobs.attempts.agent_link import answer, listen, notify_agent, socket_address
from jobs.attempts.records import STARTED
from jobs.planning.code_version import git_state
from jobs.private_folder import private_folder, private_folder_in
from jobs.state.reader import stage_states
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.llm.ledger import Ledger
from pipelines.llm.requests import ModelReply
from tests.jobs.lab import Lab, wait_for
from tests.other_user import OTHER_UID, as_other, needs_second_user, other_process, shared

__all__ = ["shared"]

pytestmark = needs_second_user


# -- folders that everybody may write to -------------------------------------------------------------


def test_a_folder_that_another_user_made_first_is_not_used(shared: Path, tmp_path: Path) -> None:
    root = shared / "cogtui-0"
    assert as_other(lambda: root.mkdir(mode=0o777))
    assert private_folder(root, "index") is None
    assert as_other(root.rmdir)
    assert as_other(lambda: root.symlink_to(tmp_path, target_is_directory=True))
    assert private_folder(root, "index") is None
    assert list(tmp_path.iterdir()) == []
    assert as_other(root.unlink)
    folder = private_folder(root, "index", "a")
    assert folder == root / "index" / "a"
    for path in (root, root / "index", folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert not as_other(lambda: root.rename(shared / "away"))  # the folder above is sticky


def test_a_folder_inside_that_others_may_write_to_is_closed_or_refused(shared: Path, tmp_path: Path) -> None:
    root = shared / "cogtui-0"
    (root / "index").mkdir(parents=True)
    for path in (root, root / "index"):
        path.chmod(0o777)
    assert private_folder(root, "index") is not None
    assert not as_other(lambda: (root / "index" / "planted").touch())
    (root / "index").rmdir()
    (root / "index").symlink_to(tmp_path, target_is_directory=True)
    assert private_folder(root, "index") is None
    os.lchown(root / "index", OTHER_UID, OTHER_UID)
    assert private_folder(root, "index") is None
    shared.chmod(0o777)  # without the sticky bit others can rename what is ours
    assert private_folder(root, "other") is None


def test_a_chosen_folder_keeps_its_permissions(shared: Path) -> None:
    assert private_folder_in(shared, "index") == shared / "index"
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    os.chown(shared, OTHER_UID, OTHER_UID)
    assert private_folder_in(shared, "index") is None  # its owner could replace what is in it, sticky or not


# -- the socket of the agent -------------------------------------------------------------------------


def _listen_forever(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        os.chmod(address, 0o777)  # noqa: PTH101
        listener.listen(8)
        while True:
            connection, _ = listener.accept()
            connection.sendall(agent_link.ANSWER)


def test_another_users_answer_does_not_count_as_the_agents(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_link, "shared_roots", lambda: iter([shared / "cogtui-0"]))
    workspace = Workspace(tmp_path)
    address = socket_address(workspace)
    assert address is not None
    assert not as_other(lambda: Path(address).touch())  # the place itself cannot be taken
    taken = shared / "taken"
    monkeypatch.setattr(agent_link, "socket_address", lambda _: str(taken))
    with other_process(lambda: _listen_forever(str(taken))):
        wait_for(lambda: taken.exists() and stat.S_IMODE(taken.stat().st_mode) == 0o777)
        assert not notify_agent(workspace)


def test_another_user_gets_no_answer(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all = shared / "socket"
    monkeypatch.setattr(agent_link, "socket_address", lambda _: str(open_to_all))
    listener = listen(Workspace(tmp_path))
    assert listener is not None
    open_to_all.chmod(0o777)

    def connect() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(open_to_all))
            assert connection.recv(5) == b""

    with listener:
        listener.setblocking(True)
        child = os.fork()
        if not child:
            os._exit(0 if as_other(connect) else 1)
        connection, _ = listener.accept()
        with connection:
            assert not answer(connection)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_agent_without_a_private_folder_serves_the_queue(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for work every two seconds; with a socket that cannot be bound it took a whole core."""
    code = (
        "import jobs.attempts.agent_link as link, sys; link.socket_address = lambda workspace: None; "
        "from jobs.local.agent import main; main(sys.argv[1:])"
    )
    monkeypatch.setattr("jobs.submit.launch.ensure_agent", lambda workspace: None)
    lab.stage("a")
    lab.stage("b", "a")
    lab.submit()
    agent = subprocess.run(
        [sys.executable, "-c", code, str(lab.workspace.path)], capture_output=True, text=True, check=True
    )
    assert "no private folder for a socket" in agent.stderr
    assert lab.state("b").state == "done"


# -- what belongs to another user and cannot be read -------------------------------------------------


def test_stages_that_cannot_be_read_are_unknown_and_hide_no_other(lab: Lab, shared: Path) -> None:
    """A running attempt may be in a folder that cannot be listed: it is never `planned`, and not started again."""
    lab.workspace = Workspace(shared / "workspace")
    lab.workspace.create()
    for name in ("closed", "attempts", "open"):
        lab.stage(name, do="exit 3")
    lab.submit()
    for name in ("closed", "attempts", "open"):
        lab.wait(name, "failed")
    wait_for(lambda: not lab.processes())
    lab.workspace.path.chmod(0o755)
    lab.folder("closed").chmod(0o700)
    (lab.folder("attempts") / "attempts").chmod(0o700)

    def look() -> None:
        states = stage_states(lab.workspace)
        assert states[lab.key("open")].state == "failed"
        for name in ("closed", "attempts"):
            state = states[lab.key(name)]
            assert state.state == "unknown", state
            assert "cannot be read: Permission denied" in state.reason

    assert as_other(look)


def test_a_workspace_that_cannot_be_read_is_no_traceback(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(shared / "workspace")
    workspace.create()
    monkeypatch.setenv("COGTUI_WORKSPACE", str(workspace.path))

    def look() -> None:
        assert main._dispatch(["ls", "--json"]) == 3

    look_first = main._dispatch(["ls", "--json"])
    assert look_first == 0
    assert as_other(look)
    assert "cannot be read: permission denied" in capfd.readouterr().out


# -- what would run as this user ---------------------------------------------------------------------


@pytest.mark.parametrize("what", ["pickle", "folder"])
def test_a_pickle_that_others_may_write_is_not_run(lab: Lab, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The group may write, as in a shared folder of a project."""
    from jobs.local import executor

    monkeypatch.setattr("jobs.submit.launch.ensure_agent", lambda workspace: None)
    lab.stage("a")
    lab.submit()
    attempt = lab.attempt("a")
    child = executor.start_worker(attempt, gpus=None, environment={**os.environ, "PYTHONPATH": ""})
    child.kill()
    child.wait()
    (pickle,) = attempt.glob("*_submitted.pkl")
    assert stat.S_IMODE(pickle.stat().st_mode) == 0o600
    assert not attempt.stat().st_mode & 0o022
    (attempt / STARTED).unlink(missing_ok=True)
    (pickle if what == "pickle" else attempt).chmod(0o770)
    environment = executor._worker_environment(attempt, None, os.environ)
    command = submitit_adapter.local_command(attempt)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "other users may write to the pickle of this job" in done.stderr
    assert not (attempt / STARTED).exists()


def test_no_umask_lets_others_write_records(lab: Lab) -> None:
    before = os.umask(0)
    try:
        lab.stage("a")
        lab.submit()
        lab.wait("a", "done")
        wait_for(lambda: not lab.processes())
    finally:
        os.umask(before)
    for path in (lab.attempt("a"), *lab.attempt("a").glob("*.json"), *lab.attempt("a").glob("*.pkl")):
        assert not path.stat().st_mode & 0o022 or path.name.endswith("_result.pkl"), path


@pytest.mark.parametrize("scope", ["--local", "--worktree"])
def test_a_repository_runs_nothing_when_its_commit_is_recorded(tmp_path: Path, scope: str) -> None:
    """Its configuration and hooks are whoever's made the archive it came from."""
    repository, ran = tmp_path / "repository", tmp_path / "ran"
    repository.mkdir()
    ran.mkdir()

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, "-C", str(repository), *arguments], check=True, capture_output=True)

    git("init", "-q")
    (repository / "recipe.toml").write_text("name = 'a'")
    git("add", ".")
    git("commit", "-qm", "first")
    git("config", "extensions.worktreeConfig", "true")
    for name in ("core.fsmonitor", "filter.evil.clean", "filter.evil.process", "diff.external"):
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\ntouch {ran}/{name}\ncat\n")
        script.chmod(0o755)
        git("config", scope, name, str(script))
    hook = repository / ".git/hooks/post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {ran}/hook\n")
    hook.chmod(0o755)
    (repository / ".gitattributes").write_text("*.toml filter=evil diff=evil\n")
    (repository / "recipe.toml").write_text("name = 'b'")
    state = git_state(repository / "recipe.toml")
    assert [path.name for path in ran.iterdir()] == []
    assert state is not None
    assert state.dirty
    subprocess.run(["git", "-C", str(repository), "status"], check=False, capture_output=True)
    assert {path.name for path in ran.iterdir()} >= {"core.fsmonitor", "filter.evil.process"}


def test_modules_in_the_current_folder_are_not_run(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m` looks for modules in the current folder first, and that may be one where anybody writes."""
    from cogtui.store.ingest.follower import Follower
    from cogtui.store.ingest.fts_process import FtsProcess
    from tests.store.lab import Lab as Rollouts
    from tests.store.lab import make_rollouts, write_rollouts

    def plant() -> None:
        for name in ("cogtui", "jobs", "pipelines", "json", "sqlite3", "msgspec"):
            (shared / f"{name}.py").write_text(f"open({str(shared / 'ran')!r}, 'a').write(__name__)")

    assert as_other(plant)
    lab = Rollouts(Workspace(shared / "workspace"))
    lab.workspace.create()
    folder = lab.stage("ppo", 1)
    write_rollouts(folder, make_rollouts(folder.key, [0]))
    monkeypatch.chdir(shared)
    follower = Follower(lab.workspace)
    wait_for(
        lambda: (lab.workspace.path / "index").exists() and list((lab.workspace.path / "index").glob("index-*.db"))
    )
    follower.stop()
    with FtsProcess() as texts:
        assert texts._process.stdin is not None
        texts._process.stdin.close()
        texts._process.wait()
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    subprocess.run([sys.executable, "-m", "json"], check=False)
    assert (shared / "ran").read_text() == "__main__", "only what this test itself ran"


def test_every_python_that_is_started_ignores_the_current_folder() -> None:
    source = Path(agent_link.__file__).parents[2]
    unsafe = [
        f"{path.relative_to(source)}: {match[0]}"
        for package in ("cogtui", "jobs", "pipelines")
        for path in sorted((source / package).rglob("*.py"))
        for match in re.finditer(r'\[[^\[\]]*sys\.executable, "-[cm]"[^\]]*', path.read_text("utf-8"))
    ]
    assert unsafe == []


# -- what another user may read ----------------------------------------------------------------------


def test_a_new_workspace_is_closed_to_others(shared: Path) -> None:
    workspace = Workspace(shared / "workspace")
    workspace.create()
    assert not as_other(lambda: list(workspace.path.iterdir()))
    workspace.path.chmod(0o755)
    workspace.create()
    assert as_other(lambda: list(workspace.path.iterdir()))  # its owner has shared it


def test_prompts_and_replies_of_models_are_private_in_a_shared_workspace(shared: Path) -> None:
    before = os.umask(0)
    try:
        (shared / "folder").mkdir()
        ledger = Ledger(shared / "folder")
        ledger.put("ab" * 16, ModelReply("ok", text="a secret"))
        write_json(shared / "readable.json", 1)
    finally:
        os.umask(before)
    (file,) = (shared / "folder").glob("replies-*.jsonl")
    assert b"a secret" in file.read_bytes()
    assert not as_other(file.read_bytes)
    assert as_other((shared / "readable.json").read_bytes)
    assert not as_other(lambda: (shared / "readable.json").write_text("2"))
