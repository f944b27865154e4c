"""LLM judges on the loopback server: both vendors, live and in batches, every kind of bad answer."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.behaviors.judge import JudgedTask, JudgeTask
from pipelines.behaviors.judges.llm.judge import LLMJudge
from pipelines.behaviors.judges.registry import make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.llm.prices import SpendingCapReached
from pipelines.records import countdown_fields
from tests.behaviors.llm_lab import BAD_ANSWERS, judging, settings_for, traces
from tests.loopback.brain import Question
from tests.loopback.faults import RandomFaults
from tests.loopback.server import serve
from tests.loopback.state import State

VENDORS = pytest.mark.parametrize("settings", ["openai", "anthropic"], indirect=True)


@pytest.fixture
def state() -> State:
    return State(brain=judging)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    with serve(state) as base_url:
        yield base_url


@pytest.fixture(params=["openai", "anthropic", "vllm"])
def settings(
    request: pytest.FixtureRequest, state: State, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Config fields of a judge that the server answers, with the server's own prices."""
    provider = str(request.param)
    pytest.importorskip("anthropic" if provider == "anthropic" else "openai")
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", state.key)
    return settings_for(provider, state, url, tmp_path)


def judge_all(settings: dict[str, Any], tasks: list[JudgeTask], work: Path, **more: Any) -> list[JudgedTask]:
    config = JudgeConfig(**{**settings, **more})
    work.mkdir(exist_ok=True)
    return list(make_judge(config.judge, config).judge(tasks, work))


@pytest.mark.parametrize(
    ("settings", "batch"),
    [("openai", False), ("anthropic", False), ("vllm", False), ("openai", True), ("anthropic", True)],
    indirect=["settings"],
)
def test_every_trace_ends_judged_or_with_a_named_status(
    settings: dict[str, Any], state: State, tmp_path: Path, batch: bool
) -> None:
    often = RandomFaults(0.6, BAD_ANSWERS)
    # one trace is answered in prose however often it is asked about: most others are mended by the second question
    state.faults = lambda content: "prose" if "That was trace 3." in content else often(content)
    tasks = traces(24)
    judged = judge_all(settings, tasks, tmp_path / "work", batch=batch)
    assert Counter(one.task.rollout_id for one in judged) == Counter(task.rollout_id for task in tasks)
    statuses: Counter[str] = Counter()
    for one in judged:
        for record in one.records("run"):  # checks every span against its text
            statuses[record.status] += 1
            assert (record.count is None) == (record.status != "ok")
            assert record.raw is not None or record.usage.get("empty")
    assert {"ok", "parse_error", "truncated", "refused", "api_error"} <= set(statuses)
    assert "unjudged" not in statuses
    assert state.ledger.paid_twice == []
    spent = json.loads((tmp_path / "work" / "spent.json").read_text())
    assert spent["cost_usd"] == pytest.approx(state.ledger.cost)
    assert sum(v.usage.get("cost_usd", 0.0) for one in judged for v in one.verdicts.values()) == pytest.approx(
        state.ledger.cost
    )


def test_verdicts_are_those_of_the_answers(settings: dict[str, Any], tmp_path: Path) -> None:
    text = "3 + 4 = 7, not 24.\nLet me try again.\n3 * 4 = 12, not 24.\n"
    (judged,) = judge_all(
        settings, [JudgeTask("r1", **countdown_fields((3, 4, 5), 24), completion=text)], tmp_path / "work"
    )
    assert {name: verdict.count for name, verdict in judged.verdicts.items()} == {
        "verification": 2, "backtracking": 1, "subgoal": 0, "backward_chaining": 0
    }  # fmt: skip
    spans = judged.verdicts["verification"].spans
    assert [text[span.start : span.end] for span in spans] == ["3 + 4 = 7, not 24.", "3 * 4 = 12, not 24."]
    assert {span.why for span in spans} == {"it says not"}


def test_count_parity_over_the_wire(settings: dict[str, Any], state: State, tmp_path: Path) -> None:
    seen: list[Question] = []

    def brain(question: Question) -> str:
        seen.append(question)
        return judging(question)

    state.brain = brain
    text = "3 + 4 = 7, not 24.\nLet me try again.\n3 * 4 = 12, not 24.\n"
    (judged,) = judge_all(
        settings,
        [JudgeTask("r1", **countdown_fields((3, 4, 5), 24), completion=text)],
        tmp_path / "work",
        mode="count_parity",
    )
    assert [judged.verdicts[behavior].count for behavior in BEHAVIORS] == [2, 1, 0, 0]
    assert {question.schema is None for question in seen} == {True}
    assert {question.max_tokens for question in seen} == {1024}


