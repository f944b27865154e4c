"""Files of other programs, in their own layouts, become the rollouts they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.rollouts.import_ import finish
from cogtui.store import Query, RolloutDetail, Store, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.importing import run as import_run
from cogtui.store.importing.opening import open_files
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import ImportRunningError, run_import
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, NotFound
from pipelines.streams import read_rollouts
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts

PROMPT = "Using the numbers [44, 19, 35], create an equation that equals 98. Show your work."
RIGHT = "<think>44 + 19 = 63. That gives 63, which is not 98.</think>\n<answer>44 + 19 + 35</answer>"
WRONG = "<think>44 - 19 = 25</think>\n<answer>44 - 19</answer>"


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(lab: Lab, *paths: Path, **options: Any) -> list[RolloutDetail]:
    """All rollouts of an import, in the order of their files."""
    plan = plan_import(paths, **options)
    finish(run_import(plan, lab.workspace))
    # What is written is what any stage writes: whole records.
    written = list(read_rollouts(lab.workspace.folder(plan.key).path))
    with open_store(lab.workspace) as store:
        assert store.ingest().bad_lines == 0
        rows = store.page(Query(parse(f"stage:{plan.key}")), limit=10_000).rows
        assert len(rows) == len(written)
        return list(store.rollouts(row.id for row in rows))


def test_a_verl_dump(lab: Lab, tmp_path: Path) -> None:
    dump = tmp_path / "rollouts"
    dump.mkdir()
    for step in (2, 10, 1):
        lines(dump / f"{step}.jsonl", [
            {"input": f"user\n{PROMPT}", "output": text, "gts": {"target": 98, "numbers": [44, 19, 35]},
             "score": score, "step": step, "acc": score == 1.0, "request_id": f"r{step}"}
            for text, score in ((RIGHT, 1.0), (WRONG, 0.1))
        ])  # fmt: skip
    details = imported(lab, dump, labels={"condition": "dots", "seed": 3})
    assert [one.row.step for one in details] == [1, 1, 2, 2, 10, 10]
    first, second = details[:2]
    assert (first.completion, first.prompt, first.row.reward, first.row.correct) == (
        RIGHT,
        f"user\n{PROMPT}",
        1.0,
        True,
    )
    assert (first.row.problem["numbers"], first.row.problem["target"], first.row.problem_id) == (
        [44, 19, 35],
        98,
        "19-35-44_98",
    )
    assert (first.row.condition, first.row.seed, first.row.kind) == ("dots", 3, "import")
    assert (first.row.sample, second.row.sample) == (0, 1)
    assert (second.answer, second.row.correct, second.row.reward) == ("44 - 19", False, 0.1)
    assert set(first.meta["worked_out"]) >= {"numbers", "target", "answer", "problem_id", "sample"}
    assert "correct" not in first.meta["worked_out"]  # `acc` states it
    assert "columns" not in first.meta
    assert first.meta["source_id"] == "r1"
    assert first.row.n_tokens is None
    assert first.row.finish_reason == "unknown"


def test_trl_parquet_with_messages_and_several_rewards(lab: Lab, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({
        "step": [5, 5],
        "prompt": [[{"role": "system", "content": "Think."}, {"role": "user", "content": PROMPT}]] * 2,
        "completion": [[{"role": "assistant", "content": RIGHT}], [{"role": "assistant", "content": WRONG}]],
        "answer_reward": [1.0, 0.0],
        "format_reward": [0.5, 0.5],
        "advantage": [0.7, -0.7],
    })  # fmt: skip
    path = tmp_path / "completions_00005.parquet"
    parquet.write_table(table, path)
    right, wrong = imported(lab, path)
    assert right.completion == RIGHT
    assert right.prompt == f"[system]\nThink.\n\n[user]\n{PROMPT}"
    assert (right.row.reward, wrong.row.reward) == (1.5, 0.5)
    assert (right.row.correct, wrong.row.correct) == (True, False)
    assert (right.row.step, right.row.problem["numbers"], right.row.problem["target"]) == (5, [44, 19, 35], 98)
    assert right.meta["columns"] == {"advantage": 0.7}
    (only,) = [one for one in imported(lab, path, mapping={"reward": "answer_reward"}) if one.row.correct]
    assert only.row.reward == 1.0


def test_the_papers_json(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "completions_step40.jsonl"
    rows = [
        {"index": 17, "data_source": "countdown", "prompt": PROMPT, "generated": f"Assistant:\n{text}", "score": score,
         "ground_truth": {"numbers": [44, 19, 35], "target": 98}}
        for text, score in ((RIGHT, 1.0), (WRONG, 0.0))
    ]  # fmt: skip
    path.write_text(json.dumps(rows, indent=4))
    right, wrong = imported(lab, path)
    assert (right.row.step, right.row.split, right.row.problem_id) == (40, "test", "17")
    assert right.completion == f"Assistant:\n{RIGHT}"
    assert (right.row.reward, right.row.correct, wrong.row.reward, wrong.row.correct) == (1.0, True, 0.0, False)
    assert right.row.problem["numbers"] == [44, 19, 35]


def test_plain_lines_with_names_of_their_own(lab: Lab, tmp_path: Path) -> None:
    path = lines(tmp_path / "mine.jsonl", [
        {"question": PROMPT, "response": {"said": RIGHT}, "global_step": "7", "variant": "dots", "len": 12},
        {"question": "no task at all", "response": {"said": "hm"}, "global_step": 8, "variant": None, "len": 1},
    ])  # fmt: skip
    with pytest.raises(InvalidInput, match="looks like a completion") as caught:
        plan_import([path])
    assert "--map completion=COLUMN" in caught.value.remedy
    plan = plan_import([path], mapping={"completion": "response.said", "n_tokens": "len"})
    assert "completion     from response.said" in "\n".join(plan.lines())
    task, chat = imported(lab, path, mapping={"completion": "response.said", "n_tokens": "len"})
    assert (task.completion, task.row.step, task.row.condition, task.row.n_tokens) == (RIGHT, 7, "dots", 12)
    assert (task.row.reward, task.row.correct, task.answer) == (1.0, True, "44 + 19 + 35")
    assert set(task.meta["worked_out"]) >= {"reward", "correct", "answer", "numbers", "target"}
    assert (chat.row.reward, chat.row.correct, chat.row.task, chat.row.condition) == (None, None, "", None)
    assert set(chat.meta["unknown"]) >= {"numbers", "target"}


def test_rows_that_cannot_be_read_are_counted_and_named(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(
        json.dumps({"prompt": PROMPT, "completion": RIGHT}).encode()
        + b'\n{"prompt": "x", "completion": 3}\nnot json\n[1]\n\n'
        + json.dumps({"prompt": "p", "completion": "\ud800 lone"}).encode()
        + b'\n{"prompt": "torn'
    )
    state = finish(run_import(plan_import([path]), lab.workspace))
    assert (state.rows, state.bad) == (2, 4)
    places = [named.partition(":")[0] for named in state.files[0].named]
    assert places == ["line 2", "line 3", "line 4", "line 7"]


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "text.jsonl").write_text("hello\n")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("[{")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing of the kind")
    (tmp_path / "folder").mkdir()
    for name, message in {
        "empty.jsonl": "is empty", "text.jsonl": "holds no rows", "list.json": "list is empty",
        "broken.json": "not valid JSON", "broken.parquet": "damaged parquet",
    }.items():  # fmt: skip
        with pytest.raises(InvalidInput, match=message):
            plan_import([tmp_path / name])
    for name in ("folder", "missing.jsonl"):
        with pytest.raises(NotFound):
            plan_import([tmp_path / name])
    path = lines(tmp_path / "fine.jsonl", [{"completion": "x"}])
    with pytest.raises(InvalidInput, match="no column 'respons'"):
        plan_import([path], mapping={"completion": "respons"})
    with pytest.raises(InvalidInput, match="no field 'completon'"):
        plan_import([path], mapping={"completon": "completion"})


def test_an_import_goes_on_where_it_stopped_and_takes_what_its_file_gained(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_run, "_SAY_EVERY", 3)
    monkeypatch.setattr(import_run, "ROTATE_BYTES", 2000)
    rows = [{"prompt": f"p{number}", "completion": f"text {number}", "reward": number} for number in range(20)]
    rows.insert(7, {"prompt": "no completion"})
    path = lines(tmp_path / "grows.jsonl", rows[:12])
    plan = plan_import([path])
    steps = run_import(plan, lab.workspace)
    next(steps)
    steps.close()
    folder = lab.workspace.folder(plan.key)
    assert folder.result() is None
    assert len(list(read_rollouts(folder.path))) == 3
    finish(run_import(plan, lab.workspace))
    assert folder.result() is not None
    assert [one.completion for one in read_rollouts(folder.path)] == [f"text {n}" for n in range(11)]
    lines(path, rows)
    state = finish(run_import(plan, lab.workspace))
    assert (state.rows, state.bad) == (20, 1)
    whole = list(read_rollouts(folder.path))
    assert sorted(one.completion for one in whole) == sorted(f"text {n}" for n in range(20))
    assert len({one.id for one in whole}) == 20
    lines(path, [{"prompt": "p", "completion": "another file by the same name"}])
    finish(run_import(plan, lab.workspace))
    assert [one.completion for one in read_rollouts(folder.path)] == ["another file by the same name"]
    with open_store(lab.workspace) as store:
        assert store.ingest().rollouts == 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def wait_until_all_is_there(store: Store, count: int) -> None:
    import time

    deadline = time.monotonic() + 60
    while store.count(Query()) < count:
        assert time.monotonic() < deadline, "not everything was read in a minute"
        store.version()
        time.sleep(0.05)


def test_opening_shows_the_first_rows_at_once_and_the_rest_soon(cache: Path, tmp_path: Path) -> None:
    rows = [{"input": PROMPT, "output": RIGHT, "score": 1.0, "step": number // 100} for number in range(3000)]
    path = lines(tmp_path / "dump.jsonl", rows)
    opened = open_files([path])
    try:
        assert opened.workspace.path.is_relative_to(cache)
        with opened.store() as store:
            assert 500 <= store.count(Query()) <= 3000
            wait_until_all_is_there(store, 3000)
            assert store.count(Query(parse("correct:true step:29"))) == 100
    finally:
        opened.cancel()
    again = open_files([path])
    with open_store(again.workspace) as store:
        assert store.count(Query()) == 3000
    again.cancel()


def test_files_that_another_process_opens_are_read_once(cache: Path, tmp_path: Path) -> None:
    rows = [{"input": PROMPT, "output": RIGHT, "score": 1.0, "step": number} for number in range(1500)]
    path = lines(tmp_path / "dump.jsonl", rows)
    first = open_files([path])
    first.cancel()
    steps = run_import(first.plan, first.workspace, link=True)  # stands for the other process
    next(steps)
    again = open_files([path])  # shows what is there, and reads on when the other has ended
    try:
        with pytest.raises(ImportRunningError):
            next(run_import(first.plan, first.workspace, link=True, wait=False))
        finish(steps)
        with again.store() as store:
            wait_until_all_is_there(store, 1500)
    finally:
        again.cancel()
    written = list(read_rollouts(first.workspace.folder(first.plan.key).path))
    assert len(written) == len({one.id for one in written}) == 1500


def test_our_own_files_are_opened_where_they_lie(cache: Path, lab: Lab) -> None:
    folder, judged = lab.stage("ppo", 1), lab.judge_stage(2)
    rollouts = make_rollouts(folder.key, [0, 10])
    write_rollouts(folder, rollouts)
    write_judgements(judged, [line for one in rollouts for line in judge(one)])
    files = [folder.path / "rollouts-train-001.jsonl", judged.path / "judgements-judge-001.jsonl"]
    opened = open_files(files)
    with open_store(opened.workspace) as store:
        store.ingest()
        rows = store.page(Query(), limit=100).rows
        assert {row.id for row in rows} == {one.id for one in rollouts}
        assert all(row.judge == "rules-aaaaaaaaaaaa" for row in rows)
        assert sum(path.stat(follow_symlinks=False).st_size for path in opened.workspace.path.rglob("*.jsonl")) < 2000
    opened.cancel()
    elsewhere = Workspace(cache / "elsewhere")
    plan = plan_import(files)
    finish(run_import(plan, elsewhere))
    with open_store(elsewhere) as store:
        assert store.ingest().rollouts == 16
