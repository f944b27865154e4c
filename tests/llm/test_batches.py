"""Batches: collected across restarts, failures asked again, nothing paid twice."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pipelines.llm.batch_runner import MAX_TRIES, BatchRunner
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.errors import ServiceRefused, ServiceUnavailable
from pipelines.llm.clients.protocol import BatchStatus, ModelClient, ModelSpec
from pipelines.llm.ledger import Ledger
from pipelines.llm.prices import Budget, Price, SpendingCapReached
from pipelines.llm.requests import ModelReply, ModelRequest
from tests.llm.conftest import Chat
from tests.loopback.faults import BatchFault, FaultsByText, RandomFaults
from tests.loopback.state import State

T = TypeVar("T")


class Killed(BaseException):
    """The process dies here."""


class Dying:
    """A client whose process dies at some call, before or after the service did its part."""

    def __init__(self, client: ModelClient, method: str, *, after: bool) -> None:
        self._client = client
        self._method = method
        self._after = after
        self.name = client.name

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        return self._client.request_body(request)

    def send(self, request: ModelRequest) -> ModelReply:
        return self._client.send(request)

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        return self._dying("submit", lambda: self._client.submit_batch(requests, tag))

    def find_batch(self, ids: Sequence[str], tag: str, since: float, known: Collection[str]) -> str | None:
        return self._client.find_batch(ids, tag, since, known)

    def get_batch_status(self, batch_id: str) -> BatchStatus:
        return self._dying("look", lambda: self._client.get_batch_status(batch_id))

    def batch_results(self, batch_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        for number, line in enumerate(self._client.batch_results(batch_id)):
            if self._method == "results" and number == 5:
                raise Killed
            yield line

    def _dying(self, method: str, call: Callable[[], T]) -> T:
        if method != self._method:
            return call()
        if self._after:
            call()
        raise Killed


def runner(work: Path, client: ModelClient, budget: Budget | None = None, **options: Any) -> BatchRunner[Chat]:
    return BatchRunner(client, Ledger(work), budget or Budget(None, None), work, poll_s=0.001, **options)


@pytest.mark.parametrize("fault", ["lost_reply", "never_arrives"])
def test_a_batch_whose_submission_broke_is_found_or_submitted_again(
    tmp_path: Path, client: ModelClient, state: State, fault: BatchFault
) -> None:
    state.batch_faults.append(fault)
    lines: list[str] = []
    assert len(list(runner(tmp_path, client, report=lines.append).run(chats()))) == 30
    assert state.ledger.paid_twice == []
    assert any(line.startswith("recovered batch") for line in lines) == (fault == "lost_reply")


def test_batches_of_others_are_never_taken_for_ours(tmp_path: Path, client: ModelClient, state: State) -> None:
    foreign = [(f"{n:024x}", ModelRequest("", "", f"foreign {n}", None, 10)) for n in range(60)]
    client.submit_batch(foreign, "foreign")
    state.batch_faults.append("never_arrives")
    done = list(runner(tmp_path, client).run(chats(30)))  # 60 requests, as many as the foreign batch has
    assert len(done) == 30
    assert len(Ledger(tmp_path)) == 60 + 20
    assert state.ledger.paid_twice == []


def test_results_cut_on_the_way_are_read_again(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.cut_results = 2
    lines: list[str] = []
    price = Price(1.0, 4.0, 0.25)
    budget = Budget(price, None)
    assert len(list(runner(tmp_path, client, budget, report=lines.append).run(chats()))) == 30
    assert sum("retrying" in line for line in lines) == 2
    assert state.ledger.paid_twice == []
    assert budget.spent == pytest.approx(state.ledger.cost)


def test_a_batch_cancelled_by_a_person_stops_the_run_and_loses_nothing(
    tmp_path: Path, client: ModelClient, state: State
) -> None:
    state.polls_before_done = 1000

    def cancel(line: str) -> None:
        for batch in state.batches.values():
            batch.cancelled, batch.polls_left = True, 0

    with pytest.raises(ServiceRefused, match="cancelled at the service"):
        list(runner(tmp_path, client, report=cancel).run(chats()))
    assert len(Ledger(tmp_path)) == 30, "half of its sixty requests were answered"
    state.polls_before_done = 2
    assert len(list(runner(tmp_path, client).run(chats()))) == 30
    assert state.ledger.paid_twice == []


def test_batches_shrink_where_the_account_has_a_limit(
    tmp_path: Path, state: State, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", state.key)
    client = connect(ModelSpec("openai", "loopback", f"{url}/v1"))
    state.batch_faults.extend(["too_large", "too_large"])
    assert len(list(runner(tmp_path, client).run([Chat(f"text {n}") for n in range(30)]))) == 30
    assert [len(batch.requests) for batch in state.batches.values() if not batch.failed] == [30, 15, 15]
    assert state.ledger.paid_twice == []


def test_a_batch_the_service_will_not_have_says_why(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.batch_faults.append("invalid")
    with pytest.raises(ServiceRefused, match="refuses the batch"):
        list(runner(tmp_path, client).run(chats()))
    assert len(list(runner(tmp_path, client).run(chats()))) == 30


def test_characters_that_end_lines_elsewhere_do_not_end_lines_here(
    tmp_path: Path, client: ModelClient, state: State
) -> None:
    said = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg😀"
    state.brain = lambda question: said
    (chat,) = runner(tmp_path, client).run([Chat("text", ("one",))])
    assert chat.replies["one"].text == said


def test_a_silent_service_is_waited_for_and_then_named(tmp_path: Path, client: ModelClient, state: State) -> None:
    class Silent(Dying):
        silent = 5

        def get_batch_status(self, batch_id: str) -> BatchStatus:
            self.silent -= 1
            if self.silent >= 0:
                raise ServiceUnavailable("away")
            return self._client.get_batch_status(batch_id)

    assert len(list(runner(tmp_path / "a", Silent(client, "", after=False)).run(chats()))) == 30
    forever = Silent(client, "", after=False)
    forever.silent = 10**9
    with pytest.raises(ServiceUnavailable):
        list(runner(tmp_path / "b", forever, patience_s=0.05).run(chats()))


def test_the_cap_holds_over_batches_and_restarts(tmp_path: Path, client: ModelClient, state: State) -> None:
    tariff = state.ledger.tariff
    price = Price(tariff.input, tariff.output, tariff.cached, tariff.batch)
    cap = 0.003
    for _ in range(2):
        budget = Budget(price, cap, price.ledger_cost(Ledger(tmp_path)))
        with pytest.raises(SpendingCapReached):
            list(runner(tmp_path, client, budget).run([Chat(f"text {n}") for n in range(200)]))
        assert 0.8 * cap < state.ledger.cost <= cap
    assert price.ledger_cost(Ledger(tmp_path)) == pytest.approx(state.ledger.cost)


def test_a_window_of_dialogues_is_open_at_once(tmp_path: Path, client: ModelClient, state: State) -> None:
    taken = 0

    def source() -> Iterator[Chat]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield Chat(f"text {n}", ("one",))

    done = 0
    for _ in runner(tmp_path, client, at_once=20).run(source()):
        done += 1
        assert taken - done < 20 + 1
    assert done == 100


def chats(count: int = 30) -> list[Chat]:
    return [Chat(f"text {number}", follow_up=number % 3 == 0) for number in range(count)]


def test_failures_are_asked_again_and_every_dialogue_ends(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.faults = RandomFaults(0.4, ("errored", "expired", "missing", "overloaded"))
    done = list(runner(tmp_path, client).run(chats()))
    assert {chat.text for chat in done} == {chat.text for chat in chats()}
    assert all(reply.status == "ok" and reply.batch for chat in done for reply in chat.replies.values())
    assert state.ledger.paid_twice == []


@pytest.mark.parametrize(("method", "after"), [("submit", False), ("submit", True), ("look", True), ("results", True)])
def test_killed_anywhere_it_goes_on_without_paying_twice(
    tmp_path: Path, client: ModelClient, state: State, method: str, after: bool
) -> None:
    state.faults = RandomFaults(0.2, ("errored", "expired"))
    with pytest.raises(Killed):
        list(runner(tmp_path, Dying(client, method, after=after)).run(chats()))
    price = Price(1.0, 2.0, 1.0)
    again = runner(tmp_path, client)
    assert len(list(again.run(chats()))) == 30
    assert state.ledger.paid_twice == []
    kept = Ledger(tmp_path)
    billed = (state.ledger.input_tokens * 1.0 + state.ledger.output_tokens * 2.0) / 1e6 / 2
    assert price.cost(kept.batch_usage, batch=True) == pytest.approx(billed)
    assert not list((tmp_path / "batches").glob(".*"))


def test_what_never_succeeds_is_given_up_and_named(tmp_path: Path, client: ModelClient, state: State) -> None:
    state.faults = FaultsByText({"text 1": "bad_request"})
    found = {
        chat.text: chat.replies["one"].status for chat in runner(tmp_path, client).run([Chat("text 1"), Chat("text 2")])
    }
    assert found == {"text 1": "api_error", "text 2": "ok"}
    assert len(state.batches) <= MAX_TRIES


def test_spending_is_settled_by_what_was_used(tmp_path: Path, client: ModelClient, state: State) -> None:
    budget = Budget(Price(10.0, 10.0, 10.0), cap=1.0)
    list(runner(tmp_path, client, budget).run(chats(10)))
    billed = (state.ledger.input_tokens + state.ledger.output_tokens) * 10 / 1e6 / 2
    assert budget.spent == pytest.approx(billed)
