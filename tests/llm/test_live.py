"""Live: every dialogue ends, faults are named, nothing is paid twice."""

import json
from pathlib import Path

import pytest

from pipelines.errors import Interrupted, InvalidInput, MissingRequirement
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.errors import ServiceRefused, TooManyFailures, redact
from pipelines.llm.clients.protocol import ModelClient, ModelSpec
from pipelines.llm.ledger import Ledger
from pipelines.llm.live_runner import run_live
from pipelines.llm.prices import Budget, Price, SpendingCapReached, estimate_usage, find_price, max_usage
from pipelines.llm.requests import ModelReply, ModelRequest, TokenUsage
from tests.llm.conftest import Chat
from tests.loopback.brain import Question
from tests.loopback.faults import FaultsByText, RandomFaults
from tests.loopback.state import RejectedError, State

FREE = Budget(None, None)


def test_every_dialogue_ends_and_is_resumed_for_nothing(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.faults = RandomFaults(0.3, ("rate_limit", "overloaded", "cut", "slow"))
    state.delay_s = 0.01
    done = list(
        run_live([Chat(f"text {n}", follow_up=True) for n in range(20)], client, Ledger(tmp_path), FREE, concurrency=8)
    )
    assert {chat.text for chat in done} == {f"text {n}" for n in range(20)}
    for chat in done:
        for name, reply in chat.replies.items():
            assert json.loads(reply.text)["said"] == f"{name} {chat.text}"
    assert 1 < state.ledger.most_in_flight <= 8
    asked = state.ledger.requests
    again = list(
        run_live([Chat(f"text {n}", follow_up=True) for n in range(20)], client, Ledger(tmp_path), FREE, concurrency=8)
    )
    assert len(again) == 20
    assert state.ledger.requests == asked
    assert state.ledger.paid_twice == []


def test_equal_asks_are_sent_once(tmp_path: Path, client: ModelClient, state: State) -> None:
    done = list(run_live([Chat("same") for _ in range(30)], client, Ledger(tmp_path), FREE, concurrency=8))
    assert len(done) == 30
    assert state.ledger.requests == 2


def test_what_fails_is_named_and_not_kept(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.faults = FaultsByText({"bad": "bad_request", "never": "refusal", "long": "length"})
    ledger = Ledger(tmp_path)
    chats = [Chat(text, ("one",)) for text in ("bad", "never", "long", "fine")]
    found = {chat.text: chat.replies["one"].status for chat in run_live(chats, client, ledger, FREE, concurrency=2)}
    assert found == {"bad": "api_error", "never": "refused", "long": "truncated", "fine": "ok"}
    assert len(ledger) == 3, "an error that cost nothing is asked again next time"


def test_the_cap_stops_before_it_is_passed_and_loses_nothing(tmp_path: Path, client: ModelClient, state: State) -> None:
    price = Price(input=100.0, output=100.0, cached_input=100.0)
    chats = [Chat(f"text {n}", ("one",)) for n in range(200)]
    budget = Budget(price, cap=0.2)
    with pytest.raises(SpendingCapReached, match=r"cap of \$0\.20"):
        list(run_live(chats, client, Ledger(tmp_path), budget, concurrency=40))
    billed = (state.ledger.input_tokens + state.ledger.output_tokens) * 100 / 1e6
    assert 0.18 < billed <= 0.2, "it waits for what is in flight before it gives up"
    kept = Ledger(tmp_path)
    assert len(kept) == sum(state.ledger.paid.values())
    assert budget.spent == pytest.approx(billed) == price.cost(kept.usage, batch=False)


def test_an_outage_ends_the_run_and_not_every_dialogue(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.faults = FaultsByText({"text": "bad_request"})
    ledger = Ledger(tmp_path)
    assert len(list(run_live([Chat("fine")], client, ledger, FREE, concurrency=4))) == 1
    dialogues = iter([Chat(f"text {n}") for n in range(500)])
    with pytest.raises(TooManyFailures, match="16 requests in a row failed") as error:
        list(run_live(dialogues, client, ledger, FREE, concurrency=4))
    assert "this request cannot be processed" in str(error.value)
    assert len(list(dialogues)) > 450


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "no such model", InvalidInput),
        (402, "pay first", ServiceRefused),
        (400, "Your credit balance is too low", ServiceRefused),
        (403, "not for you", MissingRequirement),
    ],
)
def test_what_no_request_could_pass_ends_the_run_at_once(
    tmp_path: Path, client: ModelClient, state: State, status: int, message: str, kind: type[Exception]
) -> None:
    def refuse(question: Question) -> str:
        raise RejectedError(status, f"{message} test-key")

    state.brain = refuse
    with pytest.raises(kind) as error:
        list(run_live([Chat(f"text {n}") for n in range(50)], client, Ledger(tmp_path), FREE, concurrency=2))
    assert message in str(error.value)
    assert "test-key" not in str(error.value)
    assert state.ledger.requests <= 4


