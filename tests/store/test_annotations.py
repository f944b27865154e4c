"""`cogtui annotations` and `cogtui agreement --judge human`: in and out in the gold format, new numbers at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cogtui.analysis.agreement.sources import human_runs
from cogtui.cli.main import _dispatch
from cogtui.store import Query, open_store
from cogtui.store.importing.opening import read_files
from cogtui.store.user_data.annotations import ADJUDICATED, latest_annotations, new_annotation
from cogtui.store.user_data.final_labels import final_labels
from pipelines.behaviors.gold import GoldTrace, read_gold, write_gold
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import LabelledSpan
from tests.store.lab import Lab

ANN, BOB = "ann@laptop", "bob@login"


def cogtui(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert _dispatch([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def annotate(lab: Lab, annotator: str = ANN, *, unfinished: bool = True) -> list[str]:
    """Two traces with spans at the rules' own places, one of them not done; one done and empty."""
    with open_store(lab.workspace) as store:
        store.ingest()
        ids = [row.id for row in store.page(Query(), limit=3).rows]
        for place, uid in enumerate(ids):
            detail = store.rollout(uid)
            spans = tuple(
                LabelledSpan(behavior=one.behavior, **span.model_dump())
                for one in detail.judgements
                for span in one.spans
                if one.judge_run.startswith("rules") and span.start is not None
            )
            done = place != 1 or not unfinished
            mine = () if place == 2 else spans
            store.write_human([new_annotation(uid, detail.completion, annotator, spans=mine, done=done)])
    return ids


