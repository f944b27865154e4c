"""A workspace of the version before stays usable: nothing in it is run again, misread, or lost.

The fixture (`tests/fixtures/old_workspace`) was written by commit 1509d53, the last one before packages, classes and
record fields were renamed. This file guards, against any later change:

- states: `ls` and `show` say of every stage what that version said;
- content keys: every stage of its recipes and of that version's examples has the key it had then, so finished stages
  are reused. A new config field must be left out of the key while it has its default;
- records: rollouts, judgements and spans written then are read with the same values;
- what people wrote: notes, tags, annotations and saved views;
- the index built then: read as it is, or replaced with a message, never an error;
- a job in a queue: its pickle still names something that runs.

A test that fails here means that users lose work. Change the code, not the fixture. A field that moved on purpose is
named in `_as_printed_before`.
"""

import contextlib
import json
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.main import run
from cogtui.store.user_data.views import read_views
from jobs.workspace import Workspace
from pipelines.streams import read_rollouts
from tests.fixtures.old_workspace.make import ARCHIVE, FILTERS, HOME, unpack

REBUILT = "it is being built again from the stage folders"

Cogtui = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, to be copied from."""
    folder = tmp_path_factory.mktemp("old")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def expected(unpacked: Path) -> Callable[[str], Any]:
    """What the old version printed, by name."""
    return lambda name: json.loads((unpacked / "expected" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def home(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the workspace, the user's configuration and the recipes, as they lay when it was upgraded."""
    home = tmp_path / "home"
    shutil.copytree(unpacked, home)
    _keep_inodes(home / "workspace")
    monkeypatch.setenv("COGTUI_WORKSPACE", str(home / "workspace"))
    monkeypatch.setenv("COGTUI_CONFIG", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.chdir(home)
    return home


def _keep_inodes(workspace: Path) -> None:
    """Writes the inodes of the unpacked files into the index, which compares them: an upgrade moves no file."""
    with contextlib.closing(sqlite3.connect(workspace / "index" / "index-0001.db")) as database, database:
        for (path,) in database.execute("SELECT path FROM source").fetchall():
            inode = (workspace / path).stat().st_ino
            database.execute("UPDATE source SET inode = ? WHERE path = ?", (inode, path))


@pytest.fixture
def cogtui(home: Path, capsys: pytest.CaptureFixture[str]) -> Cogtui:
    """Runs a command in that folder: exit code, standard output (with neutral paths), standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(list(arguments))
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out.replace(str(home), HOME), err

    return call


def data(cogtui: Cogtui, *arguments: str, code: int = 0) -> Any:
    """The data that a command prints as JSON; it may warn once that the old index is replaced, and of nothing else."""
    ended, out, err = cogtui(*arguments, "--json")
    assert ended == code, (out, err)
    envelope = json.loads(out)
    assert [warning for warning in envelope["warnings"] if REBUILT not in warning] == []
    return envelope["data"]


def holds(new: Any, old: Any, place: str = "") -> Iterator[str]:
    """Where a value lacks or changes something of the old one. More fields than before are no difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            if name in new:
                yield from holds(new[name], value, f"{place}.{name}")
            else:
                yield f"{place}.{name} is missing"
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(new, old, strict=True)):
            yield from holds(one, other, f"{place}[{number}]")
    elif new != old:
        yield f"{place} is {new!r}, was {old!r}"


def same(new: Any, old: Any) -> None:
    """Asserts that nothing of the old value is missing or different."""
    assert list(holds(new, old)) == []


def _as_printed_before(row: dict[str, Any]) -> dict[str, Any]:
    """A rollout with the fields of contract version 1: `numbers` and `target` are in `problem` since version 2."""
    problem = row.get("problem")
    return {**problem, **row} if isinstance(problem, dict) else row


def by_key(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in rows}


def test_the_fixture_is_what_it_says(unpacked: Path, expected: Callable[[str], Any]) -> None:
    """Every kind of thing is in it, it is small, and it names no machine."""
    assert ARCHIVE.stat().st_size < 300_000
    states = [stage["state"] for stage in expected("ls")]
    assert {"done", "failed", "blocked"} == set(states)
    kinds = {stage["kind"] for stage in expected("ls")}
    assert {"problems", "base", "priming_data", "prime", "ppo", "sample", "judge", "import"} == kinds
    assert len(expected("rollouts")) > 100
    assert all(expected(name) for name in ("notes", "annotations", "traces"))
    assert set(expected("filters")) == set(FILTERS)
    # judge:human finds nothing: lists count what the rules say where both judged
    assert all(found for text, found in expected("filters").items() if "judge:human" not in text)
    for path in unpacked.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(trace in content for trace in (b"/tmp/", b"/root/", b"/work/")), path


