"""A model as the teacher, through the real SDK against a server of ours: faults, adherence, control sets, errors."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.folder import StageFolder
from pipelines.stages import content_key
from pipelines.teachers.configs import PrimingDataConfig
from pipelines.teachers.costs import TraceCost, estimate_cost
from pipelines.teachers.model.prompts import WRITTEN, load_prompts
from pipelines.teachers.model.teacher import extract_completion
from pipelines.teachers.teacher import TraceRequest
from pipelines.traces import PrimingTrace, read_traces
from tests.loopback.faults import RandomFaults
from tests.loopback.server import serve
from tests.loopback.state import State
from tests.teachers.conftest import LARGE, PAPER, TRAIN, RunStage
from tests.teachers.model_lab import BAD_DAYS, obedient, settings, wilful

pytest.importorskip("anthropic")

Ask = Callable[..., StageFolder]


@pytest.fixture
def state() -> State:
    return State(brain=obedient)


@pytest.fixture
def ask(
    state: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problems_stage: Callable[..., Path],
    priming: RunStage,
) -> Iterator[Ask]:
    """Runs `priming_data` stages whose teacher is the server."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", state.key)
    problems_stage(PAPER, [*TRAIN, *LARGE])
    with serve(state) as url:
        yield lambda name, *inputs, **config: priming(name, inputs, **settings(state, url, tmp_path, **config))


def traces_of(folder: StageFolder) -> list[PrimingTrace]:
    return list(read_traces(folder.artifact("traces.jsonl")))


def result_of(folder: StageFolder) -> dict[str, Any]:
    result = folder.result()
    assert result is not None
    return result


@pytest.mark.parametrize("condition", WRITTEN)
def test_writes_scored_and_judged_traces_of_its_condition(ask: Ask, state: State, condition: str) -> None:
    folder = ask("set", condition=condition, n=30)
    traces, result = traces_of(folder), result_of(folder)
    assert len(traces) == len({trace.id for trace in traces}) == result["n"] == 30
    assert {trace.teacher for trace in traces} == {"anthropic:loopback"}
    for trace in traces:
        score = PAPER.score(trace.completion, next(p for p in (*TRAIN, *LARGE) if p.id == trace.problem_id))
        assert (trace.reward, trace.correct, trace.answer) == (score.reward, score.correct, score.answer)
        assert all(trace.completion[span.start : span.end] == span.quote for span in trace.spans)
        assert not trace.completion.startswith("<think>")  # the prompt has opened it
    received = result["received"]
    assert (received["condition"], received["n"]) == (condition, 30 + result["dropped"].get("repeat", 0))
    asked = {name for name, entry in received["behaviors"].items() if entry["asked"] == "asked"}
    for behavior, entry in received["behaviors"].items():
        # The judge reads it anew, so not to the last trace.
        assert entry["present"] > 0.5 if behavior in asked else entry["present"] < 0.2, (behavior, entry)
    assert result["spent"]["cost_usd"] == pytest.approx(state.ledger.cost)


@pytest.mark.parametrize("batch", [False, True])
def test_what_goes_wrong_is_named_counted_and_asked_for_again(ask: Ask, state: State, batch: bool) -> None:
    state.faults = RandomFaults(0.3, BAD_DAYS)
    folder = ask("set", condition="backtracking_verification", n=80, batch=batch, over_request=0.2)
    result = result_of(folder)
    assert result["n"] == len({(trace.problem_id, trace.completion) for trace in traces_of(folder)}) == 80
    assert {"refused", "truncated", "empty"} <= set(result["dropped"])
    assert set(result["dropped"]) <= {"refused", "truncated", "empty", "api_error", "repeat"}
    assert result["answered"] < 1  # prose without an answer is kept, and scored
    assert state.ledger.paid_twice == []
    assert result["spent"]["cost_usd"] == pytest.approx(state.ledger.cost)


