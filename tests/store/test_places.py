"""Where the index lives, who may write it, and what happens when it is broken."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cogtui.store import Query, Store, open_store
from cogtui.store.db import location as locations
from cogtui.store.db.connection import DamagedIndex, connect, ensure_index, make_generation
from cogtui.store.db.lease import Lease, LeaseLost, lease_holder
from cogtui.store.db.location import is_network, locate_index, wal_works
from cogtui.store.filter.parser import parse
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.ingest.writer import IndexWriter
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.files import read_json
from tests.processes import children, runs
from tests.store.lab import Lab, append_raw, make_rollouts, write_rollouts


def mounts(*entries: tuple[Path | str, str]) -> str:
    return "".join(f"server:/x {str(point).replace(' ', chr(92) + '040')} {kind} rw 0 0\n" for point, kind in entries)


def test_on_a_local_disk_the_index_is_beside_the_workspace(lab: Lab) -> None:
    location = locate_index(lab.workspace, mounts=mounts(("/", "ext4")))
    assert location.folder == lab.workspace.path / "index"


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "gpfs", "ceph", "beegfs", "fuse.sshfs", "9p"])
def test_on_a_network_file_system_it_is_in_a_local_cache(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "local cache"))
    table = mounts(("/", "ext4"), (lab.workspace.path, kind))
    location = locate_index(lab.workspace, mounts=table)
    assert location.folder.is_relative_to(tmp_path / "local cache")
    assert kind in location.reason
    home_too = mounts(("/", "ext4"), (lab.workspace.path, kind), (tmp_path / "local cache", "nfs"))
    assert not locate_index(lab.workspace, mounts=home_too).folder.is_relative_to(tmp_path / "local cache")


def test_without_any_local_folder_it_says_what_to_do(lab: Lab) -> None:
    with pytest.raises(MissingRequirement, match="no writable local folder") as caught:
        locate_index(lab.workspace, mounts=mounts(("/", "nfs4")))
    assert "COGTUI_CACHE" in caught.value.remedy


def test_two_workspaces_of_one_name_have_two_caches(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.workspace import Workspace

    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    other = Workspace(tmp_path / "other" / "workspace")
    other.create()
    table = mounts(("/", "ext4"), (lab.workspace.path, "nfs"), (other.path, "nfs"))
    assert locate_index(lab.workspace, mounts=table) != locate_index(other, mounts=table)


def test_a_later_mount_hides_an_earlier_and_fuse_is_shared_unless_it_is_known_not_to_be() -> None:
    assert is_network("fuse.something-new")
    assert not is_network("fuseblk")
    assert not is_network("xfs")
    assert not is_network("")


def test_wal_is_tried_before_it_is_used(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    location = locate_index(lab.workspace)
    assert wal_works(location.folder)
    monkeypatch.setattr("cogtui.store.db.connection.wal_works", lambda folder: False)
    path = make_generation(location)
    mode = sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone()[0]
    assert mode == "delete"  # TRUNCATE is not written into the file, and is no WAL
    write_rollouts(lab.stage("ppo", 1), make_rollouts("ppo-000000000001", [0]))
    location.point_to(path)
    with open_store(lab.workspace) as store:
        assert store.ingest().rollouts == 8


def test_index_json_says_where_it_is(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        (entry,) = read_json(filled.workspace.path / "index.json")["hosts"].values()
        assert entry["path"] == str(store.path)


def test_a_second_process_reads_while_the_first_writes(filled: Lab) -> None:
    path = ensure_index(locate_index(filled.workspace))
    writer = IndexWriter(path, filled.workspace)
    assert writer.take()
    for _ in writer.round():
        pass
    with open_store(filled.workspace) as store:
        found = store.writer()
        assert found is not None
        assert found.pid == os.getpid()
        write_rollouts(filled.workspace.find("ppo-000000000001"), make_rollouts("ppo-000000000001", [99]), "late")
        assert store.ingest().rollouts == 128  # the other one has the lease, so this one only reads
        writer.release()
        assert store.ingest().rollouts == 136
    writer.close()


def test_a_lease_that_went_silent_is_taken_and_its_old_holder_writes_nothing_more(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ensure_index(locate_index(lab.workspace))
    first, second = Lease(connect(path)), Lease(connect(path))
    assert first.take()
    assert not second.take()
    monkeypatch.setattr("cogtui.store.db.lease.STALE_S", -1.0)
    assert second.take()
    with pytest.raises(LeaseLost):
        first.check()
    monkeypatch.undo()
    assert not first.take()
    second.release()
    assert first.take()


def test_a_lease_of_a_process_that_is_gone_is_free_at_once(lab: Lab) -> None:
    path = ensure_index(locate_index(lab.workspace))
    script = (
        "import sys, os; from pathlib import Path; from cogtui.store.db.connection import connect;"
        "from cogtui.store.db.lease import Lease; lease = Lease(connect(Path(sys.argv[1])));"
        "print(lease.take(), flush=True);"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline().strip() == "True"
    ours = Lease(connect(path))
    assert not ours.take()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert lease_holder(ours.connection) is None
    assert ours.take()


def test_a_damaged_index_says_so_and_is_rebuilt(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        path = store.path
    assert path is not None
    for extra in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        extra.unlink(missing_ok=True)
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(DamagedIndex) as caught:
        open_store(filled.workspace)
    assert "reindex" in caught.value.remedy
    rebuild(filled.workspace)
    with open_store(filled.workspace) as store:
        assert store.count(Query()) == 128


def test_damage_inside_is_named_too(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        path = store.path
    assert path is not None
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xa5" * (size - 8192))
    with pytest.raises(DamagedIndex), open_store(filled.workspace) as store:
        store.count(Query(parse("backtracking>=0 text:begin")))


def test_an_index_of_a_later_version_is_not_touched(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        path = store.path
    assert path is not None
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(InvalidInput, match="newer cogtui"):
        open_store(filled.workspace)


def test_an_open_store_moves_to_a_rebuilt_index(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        before = store.version()
        old = store.path
        rebuild(filled.workspace)
        assert store.count(Query()) == 128  # still the old file, though it has no name any more
        assert store.version() != before
        assert store.path != old
        assert store.count(Query()) == 128
        assert old is not None
        assert not old.exists()


def test_what_a_killed_rebuild_left_behind_is_removed(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
    location = locate_index(filled.workspace)
    abandoned = make_generation(location)
    abandoned.write_bytes(abandoned.read_bytes() + b"something to know it by")
    rebuild(filled.workspace)
    current = location.current()
    assert current is not None
    assert not current.read_bytes().endswith(b"something to know it by")
    assert len(list(location.folder.glob("index-*.db"))) == 1


def test_reading_only_never_makes_an_index(lab: Lab) -> None:
    with pytest.raises(NotFound, match="no index"):
        open_store(lab.workspace, readonly=True)
    assert list((lab.workspace.path / "index").glob("*.db")) == []
    open_store(lab.workspace).close()
    with open_store(lab.workspace, readonly=True) as store:
        assert store.ingest().rollouts == 0
        with pytest.raises(InvalidInput, match="reading only"):
            store.write_annotations([])


def wait_for(store: Store, count: int, within_s: float) -> float:
    started = time.monotonic()
    while store.count(Query()) < count:
        assert time.monotonic() - started < within_s, f"{store.count(Query())} of {count} rollouts in {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - started


def test_a_followed_index_takes_up_what_is_written_and_ends_with_its_store(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    with open_store(lab.workspace) as store:
        store.follow()
        write_rollouts(folder, make_rollouts(folder.key, [0]))
        wait_for(store, 8, 30)
        before = store.version()
        append_raw(folder.path / "rollouts-late-001.jsonl", b"")
        write_rollouts(folder, make_rollouts(folder.key, [10]), "late")
        wait_for(store, 16, 10)
        assert store.version() != before
        (follower,) = children("cogtui.store.ingest.follower")
    assert not runs(follower.pid)
    with open_store(lab.workspace) as store:
        assert store.writer() is None


def test_a_workspace_that_appears_after_the_store_is_followed_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "later")
    with open_store(workspace) as store:
        store.follow()
        assert children("cogtui.store.ingest.follower") == []
        lab = Lab(workspace)
        workspace.create()
        folder = lab.stage("ppo", 1)
        write_rollouts(folder, make_rollouts(folder.key, [0]))
        store.version()
        wait_for(store, 8, 30)
        (follower,) = children("cogtui.store.ingest.follower")
    assert not runs(follower.pid)


def test_the_follower_ends_when_whoever_started_it_is_killed(lab: Lab) -> None:
    script = (
        "import sys; from pathlib import Path; from jobs.workspace import Workspace;"
        "from cogtui.store import open_store;"
        "store = open_store(Workspace(Path(sys.argv[1]))); store.follow();"
        "import psutil; (follower,) = psutil.Process().children(); print(follower.pid, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(lab.workspace.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    follower = int(child.stdout.readline())
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    deadline = time.monotonic() + 30
    while runs(follower):
        assert time.monotonic() < deadline, "the follower outlived its parent"
        time.sleep(0.05)


def test_the_mount_table_of_this_machine_can_be_read() -> None:
    assert locations._mount_table(None)


def test_a_full_disk_is_named_and_what_was_read_stays(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def cramped(path: Path, *, search: bool) -> sqlite3.Connection:
        connection = connect(path, search=search)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return connection

    folder = filled.stage("ppo", 77)
    write_rollouts(folder, make_rollouts(folder.key, range(60)))
    with monkeypatch.context() as patched:
        patched.setattr("cogtui.store.ingest.writer.connect", cramped)
        with pytest.raises(MissingRequirement, match="full") as caught, open_store(filled.workspace) as store:
            store.ingest()
        assert "COGTUI_CACHE" in caught.value.remedy
    with open_store(filled.workspace) as store:
        assert store.ingest().rollouts == 128 + 480
