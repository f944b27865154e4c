"""People's annotations: a judge run of their own, in files that survive everything, in the index at once."""

import os
import signal
import subprocess
import sys

import pytest

from cogtui.store import Query, Store, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.user_data.annotations import (
    FOLDER,
    HumanAnnotation,
    append_annotations,
    find_overlap,
    human_judge_run,
    latest_annotations,
    new_annotation,
)
from jobs.append_log import own_file
from pipelines.errors import InvalidInput
from pipelines.records import Behavior, LabelledSpan
from tests.store.lab import Lab, append_raw, make_rollouts, write_rollouts

ANN, BOB = "ann@laptop", "bob@login"


def span(text: str, behavior: Behavior, start: int, end: int, **flags: bool) -> LabelledSpan:
    return LabelledSpan(behavior=behavior, start=start, end=end, quote=text[start:end], **flags)


def first(store: Store) -> tuple[str, str]:
    uid = store.page(Query(), limit=1).rows[0].id
    return uid, store.rollout(uid).completion


def says(store: Store, uid: str, annotator: str) -> dict[str, tuple[str, int | None, int]]:
    run = human_judge_run(annotator).id
    found = store.rollout(uid).judgements
    return {one.behavior: (one.status, one.count, len(one.spans)) for one in found if one.judge_run == run}


def test_a_person_is_a_judge_run_beside_the_others(store: Store) -> None:
    uid, text = first(store)
    before = store.rollout(uid)
    mine = (span(text, "verification", 0, 4), span(text, "verification", 6, 9, weak=True), span(text, "subgoal", 2, 8))
    store.write_human([new_annotation(uid, text, ANN, spans=mine)])
    store.write_human([new_annotation(uid, text, BOB, done=True)])
    after = store.rollout(uid)
    assert {one.id for one in after.judge_runs} == {one.id for one in before.judge_runs} | {
        human_judge_run(ANN).id,
        human_judge_run(BOB).id,
    }
    others = [one for one in after.judgements if not one.judge_run.startswith("human")]
    assert others == list(before.judgements)
    assert after.row.counts == before.row.counts
    # Weak ones are kept and not counted; what has no span is not judged before the trace is done, and zero after.
    assert says(store, uid, ANN) == {
        "verification": ("ok", 1, 2),
        "backtracking": ("unjudged", None, 0),
        "subgoal": ("ok", 1, 1),
        "backward_chaining": ("unjudged", None, 0),
    }
    assert set(says(store, uid, BOB).values()) == {("ok", 0, 0)}


def test_an_open_proposal_counts_nowhere(store: Store) -> None:
    uid, text = first(store)
    begun = new_annotation(
        uid, text, ANN, spans=(span(text, "subgoal", 0, 4),), open=(span(text, "subgoal", 5, 9),), basis="rules-1"
    )
    store.write_human([begun])
    assert says(store, uid, ANN)["subgoal"] == ("unjudged", None, 1)