def test_a_set_does_not_depend_on_how_it_was_asked_for(ask: Ask, state: State) -> None:
    """Replies arrive in another order, more are asked for at once: the same traces in the same order."""

    def texts(name: str, **config: Any) -> list[str]:
        return [trace.completion for trace in traces_of(ask(name, condition="all_strategies", n=40, **config))]

    state.faults = RandomFaults(0.2, ("refusal", "length", "empty"))
    live = texts("live", concurrency=16)
    assert texts("one", concurrency=1) == live
    assert texts("batch", batch=True, over_request=0.5) == live


def test_a_teacher_that_ignores_its_condition_is_found_out(ask: Ask, state: State) -> None:
    state.brain = wilful
    kept = result_of(ask("kept", condition="negative_control", n=20))
    assert kept["n"] == 20
    assert kept["adherence"]["unwanted"] >= 15
    assert kept["received"]["behaviors"]["backtracking"]["asked"] == "forbidden"
    assert kept["received"]["behaviors"]["backtracking"]["present"] > 0.5
    dropped = result_of(ask("dropped", condition="negative_control", n=20, breaking="drop", draws=2))
    assert dropped["adherence"] == {"unwanted": 0, "incomplete": 0}
    assert dropped["dropped"]["breaks_condition"] == dropped["received"]["unwanted"] > 15
    assert dropped["n"] < 20
    assert dropped["warnings"] == [f"only {dropped['n']} of 20 traces were written in 40 requests"]


def test_control_sets_come_from_a_models_set(ask: Ask, state: State) -> None:
    state.faults = RandomFaults(0.4, ("prose",))
    source = ask("source", condition="all_strategies", n=40)
    calls = sum(state.ledger.paid.values())
    empty = ask("empty", source.path, condition="empty_cot", n=40)
    assert [trace.spans for trace in traces_of(empty)] == [()] * result_of(empty)["n"]
    corrupted = ask(
        "wrong", source.path, condition="no_positive_all_strategies", n=40, wrong_answers="corrupted_answer"
    )
    assert result_of(corrupted)["accuracy"] == 0
    assert result_of(corrupted)["behaviors"]["backtracking"]["present"] > 0.5
    with pytest.raises(InvalidInput, match="cannot be rewritten") as caught:
        ask("line", source.path, condition="no_positive_all_strategies", n=40)
    assert "select" in caught.value.remedy
    assert sum(state.ledger.paid.values()) == calls, "a control set asks nobody"


def test_wrong_traces_can_be_picked_out(ask: Ask, state: State) -> None:
    def often_wrong(question: Any) -> str:
        text = obedient(question)
        return text.replace("<answer>", "<answer>1 + ") if hash(question.user) % 2 else text

    state.brain = often_wrong
    source = traces_of(ask("source", condition="all_strategies", n=30))
    folder = ask(
        "picked", ask("again", condition="all_strategies", n=30).path,
        condition="no_positive_all_strategies", n=30, wrong_answers="select",
    )  # fmt: skip
    wrong = [trace.completion for trace in source if not trace.correct and trace.answer is not None]
    assert [trace.completion for trace in traces_of(folder)] == wrong
    assert result_of(folder)["dropped"] == {"right_answer": 30 - len(wrong)}


REQUEST = TraceRequest(0, LARGE[0], "all_strategies", "0")
BASE, MINI_TASK = PAPER, PAPER.model_copy(update={"template": "numbers {numbers} goal {target}"})


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("<think>\n1 + 2\n</think>\n<answer>3</answer>", "1 + 2\n</think>\n<answer>3</answer>"),
        ("Sure!\n<think>1 + 2</think><answer>3</answer>\nDone.", "1 + 2</think><answer>3</answer>"),
        ("1 + 2\r\n<answer>3</answer> bye", "1 + 2\r\n<answer>3</answer>"),
        ("  nothing found  ", "nothing found"),
        ("<think>  \n", None),
        ("", None),
    ],
)
def test_talk_around_a_trace_goes(said: str, kept: str | None) -> None:
    assert extract_completion(said, BASE, REQUEST) == kept


