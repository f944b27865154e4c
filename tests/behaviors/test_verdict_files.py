"""Stored verdicts: reused for exactly the text, problem and judge they are about, and for nothing else."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeTask
from pipelines.behaviors.judges.rules import detect
from pipelines.behaviors.judges.rules import judge as rules
from pipelines.behaviors.judges.rules.judge import RulesJudge, judge_problem
from pipelines.behaviors.verdict_files import FOLDER, StoredVerdicts, VerdictWriter
from pipelines.folder import StageFolder
from pipelines.records import countdown_fields
from pipelines.run import prepare, run_stage
from tests.behaviors.test_stage import upstream

TEXTS = ["3 + 4 = 7 (not 24)\r\nLet's try again.", "", "🙂 3 + 4 = 8 (too low) \ud800", "3 * 4 * 5 = 60, too high."]
RUN = RulesJudge().run.id


def task(text: str, numbers: tuple[int, ...] = (3, 4, 5), target: int = 24) -> JudgeTask:
    return JudgeTask("r", **countdown_fields(numbers, target), completion=text)


def judged(one: JudgeTask) -> JudgedTask:
    result = judge_problem(one.completion, one.task, one.problem)
    return JudgedTask(one, result.verdicts(), result.facts, result.attempts)


def store(stage: Path, texts: list[str]) -> Path:
    """Stores the verdicts on texts in a stage folder; returns the file."""
    with VerdictWriter(stage, RUN) as writer:
        writer.append(judged(task(text)) for text in texts)
    return stage / FOLDER / f"{RUN}-001.jsonl"


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the rules judge is run on from now on."""
    texts: list[str] = []
    find = detect.find_behaviors

    def counting(text: str, numbers: Sequence[int], target: int) -> object:
        texts.append(text)
        return find(text, numbers, target)

    monkeypatch.setattr(rules, "find_behaviors", counting)
    return texts


def run_judge(tmp_path: Path, name: str, source: StageFolder) -> tuple[dict[str, bytes], object]:
    """Runs a judge stage; returns its stream files and its result."""
    folder = prepare("judge", {}, tmp_path / name, [source.path], base=tmp_path)
    result = run_stage(folder)
    return {path.name: path.read_bytes() for path in folder.path.glob("judgements-*.jsonl")}, result


@given(st.text(alphabet=st.sampled_from("0123456789+-*/=() \n.,not24🙂\ud800agin"), max_size=60), st.integers(1, 60))
def test_what_is_read_is_what_was_stored(tmp_path_factory: pytest.TempPathFactory, text: str, target: int) -> None:
    stage = tmp_path_factory.mktemp("stage")
    one = judged(task(text, target=target))
    with VerdictWriter(stage, RUN) as writer:
        writer.append([one])
    assert StoredVerdicts([stage], RUN).find(one.task) == one


def test_the_judge_stage_reuses_what_is_stored_and_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = upstream(tmp_path / "up", TEXTS)
    without = run_judge(tmp_path, "without", source)
    store(source.path, TEXTS[:2] + TEXTS[3:])
    texts = count_calls(monkeypatch)
    assert run_judge(tmp_path, "with", source) == without
    assert texts == [TEXTS[2]]  # the one that was not stored


def test_another_text_problem_or_judge_is_never_taken_for_the_stored_one(tmp_path: Path) -> None:
    store(tmp_path, TEXTS)
    stored = StoredVerdicts([tmp_path], RUN)
    assert stored.find(task(TEXTS[0])) == judged(task(TEXTS[0]))
    assert stored.find(task(TEXTS[0] + " ")) is None
    assert stored.find(task(TEXTS[0], target=25)) is None
    assert stored.find(JudgeTask("r", "", {"id": ""}, TEXTS[0])) is None
    assert StoredVerdicts([tmp_path], "rules-another").find(task(TEXTS[0])) is None
    renamed = tmp_path / FOLDER / f"{RUN}-001.jsonl"
    renamed.rename(renamed.with_name("rules-another-001.jsonl"))  # the version is in the digest of each line too
    assert StoredVerdicts([tmp_path], "rules-another").find(task(TEXTS[0])) is None


def test_any_damage_means_judging_again(tmp_path: Path) -> None:
    path = store(tmp_path, [TEXTS[0]])
    whole = path.read_bytes()
    for place in range(len(whole)):
        for changed in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            path.write_bytes(changed)
            found = StoredVerdicts([tmp_path], RUN).find(task(TEXTS[0]))
            assert found is None or found == judged(task(TEXTS[0]))  # a comma or bracket may differ
    path.unlink()
    assert StoredVerdicts([tmp_path], RUN).find(task(TEXTS[0])) is None


def test_a_text_is_stored_once_over_all_attempts(tmp_path: Path) -> None:
    first = store(tmp_path, [*TEXTS, TEXTS[0]])
    torn = first.read_bytes()[:-5]
    first.write_bytes(torn)
    store(tmp_path, TEXTS)
    again = first.with_name(f"{RUN}-002.jsonl")
    assert (len(first.read_bytes().splitlines()), len(again.read_bytes().splitlines())) == (4, 1)
    stored = StoredVerdicts([tmp_path], RUN)
    assert all(stored.find(task(text)) == judged(task(text)) for text in TEXTS)


def test_what_cannot_be_rebuilt_from_the_text_is_not_stored(tmp_path: Path) -> None:
    one = task(TEXTS[0])
    failed = JudgedTask(one, {"verification": BehaviorVerdict("api_error")})
    answered = JudgedTask(one, {"verification": BehaviorVerdict("ok", 0, raw="none")})
    with VerdictWriter(tmp_path, RUN) as writer:
        writer.append([failed, answered])
    assert StoredVerdicts([tmp_path], RUN).find(one) is None


def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FOLDER).write_text("a file in the place of the folder")
    with VerdictWriter(tmp_path, RUN) as writer:
        writer.append([judged(task(TEXTS[0]))])
        writer.append([judged(task(TEXTS[1]))])
    assert capsys.readouterr().err.count("verdicts are not stored") == 1