def test_it_is_the_same_after_a_rebuild_and_from_the_files_alone(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        uid, text = first(store)
        one = new_annotation(uid, text, ANN, spans=(span(text, "backtracking", 1, 5),))
        two = new_annotation(uid, text, ANN, after=one, spans=(span(text, "subgoal", 1, 5),), done=True)
        store.write_human([one])
        store.write_human([two])
        now = says(store, uid, ANN)
        assert now["backtracking"] == ("ok", 0, 0)
    rebuild(filled.workspace)
    with open_store(filled.workspace) as store:
        assert says(store, uid, ANN) == now
        assert store.human(uid, ANN) == two
        assert store.human(uid, BOB) is None
    assert list(latest_annotations(filled.workspace)) == [two]


def test_the_latest_holds_in_whatever_order_files_are_read(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        uid, text = first(store)
        late = new_annotation(uid, text, ANN, done=True)
        early = HumanAnnotation(
            id="x", time=late.time - 9, annotator=ANN, rollout=uid, text_sha256=late.text_sha256,
            spans=(span(text, "subgoal", 0, 3),),
        )  # fmt: skip
        folder = filled.workspace.path / FOLDER
        folder.mkdir()
        append_raw(folder / "a.jsonl", late.model_dump_json().encode() + b"\n")
        store.ingest()
        append_raw(folder / "b.jsonl", b'{"no": 1}\n' + early.model_dump_json().encode() + b'\n{"torn')
        coverage = store.ingest()
        assert coverage.bad_lines == 1
        assert coverage.complete
        assert says(store, uid, ANN)["subgoal"] == ("ok", 0, 0)
        (folder / "a.jsonl").unlink()
        store.ingest()
        assert says(store, uid, ANN)["subgoal"] == ("ok", 1, 1)
        (folder / "b.jsonl").unlink()
        store.ingest()
        assert says(store, uid, ANN) == {}


def test_it_may_come_before_its_rollout_and_be_the_only_judge(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    (rollout, *_) = made = make_rollouts(folder.key, [0])
    append_annotations(lab.workspace, [new_annotation(rollout.id, rollout.completion, ANN, done=True)])
    with open_store(lab.workspace) as store:
        store.ingest()
        write_rollouts(folder, made)
        store.ingest()
        assert store.rollout(rollout.id).row.counts == (0, 0, 0, 0)
        assert store.count(Query(parse("verification:0"))) == 1
        # Taken back: nobody judged it, which is not zero.
        store.write_human([new_annotation(rollout.id, rollout.completion, ANN)])
        row = store.rollout(rollout.id).row
        assert (row.counts, row.judged) == ((None, None, None, None), "none")


def test_what_is_wrong_is_not_written(store: Store) -> None:
    uid, text = first(store)
    wrong = [
        (span(text, "subgoal", 0, 5), span(text, "subgoal", 4, 9)),
        (LabelledSpan(behavior="subgoal", start=0, end=3, quote="no!"),),
        (LabelledSpan(behavior="subgoal", start=0, end=len(text) + 1, quote=text + "x"),),
        (LabelledSpan(behavior="subgoal", quote="x", alignment="unaligned"),),
    ]
    for spans in wrong:
        with pytest.raises(InvalidInput):
            store.write_human([new_annotation(uid, text, ANN, spans=spans)])
    with pytest.raises(InvalidInput, match="another text"):
        store.write_human([new_annotation(uid, text + "x", ANN, done=True)])
    assert store.humans() == []
    assert (
        find_overlap((span(text, "subgoal", 0, 5), span(text, "subgoal", 5, 9), span(text, "verification", 2, 7)))
        is None
    )


def test_two_windows_do_not_overwrite_each_other(store: Store) -> None:
    uid, text = first(store)
    one = new_annotation(uid, text, ANN, spans=(span(text, "subgoal", 0, 5),))
    store.write_human([one], after=None)
    with pytest.raises(InvalidInput, match="elsewhere"):
        store.write_human([new_annotation(uid, text, ANN, done=True)], after=None)
    store.write_human([new_annotation(uid, text, ANN, after=one, done=True)], after=one.stamp)
    assert says(store, uid, ANN)["subgoal"] == ("ok", 0, 0)


def test_a_torn_line_is_ended_and_costs_nothing_else(store: Store) -> None:
    uid, text = first(store)
    path = own_file(store.workspace, FOLDER)
    path.parent.mkdir()
    path.write_bytes(b'{"v":1,"id":"torn","ti')
    store.write_human([new_annotation(uid, text, ANN, done=True)])
    assert says(store, uid, ANN)["subgoal"] == ("ok", 0, 0)
    assert store.coverage().bad_lines == 1


WRITE = """
import sys
from pathlib import Path
from cogtui.store import open_store
from cogtui.store.user_data.annotations import new_annotation
from jobs.workspace import Workspace
from pipelines.records import LabelledSpan
with open_store(Workspace(Path(sys.argv[1]))) as store:
    uid, before = sys.argv[2], None
    text = store.rollout(uid).completion
    for end in range(1, len(text)):
        span = LabelledSpan(behavior="subgoal", start=0, end=end, quote=text[:end])
        now = new_annotation(uid, text, "ann@laptop", after=before, spans=(span,))
        store.write_human([now], after=None if before is None else before.stamp)
        before = now
        print(end, flush=True)
"""


def test_what_was_saved_survives_a_kill(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        uid, text = first(store)
    command = [sys.executable, "-c", WRITE, str(filled.workspace.path), uid]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
    saved = int(said[-1])
    with open_store(filled.workspace) as store:
        store.ingest()
        (kept,) = store.humans()
        assert kept.spans[0].end in (saved, saved + 1)
        assert kept.spans[0].quote == text[: kept.spans[0].end]
        assert says(store, uid, ANN)["subgoal"] == ("ok", 1, 1)