def test_export_and_import_are_inverse(filled: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = annotate(filled)
    place, out = ("--workspace", str(filled.workspace.path)), tmp_path / "gold.jsonl"
    answer = cogtui(capsys, "annotations", "export", str(out), *place)
    assert (answer["data"]["traces"], answer["data"]["left_out"]) == (2, 1)
    assert "--unfinished" in answer["warnings"][-1]
    assert {trace.id for trace in read_gold(out)} == {ids[0], ids[2]}
    cogtui(capsys, "annotations", "export", str(out), "--unfinished", *place)
    before = cogtui(capsys, "annotations", *place)["data"]
    assert [one["done"] for one in before].count(True) == 2
    # Importing it again changes nothing; for another annotator it is new.
    assert cogtui(capsys, "annotations", "import", str(out), *place)["data"]["taken"] == 0
    assert cogtui(capsys, "annotations", "import", str(out), "--annotator", BOB, *place)["data"]["taken"] == 3
    after = cogtui(capsys, "annotations", *place)["data"]
    strip = ("time", "annotator")
    assert [{k: v for k, v in one.items() if k not in strip} for one in after if one["annotator"] == BOB] == [
        {k: v for k, v in one.items() if k not in strip} for one in before
    ]
    # Now two people: one has to be named.
    assert "2 people" in cogtui(capsys, "annotations", "export", str(out), *place, code=2)["error"]["summary"]
    assert cogtui(capsys, "annotations", "export", str(out), "--annotator", BOB, *place)["data"]["traces"] == 2
    assert cogtui(capsys, "annotations", "export", str(out), "--annotator", "eve", *place, code=4)["error"]


def test_import_takes_what_fits_and_says_what_does_not(
    filled: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (uid, *_) = annotate(filled)
    place, file = ("--workspace", str(filled.workspace.path)), tmp_path / "in.jsonl"
    with open_store(filled.workspace) as store:
        detail = store.rollout(uid)
    row, text = detail.row, detail.completion
    mine = GoldTrace(id=uid, task=row.task, problem=dict(row.problem), text=text, annotator=ANN)
    elsewhere = mine.model_copy(update={"id": "a-name-from-elsewhere", "annotator": BOB})
    stranger = mine.model_copy(update={"id": "stranger", "text": "not here"})
    write_gold(file, [mine, elsewhere, stranger])
    answer = cogtui(capsys, "annotations", "import", str(file), *place)
    assert answer["data"] == {"read": 3, "taken": 1, "kept": 1, "absent": 1}
    cogtui(capsys, "annotations", "import", str(file), "--replace", *place)
    with open_store(filled.workspace) as store:
        assert [one.spans for one in store.humans() if one.rollout == uid] == [(), ()]
    span = LabelledSpan(behavior="subgoal", start=0, end=4, quote=text[:4])
    other = LabelledSpan(behavior="subgoal", start=2, end=6, quote=text[2:6])
    write_gold(file, [mine.model_copy(update={"spans": (span, other)})])
    error = cogtui(capsys, "annotations", "import", str(file), *place, code=2)["error"]
    assert "subgoal spans overlap" in error["summary"]


def test_import_names_texts_that_changed_and_people_of_one_name(
    filled: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (uid, *_) = annotate(filled)
    place, file = ("--workspace", str(filled.workspace.path)), tmp_path / "in.jsonl"
    with open_store(filled.workspace) as store:
        detail = store.rollout(uid)
    row, text = detail.row, detail.completion
    gold = GoldTrace(id=uid, task=row.task, problem=dict(row.problem), text=f"{text} More.", annotator=BOB)
    write_gold(file, [gold])
    answer = cogtui(capsys, "annotations", "import", str(file), *place)
    assert answer["data"]["absent"] == 1
    assert any("the id of a rollout with another text" in warning for warning in answer["warnings"])
    # Another ann, who annotated later: what the first one said stays in the files, and the import says so.
    span = LabelledSpan(behavior="subgoal", start=0, end=4, quote=text[:4])
    later = gold.model_copy(update={"text": text, "annotator": ANN, "spans": (span,), "annotated": 4e9})
    write_gold(file, [later])
    answer = cogtui(capsys, "annotations", "import", str(file), *place)
    assert answer["data"]["taken"] == 1
    assert any(f"if {ANN} of in.jsonl is another person" in warning for warning in answer["warnings"])
    with open_store(filled.workspace) as store:
        first = [one for one in store.humans() if one.rollout == uid]
    assert [one.spans for one in first] == [(span,)]
    lines = "".join(path.read_text() for path in (filled.workspace.path / "annotations").glob("*.jsonl"))
    assert lines.count(uid) == 2
    # Final labels are decided, not imported.
    write_gold(file, [later.model_copy(update={"annotator": "adjudicated"})])
    error = cogtui(capsys, "annotations", "import", str(file), *place, code=2)["error"]
    assert "the name of final labels" in error["summary"]


def test_a_person_is_compared_like_any_judge(filled: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = annotate(filled)
    place = ("--workspace", str(filled.workspace.path))
    data = cogtui(capsys, "agreement", "--judge", "human", "--judge", "rules-aaaaaaaaaaaa", *place)["data"]
    assert (data["reference"], data["judge"], data["traces"]) == ("human", "rules", 3)
    # The trace that is not done counts where it has spans, and nowhere else.
    with open_store(filled.workspace) as store:
        unfinished = store.rollout(ids[1])
        have = {one.behavior for one in unfinished.judgements if one.judge_run == "rules-aaaaaaaaaaaa" and one.spans}
    assert data["compared"] == {behavior: 3 if behavior in have else 2 for behavior in BEHAVIORS}
    assert cogtui(capsys, "agreement", "--judge", "human", "--judge", "rules", *place)["data"]["traces"] == 3
    # New numbers as soon as something changed.
    annotate(filled, unfinished=False)
    again = cogtui(capsys, "agreement", "--judge", "human", "--judge", "rules-aaaaaaaaaaaa", *place)["data"]
    assert set(again["compared"].values()) == {3}
    annotate(filled, BOB)
    error = cogtui(capsys, "agreement", "--judge", "human", "--judge", "rules", *place, code=2)["error"]
    assert f"human:{BOB}" in error["detail"]
    both = cogtui(capsys, "agreement", "--judge", f"human:{ANN}", "--judge", f"human:{BOB}", *place)["data"]
    assert (both["reference"], both["judge"]) == (f"human:{ANN}", f"human:{BOB}")
    # A gold file that is not finished is not taken for zero either.
    out = tmp_path / "gold.jsonl"
    cogtui(capsys, "annotations", "export", str(out), "--annotator", BOB, "--unfinished", *place)
    gold = cogtui(capsys, "agreement", "--gold", str(out), "--judge", f"human:{BOB}", *place)["data"]
    assert gold["compared"] == data["compared"]
    assert gold["disagreements"] == []


def test_what_is_annotated_in_an_opened_file_outlives_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    rows = tmp_path / "rollouts.jsonl"
    row = {"input": "Use 3, 5, 4 to make 32.", "output": "3 + 5 = 8, not 32.", "score": 0.0, "step": 1}
    rows.write_text(json.dumps(row) + "\n")
    workspace = read_files([rows])
    with open_store(workspace) as store:
        store.ingest()
        (found,) = store.page(Query(), limit=5).rows
        text = store.rollout(found.id).completion
        span = LabelledSpan(behavior="verification", start=11, end=17, quote=text[11:17])
        store.write_human([new_annotation(found.id, text, ANN, spans=(span,), done=True)])
    shutil.rmtree(workspace.path)
    (listed,) = cogtui(capsys, "annotations", "--file", str(rows))["data"]
    assert (listed["annotator"], listed["counts"]["verification"]) == (ANN, 1)
    out = tmp_path / "gold.jsonl"
    cogtui(capsys, "annotations", "export", str(out), "--file", str(rows))
    assert read_gold(out)[0].spans == (span,)


def test_final_labels_are_a_reference_like_any_other(filled: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    ids = annotate(filled, ANN, unfinished=False)
    place = ("--workspace", str(filled.workspace.path))
    with open_store(filled.workspace) as store:
        # Bob saw nothing in the first trace, and nobody decided; in the second eve decided that he was right.
        texts = {uid: store.rollout(uid).completion for uid in ids}
        store.write_human([new_annotation(uid, texts[uid], BOB, done=True) for uid in ids[:2]])
        decided = new_annotation(ids[1], texts[ids[1]], ADJUDICATED, done=True, adjudicator="eve@desk")
        store.write_human([decided])
    data = cogtui(capsys, "agreement", "--judge", "labels", "--judge", f"human:{ANN}", *place)["data"]
    assert data["traces"] == 2  # the first waits for a decision
    assert data["counts"]["verification"]["n"] == 2
    rows = cogtui(capsys, "annotations", *place)["data"]
    assert [row["adjudicator"] for row in rows if row["annotator"] == ADJUDICATED] == ["eve@desk"]
    # `human` still means the one person who annotated, whatever was decided since.
    for path in (filled.workspace.path / "annotations").glob("*.jsonl"):
        path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if BOB not in line))
    assert cogtui(capsys, "agreement", "--judge", "human", "--judge", "rules", *place)["data"]["reference"] == "human"


def test_an_annotator_of_5000_characters_is_refused_in_one_line(
    filled: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (uid, *_) = annotate(filled)
    place, file = ("--workspace", str(filled.workspace.path)), tmp_path / "in.jsonl"
    with open_store(filled.workspace) as store:
        detail = store.rollout(uid)
    gold = GoldTrace(id=uid, task=detail.row.task, problem=dict(detail.row.problem), text=detail.completion)
    for named, option in (("", ("--annotator", "a" * 5000)), ("a" * 5000, ())):
        write_gold(file, [gold.model_copy(update={"annotator": named})])
        error = cogtui(capsys, "annotations", "import", str(file), *option, *place, code=2)["error"]
        assert "annotator: a name of 5,000 characters" in error["summary"]
        assert len(error["summary"]) < 400
    assert cogtui(capsys, "annotations", "import", str(file), "--annotator", "a" * 200, *place)["data"]["taken"] == 1


def test_lines_appended_by_hand_that_do_not_fit_are_named_and_count_nowhere(
    filled: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--workspace", str(filled.workspace.path))
    with open_store(filled.workspace) as store:
        store.ingest()
        detail = store.rollout(store.page(Query(), limit=1).rows[0].id)
    uid, text = detail.row.id, detail.completion
    span = {"behavior": "subgoal", "start": 0, "end": 4, "quote": text[:4]}

    def line(who: str, **changes: object) -> dict[str, Any]:
        good = new_annotation(uid, text, who, done=True).model_dump(mode="json", exclude_defaults=True)
        return good | {"annotator": who, "done": True, "spans": [span], **changes}

    lines = [
        line("good"),
        line("quote", spans=[span | {"quote": "none"}]),
        line("digest", text_sha256="0" * 64),
        line("twice", spans=[span, span]),
        {("span" if name == "spans" else name): value for name, value in line("key").items()},
        line("torn"),
    ]
    folder = filled.workspace.path / "annotations"
    folder.mkdir()
    (folder / "hand.jsonl").write_text("\n".join(map(json.dumps, lines)))
    answer = cogtui(capsys, "annotations", *place)
    listed = {one["annotator"]: (one["done"], one["not_counted"]) for one in answer["data"]}
    assert listed.keys() == {"good", "quote", "digest"}
    assert listed["good"] == (True, None)
    assert not listed["quote"][0]
    assert "is not the quote" in listed["quote"][1]
    assert not listed["digest"][0]
    assert "another text" in listed["digest"][1]
    for wanted in ("line 4 is not counted: two subgoal spans overlap", "line 5 is not counted: span: unknown field",
                   "line 6 is not counted: the last line has no newline"):  # fmt: skip
        assert sum(f"annotations/hand.jsonl, {wanted}" in warning for warning in answer["warnings"]) == 1
    assert _dispatch(["annotations", *place]) == 0
    printed = capsys.readouterr()
    assert "not counted: the annotation of" in printed.out
    assert "1 trace annotated, 1 of them done, 2 not counted" in printed.err

    # The index, the final labels, agreement and corrections count the same one.
    with open_store(filled.workspace) as store:
        people = {run.params["annotator"] for run in store.rollout(uid).judge_runs if run.judge == "human"}
        label = store.final_labels()[uid]
    assert people == {"good"}
    assert [one.annotator for one in label.annotations] == ["good"]
    (run,) = human_runs(filled.workspace)
    assert run.run.params["annotator"] == "good"
    fits = final_labels(latest_annotations(filled.workspace))[uid].of_text(text)
    assert fits is not None
    assert [one.annotator for one in fits.annotations] == ["good"]
    assert fits.of_text("another") is None
