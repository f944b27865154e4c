"""An index on a full disk, damaged or in the way: explained with a remedy that works, and no stage hides another."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogtui.cli import main
from cogtui.store import Query, open_store
from cogtui.store.db.connection import DamagedIndex
from cogtui.store.db.fts_index import fts_path
from cogtui.store.filter.parser import parse
from cogtui.store.index import Store
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from tests.store.lab import Lab, make_rollouts, write_rollouts


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


def _fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as stream:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"x" * size)


def _lab(place: Path, *numbers: int) -> Lab:
    lab = Lab(Workspace(place))
    lab.workspace.create()
    for number in numbers:
        folder = lab.stage("ppo", number)
        write_rollouts(folder, make_rollouts(folder.key, [0]))
    return lab


def _count(store: Store) -> int:
    return store.ingest().rollouts


def test_a_full_disk_without_an_index_leaves_nothing_behind_and_its_remedy_works(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = _lab(small_disk / "w", 1)
    _fill(small_disk)
    with pytest.raises(MissingRequirement, match=r"the index .* cannot be used: .*full") as caught:
        open_store(lab.workspace)
    assert list((lab.workspace.path / "index").glob("index-*")) == []
    assert "COGTUI_CACHE" in caught.value.remedy
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    with open_store(lab.workspace) as store:
        assert _count(store) == 8


def test_taking_the_lease_on_a_full_disk_is_explained(small_disk: Path) -> None:
    lab = _lab(small_disk / "w", 1)
    with open_store(lab.workspace) as store:
        _count(store)
    _fill(small_disk)
    with pytest.raises(MissingRequirement, match="cannot be used"), open_store(lab.workspace) as store:
        store.ingest()
    (small_disk / "filler").unlink()
    with open_store(lab.workspace) as store:
        assert _count(store) == 8


@pytest.mark.parametrize("content", [b"", b"random", b"SQLite format 3\0"])
@pytest.mark.parametrize("which", ["index", "words"])
def test_an_index_or_words_file_of_garbage_is_named_or_made_again(tmp_path: Path, which: str, content: bytes) -> None:
    lab = _lab(tmp_path / "w", 1)
    with open_store(lab.workspace) as store:
        _count(store)
        path = store.path
    assert path is not None
    broken = path if which == "index" else fts_path(path)
    for left in broken.parent.glob(f"{broken.name}-[sw]*"):
        left.unlink()
    broken.write_bytes(content + (os.urandom(40_000) if content else b""))
    query = Query(parse("text:different"))
    if content:
        with pytest.raises(DamagedIndex, match=r"the index .* is damaged") as caught:
            _search(lab, query)
        assert caught.value.remedy == "Build it again with cogtui reindex."
        assert main._dispatch(["reindex", "--workspace", str(lab.workspace.path)]) == 0
    with open_store(lab.workspace) as store:
        assert _count(store) == 8
        expected = sum("different" in detail.completion for detail in store.rollouts(_ids(store)))
        assert store.count(query) == expected > 0


def _search(lab: Lab, query: Query) -> None:
    with open_store(lab.workspace) as store:
        store.ingest()
        store.page(query)


def _ids(store: Store) -> list[str]:
    return [row.id for row in store.page(Query(), limit=100).rows]


def test_a_words_file_without_its_tables_is_damage_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = _lab(tmp_path / "w", 1)
    with open_store(lab.workspace) as store:
        _count(store)
        assert store.path is not None
        words = fts_path(store.path)
    other = tmp_path / "other.db"
    subprocess.run(
        [
            "python3",
            "-c",
            "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE t (a)')",
            str(other),
        ],
        check=True,
    )
    for left in words.parent.glob(f"{words.name}-[sw]*"):
        left.unlink()
    shutil.copy(other, words)
    assert main._dispatch(["rollouts", "--json", "--workspace", str(lab.workspace.path)]) == 1
    assert '"code": "damaged_index"' in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_strange_files_in_place_of_streams_notes_and_the_pointer_hide_nothing(tmp_path: Path, kind: str) -> None:
    """Reading a pipe would wait for ever."""
    lab = _lab(tmp_path / "w", 1, 2)
    odd = [
        lab.workspace.stages / "ppo-000000000001" / "rollouts-late-001.jsonl",
        lab.workspace.stages / "ppo-000000000001" / "metrics-late-001.jsonl",
        lab.workspace.path / "notes" / "a@b.jsonl",
        lab.workspace.path / "annotations" / "a@b.jsonl",
        lab.workspace.path / "index" / "current",
    ]
    for path in odd:
        path.parent.mkdir(exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
    with open_store(lab.workspace) as store:
        assert _count(store) == 16
        assert not list(store.bad_lines())


def test_a_stream_that_cannot_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cogtui.store.stage_files import line_reader

    lab = _lab(tmp_path / "w", 1, 2)
    read = line_reader.read_block

    def failing(path: Path, offset: int, limit: int) -> object:
        if "ppo-000000000001" in str(path):
            raise OSError(5, "Input/output error", str(path))
        return read(path, offset, limit)

    with open_store(lab.workspace) as store:
        with monkeypatch.context() as patch:
            patch.setattr(line_reader, "read_block", failing)
            coverage = store.ingest()
            assert coverage.rollouts == 8
            assert not coverage.complete
        assert _count(store) == 16


@pytest.mark.parametrize("name", ["current", "index-0001.db", "index-0009.db"])
def test_a_full_folder_in_place_of_a_file_of_the_index_is_moved_away(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = _lab(tmp_path / "w", 1)
    with open_store(lab.workspace) as store:
        _count(store)
    index = lab.workspace.path / "index"
    wanted = index / name
    wanted.unlink(missing_ok=True)
    wanted.mkdir()
    (wanted / "kept").write_text("mine")
    for command in ("rollouts", "reindex", "rollouts"):
        assert main._dispatch([command, "--workspace", str(lab.workspace.path)]) == 0, capsys.readouterr().err
    assert (index / "current").is_file()
    assert [path.read_text() for path in index.glob(f"*{name}*/kept")] == ["mine"]


def test_a_folder_where_a_file_belongs_is_an_explained_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        (tmp_path / "file").write_text("")
        os.replace(tmp_path / "file", tmp_path)  # noqa: PTH105

    monkeypatch.setattr(main, "app", refuse)
    assert main._dispatch(["ls"]) == 2
    err = capsys.readouterr().err
    assert str(tmp_path) in err
    assert "Move it away" in err