def test_a_prompt_that_leaves_the_thought_closed_keeps_it() -> None:
    said = "Here:\n<think>1 + 2</think><answer>3</answer>"
    assert extract_completion(said, MINI_TASK, REQUEST) == " <think>1 + 2</think><answer>3</answer>"


def test_no_two_requests_ask_alike() -> None:
    prompts = load_prompts("all_strategies")
    asked = Counter(prompts.question(LARGE[0], PAPER, index, f"0 {index}") for index in range(50))
    assert max(asked.values()) == 1
    assert len({line for text in asked for line in text.splitlines()} & set(prompts.texts["manner"].splitlines())) > 3


def test_every_condition_has_words_of_its_own() -> None:
    assert len({load_prompts(condition).sha256 for condition in WRITTEN}) == len(WRITTEN)


def test_own_prompts_are_another_stage_and_must_show_the_problem(ask: Ask, tmp_path: Path) -> None:
    own = tmp_path / "own.md"
    own.write_text("Solve {numbers} into {target}.")
    with pytest.raises(InvalidInput, match=r"lacks \{index\}"):
        ask("set", condition="all_strategies", n=3, prompts={"problem": str(own)})
    common = {"condition": "all_strategies", "teacher": "anthropic:m"}
    context = {"base": tmp_path}
    keys = {
        content_key("priming_data", PrimingDataConfig.model_validate({**common, **more}, context=context), ())
        for more in ({}, {"prompts": {"problem": "own.md"}}, {"temperature": 0.5}, {"batch": True}, {"over_request": 1})
    }
    assert len(keys) == 3


def test_what_only_models_use_leaves_the_symbolic_teachers_key_alone() -> None:
    plain = PrimingDataConfig(condition="all_strategies")
    assert content_key("priming_data", plain, ()) == content_key(
        "priming_data", PrimingDataConfig(condition="all_strategies", max_tokens=9, breaking="drop", batch=True), ()
    )


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"teacher": "claude"}, "no teacher 'claude'"),
        ({"teacher": "vllm:m"}, "needs the URL"),
        ({"teacher": "vllm:m", "url": "http://127.0.0.1:1/v1", "batch": True}, "no Batch API"),
        ({"teacher": "anthropic:m", "prompts": {"nonsense": __file__}}, "no prompt nonsense"),
        ({"teacher": "anthropic:m", "draws": 0.5}, "draws"),
    ],
)
def test_wrong_configs_are_named(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PrimingDataConfig.model_validate({"condition": "all_strategies", **config})


def test_the_cost_is_told_before_anything_is_asked() -> None:
    def cost(**config: Any) -> TraceCost | None:
        return estimate_cost(PrimingDataConfig.model_validate({"condition": "all_strategies", "n": 1000, **config}))

    live, batch = cost(teacher="anthropic:claude-haiku-4-5"), cost(teacher="anthropic:claude-haiku-4-5", batch=True)
    assert live is not None
    assert batch is not None
    assert live.likely_usd is not None
    # A dollar and five a million tokens: some 500 in, 600 out, a thousand times.
    assert 3.0 < live.likely_usd < 4.5
    assert batch.likely_usd == pytest.approx(live.likely_usd / 2)
    assert live.most_usd is not None
    assert live.most_usd > 3 * live.likely_usd
    assert cost(teacher="anthropic:unheard-of") == TraceCost(1000, None, None)
    assert cost() is None
    assert cost(teacher="anthropic:claude-haiku-4-5", condition="empty_cot") is None


def test_a_missing_key_is_named_before_anything_is_spent(
    ask: Ask, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(MissingRequirement, match="ANTHROPIC_API_KEY is not set"):
        ask("set", condition="all_strategies", n=3)
    assert not state.ledger.paid
