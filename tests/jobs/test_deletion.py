"""Deleting experiments: what is theirs alone goes to the trash, what others need stays, and all of it comes back."""

import json
import os
import shutil
from pathlib import Path

import pytest

from cogtui.store import open_store
from jobs.planning.archive import archived_names
from jobs.planning.cell import Cell
from jobs.planning.experiment_notes import FOLDER, read_experiment_notes, write_experiment_note
from jobs.planning.experiments import latest_experiments
from jobs.submit.deletion import (
    delete_experiment,
    describe_deletion,
    empty_trash,
    plan_deletion,
    restore_deleted,
    trashed_experiments,
)
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from tests.app.conftest import MOMENT, Builder
from tests.commands import cogtui_here


def files(workspace: Workspace) -> dict[str, bytes]:
    """Every file of stages and experiments."""
    roots = (workspace.stages, workspace.experiments)
    return {
        str(path.relative_to(workspace.path)): path.read_bytes()
        for root in roots for path in sorted(root.rglob("*")) if path.is_file()
    }  # fmt: skip


@pytest.fixture
def shared(tmp_path: Path) -> Builder:
    """Experiment `mine` shares `base` with `other`; a loose stage needs `prime`, which needs `data`."""
    builder = Builder(tmp_path / "work")
    base, data = builder.stage("base", "a1"), builder.stage("data", "a2")
    prime = builder.stage("prime", "b1", inputs=[base.key, data.key])
    ppo = builder.stage("ppo", "c1", inputs=[prime.key])
    old = builder.stage("ppo", "c2", inputs=[prime.key])
    loose = builder.stage("judge", "d1", inputs=[prime.key])
    for folder in (base, data, prime, ppo, old, loose):
        builder.done(folder)
    builder.rollouts(ppo, ["a", "b"], judge=False)
    first = {"base": base.key, "data": data.key, "prime": prime.key, "ppo": old.key}
    builder.experiment("mine", [Cell(labels={}, stages=first)], MOMENT - 50)
    builder.experiment("mine", [Cell(labels={}, stages={**first, "ppo": ppo.key})])
    builder.experiment("other", [Cell(labels={}, stages={"base": base.key})])
    return builder


def test_what_others_need_stays_and_all_comes_back(shared: Builder) -> None:
    workspace = shared.workspace
    before = files(workspace)
    with open_store(workspace) as store:
        store.ingest()
        assert store.coverage().rollouts == 2
    plan = plan_deletion(workspace, "mine")
    assert [key.partition("-")[0] for key in plan.keys] == ["ppo", "ppo"], "of all its starts"
    assert set(plan.kept) == {"base-0000000000a1", "data-0000000000a2", "prime-0000000000b1"}
    assert plan.kept["base-0000000000a1"] == "experiment other"
    assert plan.kept["prime-0000000000b1"] == "input of judge-0000000000d1"
    assert plan.finished == plan.starts == 2
    told = "\n".join(describe_deletion(plan))
    assert "2 starts and 2 stages of it alone" in told
    assert "3 stages" in told
    assert "base-0000000000a1  experiment other" in told
    folder = delete_experiment(workspace, plan)
    assert folder.parent == workspace.path / "trash"
    assert set(latest_experiments(workspace)) == {"other"}
    assert sorted(workspace.keys()) == sorted([*plan.kept, "judge-0000000000d1"])
    with open_store(workspace) as store:
        store.ingest()
        assert store.coverage().rollouts == 0
    restore_deleted(workspace, "mine")
    assert files(workspace) == before
    assert trashed_experiments(workspace) == []
    with open_store(workspace) as store:
        store.ingest()
        assert store.coverage().rollouts == 2


def test_an_archived_experiment_keeps_what_it_shares_too(shared: Builder) -> None:
    (shared.workspace.experiments / "other" / ".archived").touch()
    assert "base-0000000000a1" in plan_deletion(shared.workspace, "mine").kept


