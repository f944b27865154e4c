"""Dialogues run with live requests: several dialogues at once, one request at a time within each."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from pipelines.llm.clients.errors import MIN_FAILURES_IN_A_ROW, TooManyFailures
from pipelines.llm.clients.protocol import ModelClient
from pipelines.llm.ledger import Ledger
from pipelines.llm.prices import Budget
from pipelines.llm.refusals import RefusalMonitor
from pipelines.llm.requests import Dialogue, ModelReply, ModelRequest

D = TypeVar("D", bound=Dialogue)

_STOP_CHECK_S: Final = 0.5
"""Seconds between checks for a stop signal while waiting for replies."""


@dataclass(slots=True)
class _InFlightRequest:
    """A request in flight. Equal requests of several dialogues are sent once."""

    request_id: str
    request: ModelRequest
    reserved: float
    reply: ModelReply | None = None
    error: BaseException | None = None


def run_live(
    dialogues: Iterable[D],
    client: ModelClient,
    ledger: Ledger,
    budget: Budget,
    *,
    concurrency: int,
    check: Callable[[], None] = lambda: None,
    refusals: RefusalMonitor | None = None,
) -> Generator[D]:
    """Run each dialogue to completion and yield it, in the order in which they finish.

    Within a dialogue requests are sent one after another, so that the first fills the prompt cache for the others.
    Dialogues are consumed lazily, with at most `concurrency` open. Unless the process is killed, replies to requests
    in flight are waited for and kept when this ends.

    Args:
        dialogues: the work.
        client: the service.
        ledger: keeps replies; requests it has a reply to are not sent.
        budget: the spending cap.
        concurrency: requests in flight at once.
        check: called twice per second; raises an error to stop.
        refusals: counts requests that are refused for good.

    Raises:
        ServiceRefused: all requests are refused.
        SpendingCapReached: no request is in flight, and the next one exceeds the cap.
        TooManyFailures: many requests in a row failed, so the others would too.
        CogtuiError: as `ModelClient.send` and `check` raise.
    """
    watched = refusals or RefusalMonitor(client.name, ledger)
    loop: _LiveLoop[D] = _LiveLoop(client, ledger, budget, concurrency, check, watched)
    try:
        yield from loop.run(iter(dialogues))
    finally:
        loop.close()


class _LiveLoop(Generic[D]):
    def __init__(
        self,
        client: ModelClient,
        ledger: Ledger,
        budget: Budget,
        concurrency: int,
        check: Callable[[], None],
        refusals: RefusalMonitor,
    ) -> None:
        self._refusals = refusals
        self._client = client
        self._ledger = ledger
        self._budget = budget
        self._concurrency = concurrency
        self._check = check
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="llm")
        self._finished: SimpleQueue[_InFlightRequest] = SimpleQueue()
        self._in_flight = 0
        self._open = 0
        self._waiting: dict[str, list[D]] = {}
        self._waiting_for_budget: deque[tuple[str, ModelRequest]] = deque()
        """Requests that wait for others to finish, because together they could exceed the cap."""
        self._failed_in_a_row = 0

    def run(self, source: Iterator[D]) -> Generator[D]:
        exhausted = False
        while True:
            self._send_waiting()
            while not exhausted and self._open < self._concurrency and not self._waiting_for_budget:
                dialogue = next(source, None)
                if dialogue is None:
                    exhausted = True
                elif self._advance(dialogue):
                    yield dialogue
                else:
                    self._open += 1
            if not self._open:
                return
            flight = self._next_finished()
            reply = self._receive(flight)
            for dialogue in self._waiting.pop(flight.request_id):
                dialogue.receive_reply(flight.request, reply)
                if self._advance(dialogue):
                    self._open -= 1
                    yield dialogue

    def close(self) -> None:
        """Wait for the requests in flight and keep their replies, which are paid for."""
        while self._in_flight:
            flight = self._finished.get()
            self._in_flight -= 1
            if flight.reply is not None:
                self._keep(flight, flight.reply)
        self._pool.shutdown(wait=True)

    def _advance(self, dialogue: D) -> bool:
        """Pass replies of the ledger to a dialogue, then send its next request. Return whether it is finished."""
        while wanted := dialogue.pending_requests():
            request = wanted[0]
            request_id = request.id(self._client.name)
            if request_id in self._waiting:
                self._waiting[request_id].append(dialogue)
                return False
            known = self._ledger.get(request_id)
            if known is None:
                self._waiting[request_id] = [dialogue]
                self._waiting_for_budget.append((request_id, request))
                self._send_waiting()
                return False
            dialogue.receive_reply(request, known)
        return True

    def _send_waiting(self) -> None:
        """Send waiting requests as far as the cap allows."""
        while self._waiting_for_budget:
            request_id, request = self._waiting_for_budget[0]
            need = self._budget.worst_cost(request, batch=False)
            if not self._budget.has_room_for(need):
                if not self._in_flight:
                    raise self._budget.cap_error(need)
                return
            self._waiting_for_budget.popleft()
            self._budget.reserve(need)
            self._in_flight += 1
            self._pool.submit(self._send, _InFlightRequest(request_id, request, need))

    def _send(self, flight: _InFlightRequest) -> None:
        """Send a request, in a thread of the pool."""
        try:
            flight.reply = self._client.send(flight.request)
        except BaseException as error:
            flight.error = error
        self._finished.put(flight)

    def _next_finished(self) -> _InFlightRequest:
        while True:
            self._check()
            try:
                flight = self._finished.get(timeout=_STOP_CHECK_S)
            except Empty:
                continue
            self._in_flight -= 1
            return flight

    def _receive(self, flight: _InFlightRequest) -> ModelReply:
        if flight.error is not None:
            raise flight.error
        assert flight.reply is not None
        reply = flight.reply
        self._keep(flight, reply)
        self._refusals.receive(flight.request, reply)
        self._failed_in_a_row = self._failed_in_a_row + 1 if reply.status == "api_error" else 0
        if self._failed_in_a_row >= max(MIN_FAILURES_IN_A_ROW, 2 * self._concurrency):
            raise TooManyFailures(self._client.name, self._failed_in_a_row, reply.detail)
        return reply

    def _keep(self, flight: _InFlightRequest, reply: ModelReply) -> None:
        self._budget.settle(flight.reserved, reply.usage, batch=False)
        self._ledger.put(flight.request_id, reply)
