"""What a service refuses for good ends the run after a few requests, with the service's message and no result."""

from pathlib import Path

import pytest

from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.registry import make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.errors import ServiceRefused
from pipelines.llm.clients.protocol import ModelClient, ModelSpec
from pipelines.llm.ledger import Ledger
from pipelines.llm.live_runner import run_live
from pipelines.llm.prices import Budget
from pipelines.llm.refusals import RefusalMonitor
from pipelines.llm.requests import ModelReply
from pipelines.llm.run_dialogues import BatchRequestConfig, run_dialogues
from tests.llm.conftest import Chat
from tests.loopback.faults import FaultsByText
from tests.loopback.state import State

FREE = Budget(None, None)
LIVE = BatchRequestConfig(batch=False)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_service_that_refuses_everything_is_asked_only_a_few_times(
    tmp_path: Path, client: ModelClient, state: State, concurrency: int
) -> None:
    state.faults = FaultsByText({"text": "bad_request"})
    with pytest.raises(ServiceRefused, match="refused all 4 requests so far") as error:
        list(run_live([Chat(f"text {n}") for n in range(500)], client, Ledger(tmp_path), FREE, concurrency=concurrency))
    assert "this request cannot be processed" in error.value.detail
    assert state.ledger.requests <= 3 + concurrency


def test_few_requests_that_are_all_refused_are_no_result(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.faults = FaultsByText({"text": "bad_request"})
    run = run_dialogues([Chat("text")], LIVE, lambda: client, None, tmp_path)
    with pytest.raises(ServiceRefused, match="refused all 2 requests"):
        next(run)


def test_one_text_that_is_refused_is_an_error_of_that_text(tmp_path: Path, client: ModelClient, state: State) -> None:
    """Whether it comes first or last, and in a later run, when only it is left."""
    state.faults = FaultsByText({"long": "bad_request"})
    for texts in (["long", "a", "b"], ["long"]):
        found = list(run_dialogues([Chat(text) for text in texts], LIVE, lambda: client, None, tmp_path))
        assert [chat.replies["one"].status for chat in found] == [
            "api_error" if chat.text == "long" else "ok" for chat in found
        ]
        assert len(found) == len(texts)


def test_a_whole_batch_of_refusals_ends_the_run(tmp_path: Path) -> None:
    monitor = RefusalMonitor("vllm:m", Ledger(tmp_path))
    refusal = ModelReply("api_error", detail="HTTP 400: context", batch=True, permanent=True)
    monitor.receive_batch([refusal, ModelReply("api_error", detail="HTTP 500", batch=True)])
    with pytest.raises(ServiceRefused, match="refused all 2 requests so far") as error:
        monitor.receive_batch([refusal, refusal])
    assert "HTTP 400: context" in error.value.detail


@pytest.fixture
def vllm(url: str, state: State, monkeypatch: pytest.MonkeyPatch) -> ModelClient:
    pytest.importorskip("openai")
    monkeypatch.setenv("VLLM_API_KEY", state.key)
    return connect(ModelSpec("vllm", "loopback", f"{url}/v1"), max_retries=0)


def test_the_answer_limit_is_fitted_to_the_context_of_the_server(
    tmp_path: Path, vllm: ModelClient, state: State
) -> None:
    state.context = 40  # requests have some 8 tokens and ask for 50
    chats = [Chat(f"text {n}", ("one",)) for n in range(10)]
    found = list(run_live(chats, vllm, Ledger(tmp_path), FREE, concurrency=1))
    assert {chat.replies["one"].status for chat in found} == {"ok"}
    assert state.ledger.requests == 10 + 1, "after the first refusal no request has a limit"


def test_a_prompt_beyond_the_context_is_refused_with_the_servers_message(
    tmp_path: Path, vllm: ModelClient, state: State
) -> None:
    state.context = 4
    with pytest.raises(ServiceRefused) as error:
        list(run_live([Chat(f"text {n}") for n in range(9)], vllm, Ledger(tmp_path), FREE, concurrency=1))
    assert "maximum context length is 4 tokens" in error.value.detail


def test_a_judge_that_cannot_judge_writes_no_judgement(
    tmp_path: Path, url: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("VLLM_API_KEY", state.key)
    state.context = 4
    config = JudgeConfig(judge="vllm:loopback", url=f"{url}/v1")
    problem = {"id": "p", "numbers": [1, 2], "target": 3}
    tasks = [JudgeTask(f"{n}", "countdown", problem, f"1 + 2 = {n}.") for n in (3, 4)]
    judged = make_judge(config.judge, config).judge(tasks, tmp_path)
    with pytest.raises(ServiceRefused, match="would refuse them again"):
        next(iter(judged))