def test_told_to_stop_it_keeps_what_is_in_flight(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.delay_s = 0.05
    calls = iter(range(100))

    def check() -> None:
        if next(calls) == 5:
            raise Interrupted("stopped")

    chats = [Chat(f"text {n}") for n in range(50)]
    with pytest.raises(Interrupted):
        list(run_live(chats, client, Ledger(tmp_path), FREE, concurrency=4, check=check))
    kept = Ledger(tmp_path)
    assert len(kept) == sum(state.ledger.paid.values()) >= 8
    list(run_live([Chat(f"text {n}") for n in range(50)], client, kept, FREE, concurrency=4))
    assert state.ledger.paid_twice == []


def test_cached_input_is_counted_and_priced(tmp_path: Path, client: ModelClient, state: State) -> None:
    long = "A long text. " * 600
    chats = [Chat(f"{long} {n}", ("one", "two", "three")) for n in range(4)]
    ledger = Ledger(tmp_path)
    list(run_live(chats, client, ledger, FREE, concurrency=2))
    assert ledger.usage.cached_tokens > 0.3 * ledger.usage.input_tokens
    tariff = state.ledger.tariff
    write = tariff.cache_write if client.name.startswith("anthropic") else None
    price = Price(tariff.input, tariff.output, tariff.cached, tariff.batch, write)
    assert price.ledger_cost(ledger) == pytest.approx(state.ledger.cost)


def test_a_refused_or_missing_key_is_said_once_and_never_shown(
    tmp_path: Path, client: ModelClient, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.key = "another"
    with pytest.raises(MissingRequirement, match="key is refused") as error:
        list(run_live([Chat("text")], client, Ledger(tmp_path), FREE, concurrency=2))
    assert "test-key" not in str(error.value)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingRequirement, match="OPENAI_API_KEY is not set"):
        connect(ModelSpec("openai", "m"))
    monkeypatch.setenv("OPENAI_API_KEY", "schlüssel")
    with pytest.raises(MissingRequirement, match="characters that no key has"):
        connect(ModelSpec("openai", "m"))
    assert redact("bad key sk-secret-123 or sk-s****123", "sk-secret-123") == "bad key *** or ***"


def test_a_damaged_ledger_loses_only_the_damaged_line(tmp_path: Path, client: ModelClient, state: State) -> None:
    list(run_live([Chat(f"text {n}", ("one",)) for n in range(3)], client, Ledger(tmp_path), FREE, concurrency=1))
    (path,) = tmp_path.glob("replies-*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"garbage\n" + lines[2][:-9])
    assert len(Ledger(tmp_path)) == 1


def test_models_and_prices_are_named_or_unknown() -> None:
    assert str(ModelSpec.parse("openai:gpt-4o-mini")) == "openai:gpt-4o-mini"
    for wrong in ("gpt-4o", "openai:", "other:m", "vllm:m"):
        with pytest.raises(InvalidInput):
            ModelSpec.parse(wrong)
    for url in ("localhost:8000", "ftp://host", "http://host:port", "http://", "http://me:hunter2@host/v1"):
        with pytest.raises(InvalidInput, match="URL for openai:m") as error:
            ModelSpec.parse("openai:m", url)
        assert "hunter2" not in str(error.value)
    price = find_price("openai", "gpt-4o-mini-2024-07-18")
    assert price is not None
    assert price.input == 0.15, "the longest name that fits, not gpt-4o"
    assert find_price("openai", "unheard-of") is None
    assert find_price("openai", "gpt-4o-audio-preview") is None, "another model, whose price nobody said"
    assert find_price("openai", "gpt-4o-mini-latest") == price
    with pytest.raises(InvalidInput, match="price"):
        Budget(None, 1.0)


def test_a_price_table_of_ones_own_is_read_or_named(tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    table.write_text("[vllm]\nmine = { input = 1, cached_input = 0, output = 2 }\n")
    price = find_price("vllm", "mine", table)
    assert price == Price(1.0, 2.0, 0.0)
    assert find_price("vllm", "other", table) is None
    for entry, said in (
        ('"cheap"', "not a table"),
        ("{ input = 1 }", "not complete"),
        ('{ input = "1", cached_input = 0, output = 2 }', "input is '1'"),
        ("{ input = -1, cached_input = 0, output = 2 }", "input is -1"),
        ("{ input = nan, cached_input = 0, output = 2 }", "input is nan"),
    ):
        table.write_text(f"[vllm]\nmine = {entry}\n")
        with pytest.raises(InvalidInput, match=said):
            find_price("vllm", "mine", table)
    table.write_text("[vllm\n")
    with pytest.raises(InvalidInput, match="cannot be read"):
        find_price("vllm", "mine", table)


def test_the_worst_case_bounds_dense_and_foreign_text() -> None:
    request = ModelRequest("", "", "85 - 72 = 13, 13 * 4 = 52. " * 40, None, 100)
    assert max_usage(request).input_tokens >= len(request.question) / 2
    chinese = ModelRequest("", "", "先试试加法再验证结果" * 40, None, 100)
    assert max_usage(chinese).input_tokens >= 3 * len(chinese.question)
    assert estimate_usage(chinese, 50).input_tokens >= len(chinese.question)


def test_the_ledger_keeps_no_reply_in_memory(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    requests = [ModelRequest("", "", f"question {n}", None, 10) for n in range(300)]
    for request in requests:
        ledger.put(request.id("m"), ModelReply("ok", request.question, usage=TokenUsage(3, 0, 2)))
    ledger.put(requests[0].id("m"), ModelReply("ok", "another", usage=TokenUsage(3, 0, 2)))
    ledger.put(ModelRequest("", "", "new", None, 10).id("m"), ModelReply("api_error", detail="cost nothing"))
    ledger.put(
        ModelRequest("", "", "paid", None, 10).id("m"),
        ModelReply("api_error", detail="no choices", usage=TokenUsage(3, 0, 0)),
    )
    for kept in (ledger, Ledger(tmp_path)):
        assert len(kept) == 301
        assert kept.usage == TokenUsage(903, 0, 600)
        assert [kept.get(request.id("m")) for request in requests[::50]] == [
            ModelReply("ok", request.question, usage=TokenUsage(3, 0, 2)) for request in requests[::50]
        ]
        assert not any(isinstance(value, ModelReply) for value in vars(kept).values())