def test_every_stage_is_listed_in_the_state_it_had(cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    new, old = by_key(data(cogtui, "ls")), by_key(expected("ls"))
    assert list(new) == list(old)
    for key, stage in old.items():
        if stage["state"] == "blocked":  # the reason is worded by the code of now
            assert stage.pop("reason")
            assert new[key]["reason"]
        same(new[key], stage)


def test_every_stage_is_shown_with_its_attempts_inputs_config_and_result(
    cogtui: Cogtui, expected: Callable[[str], Any]
) -> None:
    for key, old in expected("show").items():
        new = data(cogtui, "show", key)
        for stage in (old, *old["attempts"]):
            for name in ("age_s", "reason", "remedy"):  # the time since then, and words of now
                stage.pop(name, None)
        same(new, old)


def test_no_stage_gets_another_key(home: Path, cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    """Recipes of then, planned now: the same stages, keys and inputs; all that is finished is reused."""
    plans = expected("plans")
    assert set(plans) == {path.stem for path in (home / "recipes").glob("*.toml")}
    assert len(plans) > 8
    for name, old in plans.items():
        new = data(cogtui, "run", f"recipes/{name}.toml", "--dry-run")
        same(new["stages"], old["stages"])
        same(new["cells"], old["cells"])
    assert {stage["action"] for stage in plans["before"]["stages"]} == {"reused"}


def test_running_the_recipe_again_starts_nothing(home: Path, cogtui: Cogtui) -> None:
    before = sorted(path.relative_to(home) for path in home.glob("workspace/stages/*/attempts/*"))
    result = {path: path.read_bytes() for path in home.glob("workspace/stages/*/result.json")}
    code, out, err = cogtui("run", "recipes/before.toml", "--display", "none")
    assert code == 0, (out, err)
    assert sorted(path.relative_to(home) for path in home.glob("workspace/stages/*/attempts/*")) == before
    assert {path: path.read_bytes() for path in home.glob("workspace/stages/*/result.json")} == result


def test_rollouts_are_read_with_the_same_values_counts_and_spans(
    cogtui: Cogtui, expected: Callable[[str], Any]
) -> None:
    new = data(cogtui, "rollouts", "--limit", "1000")
    old = expected("rollouts")
    assert [row["id"] for row in new] == [row["id"] for row in old]
    same([_as_printed_before(row) for row in new], old)


def test_traces_are_read_with_the_same_judgements_and_facts(cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    for uid, old in expected("traces").items():
        same(_as_printed_before(data(cogtui, "trace", uid)), old)


@pytest.mark.parametrize("text", FILTERS)
def test_filters_let_the_same_rollouts_through(text: str, cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    found = [row["id"] for row in data(cogtui, "rollouts", text, "--limit", "1000")]
    assert found == expected("filters")[text]


def test_stream_files_of_then_are_read_by_the_science_too(home: Path, expected: Callable[[str], Any]) -> None:
    """Without an index: what a judge or sample stage reads of its inputs."""
    old = {row["id"]: row for row in expected("rollouts")}
    workspace = Workspace(home / "workspace")
    seen = 0
    for key in workspace.keys():  # noqa: SIM118 - a method, not a mapping
        for rollout in read_rollouts(workspace.folder(key).path):
            row = old[rollout.id]
            assert (rollout.completion, rollout.prompt, rollout.reward) == (
                row["completion"],
                row["prompt"],
                row["reward"],
            )
            printed = _as_printed_before(rollout.model_dump(mode="json"))
            assert (printed["numbers"], printed["target"]) == (row["numbers"], row["target"])
            seen += 1
    assert seen > 100


def test_notes_and_annotations_are_kept(cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    same(data(cogtui, "notes"), expected("notes"))
    same(data(cogtui, "annotations"), expected("annotations"))


def test_the_saved_view_is_kept(home: Path) -> None:
    view = read_views().view("primed, wrong")
    assert view.filter == "condition:backtracking_verification correct:false"
    assert (view.sort, view.columns, view.groups) == ("-backtracking", ("step", "reward", "backtracking"), "")


def test_comparisons_come_to_the_same_figures(cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    new, old = data(cogtui, "compare", "before"), expected("compare")
    for one, other in zip(new, old, strict=True):
        same(one["groups"], other["groups"])


def test_the_index_of_then_is_read_or_replaced_with_a_message(home: Path, cogtui: Cogtui) -> None:
    """Its schema is number 4. A later program migrates it or builds it again, and says so, once."""
    code, out, err = cogtui("rollouts", "--limit", "1")
    assert code == 0, (out, err)
    folder = home / "workspace" / "index"
    current = folder / (folder / "current").read_text(encoding="ascii").strip()
    with contextlib.closing(sqlite3.connect(current)) as database:
        (schema,) = database.execute("PRAGMA user_version").fetchone()
    assert (REBUILT in err) == (schema != 4)
    code, _, err = cogtui("rollouts", "--limit", "1")
    assert code == 0
    assert REBUILT not in err


def test_the_index_can_be_built_again(home: Path, cogtui: Cogtui, expected: Callable[[str], Any]) -> None:
    code, out, err = cogtui("reindex")
    assert code == 0, (out, err)
    assert "rollouts" in out + err
    assert [row["id"] for row in data(cogtui, "rollouts", "--limit", "1000")] == [
        row["id"] for row in expected("rollouts")
    ]


def test_an_index_of_a_later_version_names_the_way_out(home: Path, cogtui: Cogtui) -> None:
    with contextlib.closing(sqlite3.connect(home / "workspace" / "index" / "index-0001.db")) as database:
        database.execute("PRAGMA user_version = 999")
    code, _, err = cogtui("rollouts")
    assert code == 2
    assert "cogtui reindex" in err
    assert cogtui("reindex")[0] == 0
    assert cogtui("rollouts")[0] == 0


def test_a_job_that_was_submitted_then_still_runs(unpacked: Path) -> None:
    loaded = pickle.loads((unpacked / "expected" / "stage_run.pkl").read_bytes())
    assert loaded.attempt == os.path.join(HOME, "attempt")  # noqa: PTH118
    assert callable(loaded)
    assert callable(loaded.checkpoint)
