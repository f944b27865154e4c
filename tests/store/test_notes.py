"""Notes and tags: kept in files of the workspace, merged from several hands, in the index at once."""

import json
import shutil
from pathlib import Path

import pytest

from cogtui.store import Query, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.user_data.notes import Note, append_notes
from pipelines.errors import InvalidInput, NotFound
from tests.store.lab import Lab, append_raw, dumped, make_rollouts


def test_a_note_is_there_at_once_and_after_a_rebuild(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        uid = store.page(Query(), limit=5).rows[3].id
        store.annotate(uid[:10], note="Look at this [/b]", tags=["odd", "gold"])
        assert [row.id for row in store.page(Query(parse("tag:odd note:look"))).rows] == [uid]
        assert store.rollout(uid).row.noted
        store.annotate(uid, tags=["gold"])
        detail = store.rollout(uid)
        assert (detail.note, detail.tags) == ("Look at this [/b]", ("gold",))
        assert store.count(Query(parse("tag:odd"))) == 0
        assert store.values("tag") == ["gold"]
    rebuild(filled.workspace)
    with open_store(filled.workspace) as store:
        detail = store.rollout(uid)
        assert (detail.note, detail.tags, detail.row.noted) == ("Look at this [/b]", ("gold",), True)
        assert store.count(Query(parse("has:note has:tag"))) == 1
        store.annotate(uid, note="", tags=[])
        assert not store.rollout(uid).row.noted
        assert store.annotations() == []


def test_the_latest_word_holds_whoever_said_it_and_whenever_it_is_read(filled: Lab) -> None:
    folder = filled.workspace.path / "notes"
    with open_store(filled.workspace) as store:
        store.ingest()
        uid = store.page(Query(), limit=1).rows[0].id
        late = Note(id="b", time=200.0, rollout=uid, note="late")
        early = Note(id="a", time=100.0, rollout=uid, note="early", tags=("kept",))
        folder.mkdir()
        append_raw(folder / "ann@laptop.jsonl", late.model_dump_json().encode() + b"\n")
        store.ingest()
        append_raw(folder / "bob@login.jsonl", b"not json\n" + early.model_dump_json().encode() + b'\n{"torn')
        store.ingest()
        assert (store.rollout(uid).note, store.rollout(uid).tags) == ("late", ("kept",))
        (folder / "ann@laptop.jsonl").unlink()
        store.ingest()
        assert store.rollout(uid).note == "early"


def test_notes_may_come_before_their_rollouts(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    (rollout, *_) = make_rollouts(folder.key, [0])
    append_notes(lab.workspace, [Note(id="a", time=1.0, rollout=rollout.id, tags=("early",))])
    with open_store(lab.workspace) as store:
        store.ingest()
        append_raw(folder.path / "rollouts-train-001.jsonl", dumped(rollout))
        store.ingest()
        assert [row.noted for row in store.page(Query(parse("tag:early"))).rows] == [True]


def test_notes_travel_between_workspaces(filled: Lab, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with open_store(filled.workspace) as store:
        store.ingest()
        uid = store.page(Query(), limit=1).rows[0].id
        shutil.copytree(filled.workspace.path, copy, ignore=shutil.ignore_patterns("index"))
        store.annotate(uid, note="carried", tags=["x"])
        carried = store.annotations()
    from jobs.workspace import Workspace

    with open_store(Workspace(copy)) as store:
        store.ingest()
        store.write_annotations(carried)
        store.write_annotations(carried)
        assert (store.rollout(uid).note, store.rollout(uid).tags) == ("carried", ("x",))
        assert [json.loads(one.model_dump_json()) for one in store.annotations()] == [
            json.loads(one.model_dump_json()) for one in carried
        ]


def test_what_cannot_be_noted_is_refused(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        uid = store.page(Query(), limit=1).rows[0].id
        for tag in ("two words", "a:b", "", "x" * 61, 'q"'):
            with pytest.raises(InvalidInput, match="cannot be a tag"):
                store.annotate(uid, tags=[tag])
        with pytest.raises(NotFound):
            store.annotate("ffff-no-such", note="x")
        assert store.annotations() == []
