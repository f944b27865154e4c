"""The shipped showcase: what it holds, that it opens, and what happens when a file of it is damaged."""

import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from cogtui.cli.main import run as cogtui
from cogtui.store import open_store
from cogtui.store.showcase import unpack
from cogtui.store.showcase.unpack import ARCHIVE, CARD, read_card, unpack_showcase
from pipelines.errors import InvalidInput

SHIPPED = Path(unpack.__file__).parent


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped files, to damage."""
    root = tmp_path / "shipped"
    root.mkdir()
    for name in (ARCHIVE, CARD):
        shutil.copyfile(SHIPPED / name, root / name)
    return root


def test_it_is_small_and_names_no_machine() -> None:
    assert (SHIPPED / ARCHIVE).stat().st_size <= 2_000_000
    with tarfile.open(SHIPPED / ARCHIVE) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert member.isfile()
            assert stream is not None
            assert not re.search(rb"/(root|tmp|home|work)/", stream.read()), member.name


def test_every_rollout_is_indexed_with_its_judgements() -> None:
    found = unpack_showcase()
    with open_store(found.workspace) as store:
        coverage = store.ingest()
    assert coverage.rollouts == found.card.rollouts >= 3000
    assert coverage.judgements == coverage.rollouts  # rollouts with judgements
    assert found.card.judgements == 4 * coverage.rollouts
    assert coverage.bad_lines == coverage.orphans == 0


def test_a_damaged_copy_is_unpacked_again_and_an_undamaged_one_is_not() -> None:
    found = unpack_showcase()
    name = next(name for name in found.card.files if "rollouts-eval" in name)
    path = found.workspace.path / name
    assert path.stat().st_mode & 0o222 == 0
    before = path.stat().st_ino
    unpack_showcase()
    assert path.stat().st_ino == before
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100])
    unpack_showcase()
    assert path.stat().st_size > 100
    assert path.stat().st_mode & 0o222 == 0


def test_notes_outlive_the_cache(tmp_path: Path) -> None:
    found = unpack_showcase()
    (found.workspace.path / "notes" / "mine.jsonl").write_text("{}\n")
    shutil.rmtree(tmp_path / "cache")
    assert (unpack_showcase().workspace.path / "notes" / "mine.jsonl").read_text() == "{}\n"


def test_a_damaged_archive_and_a_damaged_card_are_named(copy: Path) -> None:
    data = bytearray((copy / ARCHIVE).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (copy / ARCHIVE).write_bytes(data)
    with pytest.raises(InvalidInput, match=r"showcase\.tar\.xz of the showcase is damaged") as raised:
        unpack_showcase(copy)
    assert raised.value.remedy == "Install cogtui again."
    (copy / ARCHIVE).unlink()
    with pytest.raises(InvalidInput, match=r"showcase\.tar\.xz of the showcase is missing"):
        unpack_showcase(copy)
    (copy / CARD).write_text('{"experiment": "x"}')
    with pytest.raises(InvalidInput, match=r"the card showcase\.json"):
        unpack_showcase(copy)


def test_the_command_says_where_it_lies_and_refuses_to_draw_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, code in ((["showcase", "--json"], 0), (["showcase"], 3)):
        with pytest.raises(SystemExit) as stop:
            cogtui(arguments)
        assert stop.value.code == code
        out = capsys.readouterr().out
        if code == 0:
            data = json.loads(out)["data"]
            assert (Path(data["workspace"]) / "stages").is_dir()
            assert data["experiment"] == read_card().experiment