def test_the_cap_stops_and_raising_it_continues(settings: dict[str, Any], state: State, tmp_path: Path) -> None:
    tasks = traces(16)
    done: list[JudgedTask] = []
    config = JudgeConfig(**settings, spending_cap=0.03, max_tokens=200)
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(SpendingCapReached):
        done.extend(make_judge(config.judge, config).judge(tasks, work))
    assert state.ledger.cost <= 0.03
    assert json.loads((work / "spent.json").read_text())["cost_usd"] == pytest.approx(state.ledger.cost)
    assert len(judge_all(settings, tasks, work, max_tokens=200)) == 16
    assert state.ledger.paid_twice == []


@VENDORS
def test_from_batch_to_live_the_open_batches_are_collected_first(
    settings: dict[str, Any], state: State, tmp_path: Path
) -> None:
    tasks = traces(12)
    work = tmp_path / "work"
    work.mkdir()
    config = JudgeConfig(**settings, batch=True)
    state.polls_before_done = 10**9
    judging_now = make_judge(config.judge, config).judge(tasks, work)

    class Enough(Exception):
        pass

    def stop(question: Any) -> None:
        raise Enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.llm.run_dialogues._check", lambda: stop(None) if state.batches else None)
        with pytest.raises(Enough):
            list(judging_now)
    assert len(state.batches) == 1
    state.polls_before_done = 1
    for batch in state.batches.values():
        batch.polls_left = 3
    assert len(judge_all(settings, tasks, work, batch=False)) == 12
    assert state.ledger.paid_twice == []


def test_the_run_names_what_judges_and_not_where(settings: dict[str, Any], tmp_path: Path) -> None:
    def run(**more: Any) -> str:
        return LLMJudge(JudgeConfig(**{**settings, **more})).run.id

    same = run()
    assert run(url="http://elsewhere:1/v1", concurrency=3, spending_cap=9.0, poll_s=1.0) == same
    mine = tmp_path / "mine.md"
    mine.write_text("Find nothing.", encoding="utf-8")
    others = {
        run(prompts={"subgoal": str(mine)}), run(mode="count_parity"), run(max_tokens=77), run(temperature=0.5),
        run(reasks=0), run(window=900),
    }  # fmt: skip
    assert len(others - {same}) == 6
    record = LLMJudge(JudgeConfig(**settings)).run
    assert record.judge == settings["judge"]
    assert record.id.startswith(settings["judge"].partition(":")[0] + "-")
    assert record.prompt_sha256
    assert record.segmenter
    assert record.aligner


def test_a_prompt_edited_after_planning_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("Find nothing.", encoding="utf-8")
    config = JudgeConfig(**settings, prompts={"subgoal": str(mine)})
    mine.write_text("Find everything.", encoding="utf-8")
    with pytest.raises(InvalidInput, match="changed after this stage was planned"):
        make_judge(config.judge, config)


@VENDORS
def test_a_missing_key_names_its_variable(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = settings["judge"].partition(":")[0]
    monkeypatch.delenv(f"{provider.upper()}_API_KEY")
    with pytest.raises(MissingRequirement, match=f"{provider.upper()}_API_KEY is not set"):
        judge_all(settings, traces(1), tmp_path / "work")


def test_the_key_is_in_no_file(settings: dict[str, Any], state: State, tmp_path: Path) -> None:
    state.key = "sk-very-secret-0123456789"
    with pytest.MonkeyPatch.context() as patch:
        provider = settings["judge"].partition(":")[0]
        patch.setenv(f"{provider.upper()}_API_KEY", state.key)
        state.faults = RandomFaults(0.4, ("bad_request",))
        judge_all(settings, traces(6), tmp_path / "work")
    assert state.faults.met
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or state.key.encode() not in path.read_bytes()


def test_an_estimate_asks_nobody_and_says_what_it_does_not_know(settings: dict[str, Any], state: State) -> None:
    tasks = traces(20)
    config = JudgeConfig(**settings)
    estimate = LLMJudge(config).estimate(tasks)
    assert state.ledger.requests == 0
    assert (estimate.traces, estimate.empty) == (20, 2)
    assert estimate.requests >= 18 * 4
    assert estimate.cost_usd is not None
    assert estimate.most_usd is not None
    assert 0 < estimate.cost_usd < estimate.most_usd
    unknown = LLMJudge(JudgeConfig(judge="openai:nobody-knows")).estimate(tasks)
    assert unknown.requests == estimate.requests
    assert unknown.cost_usd is None
    assert unknown.most_usd is None


def test_estimates_bound_the_bill(settings: dict[str, Any], state: State, tmp_path: Path) -> None:
    tasks = traces(20)
    estimate = LLMJudge(JudgeConfig(**settings)).estimate(tasks)
    judge_all(settings, tasks, tmp_path / "work")
    assert estimate.most_usd is not None
    assert estimate.cost_usd is not None
    assert state.ledger.cost <= estimate.most_usd
    assert 0.3 * state.ledger.cost <= estimate.cost_usd <= 3 * state.ledger.cost
