"""What is on disk is in the index: once, whole, and whatever happened in between."""

import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from cogtui.store import END, Query, Store, open_store
from cogtui.store.db.schema import BULK_INDEXES
from cogtui.store.filter.parser import parse
from cogtui.store.ingest import ingest
from cogtui.store.ingest import parse as parsing
from cogtui.store.ingest.rebuild import rebuild
from cogtui.store.values.types import Sort
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Rollout
from tests.store.lab import (
    OTHER,
    RULES,
    Lab,
    append_raw,
    dumped,
    judge,
    make_rollouts,
    spans_of,
    write_judgements,
    write_rollouts,
)


def all_ids(store: Store, text: str = "") -> list[str]:
    return [row.id for row in store.page(Query(parse(text)), limit=10_000).rows]


def test_every_rollout_is_there_with_its_fields(store: Store, filled: Lab) -> None:
    folder = filled.workspace.find("ppo-000000000003")
    expected = {one.id: one for one in make_rollouts(folder.key, range(0, 30, 10))}
    rows = {row.id: row for row in store.page(Query(), limit=10_000).rows}
    assert len(rows) == 4 * (3 + 1) * 8
    for uid, rollout in expected.items():
        row = rows[uid]
        assert (row.step, row.split, row.problem_id, row.sample) == (
            rollout.step, rollout.split, rollout.problem_id, rollout.sample
        )  # fmt: skip
        assert (row.task, row.problem, row.reward, row.correct) == (
            rollout.task, rollout.problem, rollout.reward, rollout.correct
        )  # fmt: skip
        assert (row.finish_reason, row.n_tokens, row.length) == (
            rollout.finish_reason, rollout.n_tokens, len(rollout.completion)
        )  # fmt: skip
        assert (row.condition, row.seed, row.kind, row.stage) == ("all_strategies", 1, "ppo", folder.key)


def test_counts_are_those_of_the_judge_and_missing_is_not_zero(store: Store, filled: Lab) -> None:
    key = filled.workspace.find("ppo-000000000001").key
    rollouts = make_rollouts(key, range(0, 30, 10))
    rows = {row.id: row for row in store.page(Query(parse(f"stage:{key} split:train")), limit=100).rows}
    for index, rollout in enumerate(rollouts):
        expected = [len(spans_of(rollout.completion, behavior)) for behavior in BEHAVIORS]
        row = rows[rollout.id]
        if index == 5:
            assert row.counts == (expected[0], expected[1], None, expected[3])
            assert row.judged == "partial"
        else:
            assert list(row.counts) == expected
            assert row.judged == "ok"
    unjudged = store.page(Query(parse("seed:2 condition:all_strategies split:train")), limit=100).rows
    assert len(unjudged) == 24
    assert all(row.counts == (None,) * 4 and row.judge is None and row.judged == "none" for row in unjudged)


def test_spans_quote_the_text(store: Store) -> None:
    seen = 0
    for row in store.page(Query(parse("has:judged")), limit=100).rows:
        detail = store.rollout(row.id)
        for one in detail.judgements:
            assert not one.stale
            for span in one.spans:
                assert detail.completion[span.start : span.end] == span.quote
                seen += 1
    assert seen > 100


def test_a_second_ingest_changes_nothing(store: Store) -> None:
    before = (all_ids(store), store.coverage())
    store.ingest()
    assert (all_ids(store), store.coverage()) == before


def test_a_torn_tail_waits_and_a_bad_line_is_counted_and_named(lab: Lab) -> None:
    folder = lab.stage("ppo", 1, {"condition": "none", "seed": 1})
    first, second, third = make_rollouts(folder.key, [0])[:3]
    path = folder.path / "rollouts-train-001.jsonl"
    append_raw(path, dumped(first) + b'{"id": "x", "step": "three"}\n' + b"\xff\xfe nonsense\n" + dumped(second)[:50])
    with open_store(lab.workspace) as store:
        coverage = store.ingest()
        assert (coverage.rollouts, coverage.bad_lines) == (1, 2)
        assert not coverage.complete
        bad = list(store.bad_lines())
        assert [one.byte for one in bad] == [len(dumped(first)), len(dumped(first)) + 29]
        assert all(one.file == str(path) and one.reason for one in bad)
        append_raw(path, dumped(second)[50:] + dumped(third))
        coverage = store.ingest()
        assert (coverage.rollouts, coverage.bad_lines, coverage.complete) == (3, 2, True)
        assert set(all_ids(store)) == {first.id, second.id, third.id}