def test_nothing_is_deleted_while_a_stage_is_active(shared: Builder) -> None:
    running = shared.stage("ppo", "e1")
    shared.attempt(running)
    shared.experiment("mine", [Cell(labels={}, stages={"ppo": running.key})], MOMENT + 5)
    before = files(shared.workspace)
    plan = plan_deletion(shared.workspace, "mine")
    assert plan.active == (running.key,)
    with pytest.raises(InvalidInput, match="runs or waits to run"):
        delete_experiment(shared.workspace, plan)
    assert files(shared.workspace) == before


def test_what_changed_since_the_question_is_not_deleted(shared: Builder) -> None:
    plan = plan_deletion(shared.workspace, "mine")
    late = shared.stage("ppo", "e2")
    shared.done(late)
    shared.experiment("mine", [Cell(labels={}, stages={"ppo": late.key})], MOMENT + 9)
    with pytest.raises(InvalidInput, match="did not have when it was asked"):
        delete_experiment(shared.workspace, plan)
    shared.experiment("third", [Cell(labels={}, stages={"ppo": plan.keys[0]})])
    delete_experiment(shared.workspace, plan_deletion(shared.workspace, "mine"))
    assert shared.workspace.folder(plan.keys[0]).path.is_dir(), "another experiment took it up meanwhile"


def test_an_unreadable_snapshot_of_another_experiment_stops_it(shared: Builder) -> None:
    (shared.workspace.experiments / "other" / f"{int(MOMENT)}.json").write_text("{")
    with pytest.raises(InvalidInput, match="which stages other shares with mine"):
        plan_deletion(shared.workspace, "mine")


@pytest.mark.parametrize("name", ["", "nothing", "../stages", ".", "a/b"])
def test_only_experiments_are_deleted(shared: Builder, name: str) -> None:
    with pytest.raises(NotFound):
        plan_deletion(shared.workspace, name)


