"""What was imported is judged while that costs little, so that filters on behaviours find it."""

import json
from pathlib import Path
from typing import Any

import pytest

from cogtui.cli.rollouts.import_ import finish
from cogtui.store import Query, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.importing import judging
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import ImportState, run_import
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.registry import make_judge
from pipelines.streams import read_rollouts, read_stream
from tests.commands import cogtui_here
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts

PROMPT = "Using the numbers [44, 19, 35], create an equation that equals 98."
SEARCH = (
    "44 - 19 = 25, 25 + 35 = 60 (not 98)\n44 + 19 = 63, 63 - 35 = 28 (not 98)\n"
    "44 * 19 = 836 (too big)\n35 - 19 = 16, 16 + 44 = 60 (not 98)\n44 + 19 + 35 = 98\n"
)
DIRECT = "44 + 19 + 35 = 98"


def dump(path: Path, texts: list[str], prompt: str = PROMPT) -> Path:
    path.write_text("".join(json.dumps({"input": prompt, "output": text, "score": 1.0}) + "\n" for text in texts))
    return path


def found(lab: Lab, text: str) -> int:
    with open_store(lab.workspace) as store:
        store.ingest()
        return store.count(Query(parse(text)))


def run(lab: Lab, path: Path, choice: Any) -> ImportState:
    return finish(run_import(plan_import([path]), lab.workspace, judge=choice))


def test_a_filter_on_behaviours_finds_imported_rollouts(lab: Lab, tmp_path: Path) -> None:
    path = dump(tmp_path / "step_1.jsonl", [SEARCH, DIRECT] * 5)
    state = run(lab, path, "auto")
    assert (state.judging.judge, state.judging.rollouts, state.judging.skipped) == ("rules", 10, "")
    assert found(lab, "backtracking>=3") == 5
    assert found(lab, "backtracking:0") == 5
    folder = lab.workspace.folder(state.key)
    rollouts = list(read_rollouts(folder.path))
    rules = make_judge("rules")
    tasks = (JudgeTask(one.id, one.task, one.problem, one.completion) for one in rollouts)
    direct = [record for judged in rules.judge(tasks, tmp_path) for record in judged.records(rules.run.id)]
    written = [(r["rollout_id"], r["behavior"], r["count"]) for r in read_stream(folder.path, "judgements")]
    assert written == [(record.rollout_id, record.behavior, record.count) for record in direct]


def test_a_text_of_no_known_task_is_judged_by_prose(lab: Lab, tmp_path: Path) -> None:
    path = dump(tmp_path / "a.jsonl", ["Let me check. That is wrong, so let me try another way."], "Prove it.")
    assert run(lab, path, "auto").judging.judge == "prose"


def test_without_a_judge_nothing_is_judged(lab: Lab, tmp_path: Path) -> None:
    state = run(lab, dump(tmp_path / "a.jsonl", [SEARCH]), "none")
    assert state.judging.as_json() == {"judge": None, "rollouts": 0, "skipped": None}
    assert found(lab, "backtracking>=0") == 0


def test_judging_that_takes_long_is_not_done_unasked(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_AFFORDABLE_S", 0.0)
    monkeypatch.setattr(judging, "_needed_s", lambda *_: 600.0)
    path = dump(tmp_path / "a.jsonl", [SEARCH, DIRECT])
    state = run(lab, path, "auto")
    assert state.judging.skipped == "judging 2 rollouts by rules would take about 10 min; do it with --judge rules"
    assert list(lab.workspace.folder(state.key).path.glob("judgements-*")) == []
    assert run(lab, path, "rules").judging.rollouts == 2  # asked for


def test_judging_that_was_stopped_goes_on(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_SAY_EVERY", 2)
    path = dump(tmp_path / "a.jsonl", [SEARCH, DIRECT] * 4)
    steps = run_import(plan_import([path]), lab.workspace, judge="rules")
    state = next(state for state in steps if state.judging.rollouts >= 4)
    steps.close()
    folder = lab.workspace.folder(state.key)
    assert folder.result() is None
    assert run(lab, path, "rules").judging.rollouts == 8
    identities = [(r["rollout_id"], r["behavior"]) for r in read_stream(folder.path, "judgements")]
    assert len(identities) == len(set(identities)) == 8 * 4


def test_a_file_that_changed_is_judged_anew(lab: Lab, tmp_path: Path) -> None:
    path = dump(tmp_path / "a.jsonl", [SEARCH, SEARCH])
    run(lab, path, "rules")
    assert found(lab, "backtracking>=3") == 2
    dump(path, [DIRECT, SEARCH])
    run(lab, path, "rules")
    assert found(lab, "backtracking>=3") == 1


def test_judgements_of_the_files_are_kept_alone(lab: Lab, tmp_path: Path) -> None:
    folder = lab.stage("ppo", 1)
    rollouts = make_rollouts(folder.key, range(2))
    write_rollouts(folder, rollouts)
    write_judgements(folder, [one for rollout in rollouts for one in judge(rollout)])
    elsewhere = Lab(type(lab.workspace)(tmp_path / "other"))
    state = run(elsewhere, folder.path, "auto")
    assert state.judging.skipped == "the files have judgements of their own"


def test_the_command_says_what_was_judged(lab: Lab, tmp_path: Path) -> None:
    path = dump(tmp_path / "a.jsonl", [SEARCH, DIRECT])
    done = cogtui_here("import", str(path), "--workspace", str(lab.workspace.path), "--json")
    assert json.loads(done.stdout)["data"]["judging"] == {"judge": "rules", "rollouts": 2, "skipped": None}
    done = cogtui_here("import", str(path), "--workspace", str(lab.workspace.path))
    assert "2 rollouts judged by rules" in done.stderr