@pytest.mark.parametrize("whole_lines", [True, False])
def test_a_file_of_a_finished_stage_that_cannot_be_read_once_is_read_again(
    lab: Lab, whole_lines: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what a disk error hid counts as an unfinished line for ever, and the index lacks it without a word."""
    folder = lab.stage("ppo", 1, {"condition": "none", "seed": 1})
    made = make_rollouts(folder.key, [0])[:3]
    tail = b"" if whole_lines else b'{"id": "torn'
    append_raw(folder.path / "rollouts-train-001.jsonl", b"".join(map(dumped, made)) + tail)
    folder.write_result({})

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with open_store(lab.workspace) as store:
        with monkeypatch.context() as patch:
            patch.setattr(parsing, "read_blocks", fails)
            assert store.ingest().rollouts == 0
        coverage = store.ingest()
        assert (coverage.rollouts, coverage.complete) == (3, True)


def test_the_first_record_of_an_id_holds(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    (rollout, *_) = make_rollouts(folder.key, [0])
    append_raw(folder.path / "rollouts-train-001.jsonl", dumped(rollout))
    again = rollout.model_copy(update={"completion": "something else entirely", "reward": 0.1})
    append_raw(folder.path / "rollouts-train-002.jsonl", dumped(again) + dumped(again))
    with open_store(lab.workspace) as store:
        assert store.ingest().rollouts == 1
        assert store.rollout(rollout.id).completion == rollout.completion
        assert all_ids(store, 'text:"entirely"') == []


def test_judgements_may_come_before_their_rollouts_and_one_by_one(lab: Lab) -> None:
    folder, judged = lab.stage("ppo", 1), lab.judge_stage(2)
    rollouts = make_rollouts(folder.key, [0])
    lines = [one for rollout in rollouts for one in judge(rollout)]
    with open_store(lab.workspace) as store:
        write_judgements(judged, lines[::2])
        coverage = store.ingest()
        assert (coverage.rollouts, coverage.orphans) == (0, len(lines[::2]))
        write_rollouts(folder, rollouts)
        assert store.ingest().orphans == 0
        half = store.page(Query(), limit=100).rows
        assert all(row.judged == "partial" and row.counts[0] is not None and row.counts[1] is None for row in half)
        write_judgements(judged, lines[1::2])
        store.ingest()
        for row, rollout in zip(
            sorted(half, key=lambda row: row.id), sorted(rollouts, key=lambda one: one.id), strict=True
        ):
            detail = store.rollout(row.id)
            assert [len(spans_of(rollout.completion, behavior)) for behavior in BEHAVIORS] == list(detail.row.counts)
        whole = [store.count(Query(parse(f"{a}->{b}<60"))) for a in BEHAVIORS for b in BEHAVIORS]
    rebuild(lab.workspace)
    with open_store(lab.workspace) as store:
        assert [store.count(Query(parse(f"{a}->{b}<60"))) for a in BEHAVIORS for b in BEHAVIORS] == whole
        assert sum(whole) > 0


def test_the_rules_judge_is_shown_whichever_judge_was_read_first(lab: Lab) -> None:
    folder, other, rules = lab.stage("ppo", 1), lab.judge_stage(2, OTHER), lab.judge_stage(3, RULES)
    (rollout, *_) = make_rollouts(folder.key, [0])
    write_rollouts(folder, [rollout])
    only_one = [one.model_copy(update={"count": 17, "spans": ()}) for one in judge(rollout, OTHER)]
    with open_store(lab.workspace) as store:
        write_judgements(other, only_one)
        store.ingest()
        assert store.rollout(rollout.id).row.counts == (17, 17, 17, 17)
        write_judgements(rules, judge(rollout))
        store.ingest()
        detail = store.rollout(rollout.id)
        assert detail.row.judge == RULES.id
        assert detail.row.counts != (17, 17, 17, 17)
        assert [run.id for run in detail.judge_runs] == [RULES.id, OTHER.id]
        assert len(detail.judgements) == 8


def test_a_replaced_file_replaces_its_rollouts_and_keeps_their_judgements(lab: Lab) -> None:
    folder, judged = lab.stage("ppo", 1), lab.judge_stage(2)
    rollouts = make_rollouts(folder.key, [0, 10])
    write_rollouts(folder, rollouts)
    write_judgements(judged, [one for rollout in rollouts for one in judge(rollout)])
    path = folder.path / "rollouts-train-001.jsonl"
    with open_store(lab.workspace) as store:
        store.ingest()
        before = {row.id: row.counts for row in store.page(Query(), limit=100).rows}
        path.unlink()
        append_raw(path, b"".join(map(dumped, rollouts[::-1])))
        store.ingest()
        assert {row.id: row.counts for row in store.page(Query(), limit=100).rows} == before
        path.write_bytes(dumped(rollouts[0]))
        store.ingest()
        assert all_ids(store) == [rollouts[0].id]
        assert store.count(Query(parse("text:begin"))) == 1


def test_a_deleted_stage_takes_its_rollouts_along(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        shutil.rmtree(filled.workspace.find("ppo-000000000001").path)
        store.ingest()
        assert len(all_ids(store)) == 3 * 32
        assert store.count(Query(parse("condition:none seed:1"))) == 0
        assert {one.condition for one in store.per_step()} == {"none", "all_strategies"}
        assert all(one.seed == 2 for one in store.per_step() if one.condition == "none")


def test_a_judge_stage_that_goes_takes_its_counts_along(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        assert store.count(Query(parse("has:judged"))) == 72
        shutil.rmtree(filled.workspace.find("judge-").path)
        store.ingest()
        assert store.count(Query(parse("has:judged"))) == 0
        assert store.count(Query(parse("verification->backtracking"))) == 0


def test_priming_traces_are_rollouts_of_their_own_split(lab: Lab) -> None:
    folder = lab.stage("priming_data", 1, {"condition": "all_strategies"})
    text = "That gives 3, which is not 4. So let me try a different pair."
    line = {
        "id": "trace-1", "problem_id": "3-7_21", "condition": "all_strategies", "teacher": "symbolic",
        "numbers": [3, 7], "target": 21, "prompt": "p", "completion": text, "reward": 1.0, "correct": True,
        "answer": "3 * 7", "meta": {},
        "spans": [
            {"behavior": "verification", "start": 0, "end": 29, "quote": text[:29]},
            {"behavior": "backtracking", "start": 30, "end": len(text), "quote": text[30:]},
        ],
    }  # fmt: skip
    unlabelled = {**line, "id": "trace-2", "teacher": "human", "spans": []}
    (folder.artifacts / "traces.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(unlabelled)}\n")
    with open_store(lab.workspace) as store:
        store.ingest()
        detail = store.rollout("trace-1")
        assert (detail.row.split, detail.row.counts, detail.row.n_tokens) == ("priming", (1, 1, 0, 0), None)
        assert detail.row.judge == "teacher-symbolic"
        assert [span.quote for one in detail.judgements for span in one.spans] == [text[:29], text[30:]]
        assert store.rollout("trace-2").row.counts == (None,) * 4
        assert all_ids(store, "split:priming verification->backtracking<2") == ["trace-1"]


QUESTIONS = (
    "", "condition:a correct:true", "backtracking>=2", "NOT correct:true OR seed:7", 'text:"different pair"',
    "verification->backtracking<80", "has:failed", "step:10,20 reward<1", "problem:2", "split:test", "finish:length",
)  # fmt: skip


def answers(store: Store) -> str:
    """Everything a list of questions is answered with, but for what is not promised to last (arrival)."""
    found: list[object] = []
    for text in QUESTIONS:
        for sort in (Sort(), Sort("reward", True), Sort("condition"), Sort("backtracking"), Sort("problem", True)):
            query = Query(parse(text), sort)
            rows = store.page(query, limit=10_000).rows
            found.append([[row.id, row.counts, row.judge, row.reward, row.condition] for row in rows])
            found.append([row.id for row in store.page(query, before=END, limit=7).rows])
            found.append(store.count(query))
        found.append([repr(group) for group in store.problems(Query(parse(text)), sort="mean").rows])
        found.append(repr(store.histogram(Query(parse(text)), "reward")))
        found.append(repr(store.per_step(parse(text))))
    return json.dumps(found)


def test_a_rebuilt_index_answers_the_same_to_the_byte(lab: Lab) -> None:
    """The first index grows bit by bit, in an order that has nothing to do with the order of a rebuild."""
    shuffled = random.Random(4)
    folders = [lab.stage("ppo", number, {"condition": name, "seed": number}) for number, name in ((7, "b"), (2, "a"))]
    judged = lab.judge_stage(5)
    rollouts = {folder.key: make_rollouts(folder.key, range(0, 40, 10)) for folder in folders}
    batches: list[tuple[str, list[Rollout]]] = [
        (key, rows[at : at + 8]) for key, rows in rollouts.items() for at in range(0, 32, 8)
    ]
    by_key = {folder.key: folder for folder in folders}
    with open_store(lab.workspace) as store:
        for at in shuffled.sample(range(len(batches)), len(batches)):
            key, rows = batches[at]
            if at % 2:
                write_judgements(judged, [one for row in rows for one in judge(row)])
            write_rollouts(by_key[key], rows)
            store.ingest()
            if not at % 2:
                write_judgements(judged, [one for row in rows for one in judge(row)])
        store.ingest()
        grown = answers(store)
    rebuild(lab.workspace)
    with open_store(lab.workspace) as store:
        assert answers(store) == grown
    shutil.rmtree(lab.workspace.path / "index")
    with open_store(lab.workspace) as store:
        store.ingest()
        assert answers(store) == grown


def test_lone_surrogates_nul_and_bidi_do_not_hurt(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    (rollout, *_) = make_rollouts(folder.key, [0])
    hostile = "a\ud800b \x00 needle \u202e [/b] \x1b[31m \r\n😀 tail"
    record = {**rollout.model_dump(mode="json"), "completion": hostile, "problem_id": "p\udfff"}
    append_raw(folder.path / "rollouts-train-001.jsonl", json.dumps(record).encode() + b"\n")
    with open_store(lab.workspace) as store:
        assert store.ingest().bad_lines == 0
        assert all_ids(store, "text:needle") == [rollout.id]
        assert all_ids(store, "text:tail") == [rollout.id]
        detail = store.rollout(rollout.id)
        assert detail.completion == hostile
        assert detail.row.length == len(hostile)


def test_numbers_too_large_for_the_index_are_bad_lines(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    (rollout, *_) = make_rollouts(folder.key, [0])
    for change in ({"step": 10**30}, {"reward": float("nan")}, {"numbers": [2**80]}, {"reward": float("inf")}):
        record = {**rollout.model_dump(mode="json"), **change}
        append_raw(folder.path / "rollouts-train-001.jsonl", json.dumps(record).encode() + b"\n")
    with open_store(lab.workspace) as store:
        coverage = store.ingest()
        assert (coverage.rollouts, coverage.bad_lines) == (0, 4)


def test_metrics_are_read_by_step(lab: Lab) -> None:
    folder = lab.stage("ppo", 1)
    append_raw(folder.path / "metrics-train-001.jsonl", b'{"step": 2, "values": {"kl": 0.5, "loss": 1.0}}\n')
    append_raw(folder.path / "metrics-eval-001.jsonl", b'{"step": 2, "values": {"accuracy": 0.25}}\n')
    with open_store(lab.workspace) as store:
        store.ingest()
        (metric,) = store.metrics(folder.key)
        assert (metric.step, metric.values) == (2, {"accuracy": 0.25, "kl": 0.5, "loss": 1.0})


def test_a_workspace_that_does_not_exist_is_empty_until_it_does(tmp_path: Path) -> None:
    from jobs.workspace import Workspace

    workspace = Workspace(tmp_path / "later")
    with open_store(workspace) as store:
        assert store.ingest().rollouts == 0
        assert store.page(Query()).rows == ()
        assert not workspace.path.exists()
        workspace.create()
        folder = Lab(workspace).stage("ppo", 1)
        write_rollouts(folder, make_rollouts(folder.key, [0]))
        assert store.ingest().rollouts == 8


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_workspace_of_somebody_else_is_indexed_in_the_cache(
    filled: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    filled.workspace.path.chmod(0o555)
    with open_store(filled.workspace) as store:
        assert store.ingest().rollouts == 128
        assert store.path is not None
        assert store.path.is_relative_to(tmp_path / "cache")


def test_a_bulk_load_says_the_same_and_survives_the_loss_of_its_second_process(
    filled: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        expected = answers(store)
    monkeypatch.setattr(ingest, "BULK_BYTES", 0)
    monkeypatch.setattr(ingest, "FIRST_BYTES", 2000)
    monkeypatch.setattr(ingest, "CHUNK_BYTES", 5000)
    shutil.rmtree(filled.workspace.path / "index")
    with open_store(filled.workspace) as store:
        store.ingest()
        assert answers(store) == expected
        assert store.path
        with contextlib.closing(sqlite3.connect(store.path)) as database:
            (missing,) = database.execute(
                "SELECT count(*) FROM sqlite_master WHERE name LIKE 'rollout_by_%'"
            ).fetchone()
        assert missing == len(BULK_INDEXES) + 1
    shutil.rmtree(filled.workspace.path / "index")
    (tmp_path / "sitecustomize.py").write_text(_DIES_IN_THE_FOURTH_CHUNK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with open_store(filled.workspace) as store:
        store.ingest()
        assert answers(store) == expected
    assert (tmp_path / "died").exists()


_DIES_IN_THE_FOURTH_CHUNK = """
import os, signal, sys

class Dying:
    def __init__(self, stream):
        self.buffer, self._stream, self._writes = self, stream, 0

    def write(self, data):
        self._writes += 1
        self._stream.write(data if self._writes < 8 else data[:100])
        if self._writes == 8:  # two writes a chunk: its length, then its bytes
            self._stream.flush()
            open(os.path.join(os.path.dirname(__file__), "died"), "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    def flush(self):
        self._stream.flush()

if any("fts_process" in part for part in sys.orig_argv):
    sys.stdout = Dying(sys.stdout.buffer)
"""


def test_a_bulk_load_whose_first_file_is_tiny_gives_no_serial_out_twice(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rollouts are read here and written later; those of the second process are numbered meanwhile."""
    monkeypatch.setattr(ingest, "BULK_BYTES", 0)
    small, large = lab.stage("ppo", 1), lab.stage("ppo", 2)
    few = [one.model_copy(update={"completion": "onlyhere"}) for one in make_rollouts(small.key, [0], problems=3)]
    many = make_rollouts(large.key, range(30), problems=50, samples=2)  # words of more than one transaction
    write_rollouts(small, few)
    write_rollouts(large, [one.model_copy(update={"completion": f"{one.completion} onlythere " * 40}) for one in many])
    with open_store(lab.workspace) as store:
        store.ingest()
        assert sorted(all_ids(store)) == sorted(one.id for one in [*few, *many])
        counted = [store.count(Query(parse(text))) for text in ("text:onlyhere", "text:onlythere")]
        assert counted == [len(few), len(many)]
        assert store.count(Query(parse("text:onlyhere text:onlythere"))) == 0


def test_a_store_goes_on_after_another_process_has_built_the_index_again(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        query = Query(parse("condition:all_strategies"))
        expected = [group.problem_id for group in store.problems(query, sort="mean").rows]
        assert expected
        rebuild(filled.workspace)
        assert [group.problem_id for group in store.problems(query, sort="mean").rows] == expected