def test_a_failure_half_way_puts_everything_back(shared: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls, rename = files(shared.workspace), [], os.rename

    def failing(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 3:
            raise OSError(13, "Permission denied", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(MissingRequirement, match=r"is not deleted: .*Permission denied"):
        delete_experiment(shared.workspace, plan_deletion(shared.workspace, "mine"))
    assert files(shared.workspace) == before
    assert trashed_experiments(shared.workspace) == []


def test_a_stage_made_again_meanwhile_is_never_overwritten(shared: Builder) -> None:
    plan = plan_deletion(shared.workspace, "mine")
    delete_experiment(shared.workspace, plan)
    again = shared.stage("ppo", "c1")
    (again.path / "mark").write_text("new")
    restore_deleted(shared.workspace)
    assert (again.path / "mark").read_text() == "new"
    (entry,) = trashed_experiments(shared.workspace)
    assert [path.name for path in (entry.folder / "stages").iterdir()] == [again.key]
    assert [one.name for one in empty_trash(shared.workspace, ["mine"])] == ["mine"]
    assert trashed_experiments(shared.workspace) == []
    shared.experiment("mine", [Cell(labels={}, stages={})], MOMENT + 1)
    delete_experiment(shared.workspace, plan_deletion(shared.workspace, "mine"))
    shared.experiment("mine", [Cell(labels={}, stages={})], MOMENT + 2)
    with pytest.raises(InvalidInput, match="there is an experiment mine again"):
        restore_deleted(shared.workspace, "mine")


def test_the_command_asks_lists_restores_and_empties(shared: Builder) -> None:
    where = ["--workspace", str(shared.workspace.path)]
    refused = cogtui_here("delete", "mine", *where)
    assert refused.returncode != 0
    assert "no terminal" in refused.stderr
    assert "2 stages of it alone" in refused.stderr, "what would be lost is said"
    done = json.loads(cogtui_here("delete", "mine", "--yes", "--json", *where).stdout)["data"]
    assert [len(done[0]["stages"]), len(done[0]["kept"])] == [2, 3]
    assert "mine  2 stages, deleted" in cogtui_here("delete", *where).stdout
    assert "mine  2 stages, restored" in cogtui_here("delete", "--undo", *where).stdout
    cogtui_here("delete", "mine", "-y", *where)
    assert "gone" in cogtui_here("delete", "--empty-trash", "-y", *where).stdout
    assert not any((shared.workspace.path / "trash").iterdir())
    assert "the trash is empty" in cogtui_here("delete", *where).stderr


def test_notes_and_tags_on_experiments_are_shown_by_ls(shared: Builder) -> None:
    workspace, where = shared.workspace, ["--workspace", str(shared.workspace.path)]
    assert "no notes or tags yet" in cogtui_here("notes", *where).stderr
    written = cogtui_here("note", "--experiment", "mine", "too [b]hot", "--tag", "baseline", *where)
    assert written.stdout == "too [b]hot\n#baseline\n"
    cogtui_here("note", "--experiment", "mine", "--tag", "second", "--untag", "baseline", *where)
    assert read_experiment_notes(workspace)["mine"] == ("too [b]hot", ("second",))
    listed = cogtui_here("ls", *where)
    assert "mine: #second too [b]hot" in listed.stdout + listed.stderr
    told = json.loads(cogtui_here("note", "--experiment", "mine", "--json", *where).stdout)["data"]
    assert told == {"experiment": "mine", "note": "too [b]hot", "tags": ["second"]}
    assert "experiment mine  #second" in cogtui_here("notes", *where).stdout
    assert cogtui_here("note", "--experiment", "nothing", "x", *where).returncode != 0
    assert cogtui_here("note", "--experiment", "mine", "--tag", "a b", *where).returncode != 0
    with (workspace.path / FOLDER / "zz@other.jsonl").open("w") as log:
        log.write('not json\n{"v": 1}\n{"v": 1, "id": "x", "time": 9e9, "experiment": "mine", "note": "later"}\ntorn')
    assert read_experiment_notes(workspace)["mine"].note == "later", "the latest of all files counts"
    write_experiment_note(workspace, "other", note="x")
    write_experiment_note(workspace, "other", note="")
    assert "other" not in read_experiment_notes(workspace)


def test_notes_on_experiments_are_exported_and_imported(shared: Builder, tmp_path: Path) -> None:
    workspace, where = shared.workspace, ["--workspace", str(shared.workspace.path)]
    write_experiment_note(workspace, "mine", note="first", tags=["old"])
    write_experiment_note(workspace, "mine", tags=["new"])
    file = tmp_path / "notes.jsonl"
    cogtui_here("notes", "--export", str(file), *where)
    write_experiment_note(workspace, "mine", note="later")
    cogtui_here("notes", "--import", str(file), *where)
    assert read_experiment_notes(workspace)["mine"] == ("later", ("new",)), "an older note replaces no newer one"
    shutil.rmtree(workspace.path / FOLDER)
    for _ in range(2):
        assert cogtui_here("notes", "--import", str(file), *where).returncode == 0
        assert read_experiment_notes(workspace)["mine"] == ("first", ("new",))
    [own] = (workspace.path / FOLDER).iterdir()
    assert own.read_text().count("\n") == 2, "a second import adds nothing"


def test_archive_of_an_unknown_name_archives_nothing(shared: Builder) -> None:
    where = ["--workspace", str(shared.workspace.path)]
    assert cogtui_here("archive", "mine", "nothing", *where).returncode == 4
    assert archived_names(shared.workspace) == []
    cogtui_here("archive", "mine", *where)
    assert cogtui_here("archive", "--undo", "mine", "nothing", *where).returncode == 4
    assert archived_names(shared.workspace) == ["mine"]
    compared = cogtui_here("compare", "mine", *where)
    assert compared.returncode == 4
    assert "is archived" in compared.stderr
    assert "cogtui archive --undo mine" in compared.stderr
