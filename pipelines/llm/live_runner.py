"""Dialogues answered now: as many at once as the service allows, one request after another within each."""

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
from pipelines.llm.requests import Dialogue, ModelReply, ModelRequest

D = TypeVar("D", bound=Dialogue)

_STOP_CHECK_S: Final = 0.5
"""How often a loop that waits for an answer looks whether it is told to stop."""


@dataclass(slots=True)
class _InFlightRequest:
    """A request under way. Every dialogue that wants the same waits for it: equal requests are sent once."""

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
) -> Generator[D]:
    """Brings each dialogue to its end and yields it, in the order in which they finish.

    Within a dialogue requests go one after another, so that the first warms the prompt cache for the rest.
    Dialogues are taken lazily: at most `concurrency` are open. However this ends, short of the process being
    killed, what was under way is waited for and kept.

    Args:
        dialogues: what needs answers.
        client: the service.
        ledger: where replies are looked up and kept.
        budget: the spending cap.
        concurrency: requests in flight at once.
        check: called twice a second; raises to stop.

    Raises:
        SpendingCapReached: nothing in flight is left, and the next request does not fit.
        EverythingFails: so many requests in a row failed that the rest would too.
        CogtuiError: as `Client.send` and `check` raise.
    """
    loop: _LiveLoop[D] = _LiveLoop(client, ledger, budget, concurrency, check)
    try:
        yield from loop.run(iter(dialogues))
    finally:
        loop.close()


class _LiveLoop(Generic[D]):
    def __init__(
        self, client: ModelClient, ledger: Ledger, budget: Budget, concurrency: int, check: Callable[[], None]
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._budget = budget
        self._concurrency = concurrency
        self._check = check
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="llm")
        self._landed: SimpleQueue[_InFlightRequest] = SimpleQueue()
        self._in_air = 0
        self._open = 0
        self._waiting: dict[str, list[D]] = {}
        self._held: deque[tuple[str, ModelRequest]] = deque()
        """Asks that wait for others to land, since all of them at their worst would break the cap."""
        self._failed_in_a_row = 0

    def run(self, source: Iterator[D]) -> Generator[D]:
        exhausted = False
        while True:
            self._take_off()
            while not exhausted and self._open < self._concurrency and not self._held:
                dialogue = next(source, None)
                if dialogue is None:
                    exhausted = True
                elif self._advance(dialogue):
                    yield dialogue
                else:
                    self._open += 1
            if not self._open:
                return
            flight = self._next_landing()
            reply = self._receive(flight)
            for dialogue in self._waiting.pop(flight.request_id):
                dialogue.receive_reply(flight.request, reply)
                if self._advance(dialogue):
                    self._open -= 1
                    yield dialogue

    def close(self) -> None:
        """Keeps what is still in the air when the loop ends early: it is being paid for."""
        while self._in_air:
            flight = self._landed.get()
            self._in_air -= 1
            if flight.reply is not None:
                self._keep(flight, flight.reply)
        self._pool.shutdown(wait=True)

    def _advance(self, dialogue: D) -> bool:
        """Answers a dialogue from the ledger as far as that goes, then asks for more. True once it is finished."""
        while wanted := dialogue.pending_requests():
            request = wanted[0]
            request_id = request.id(self._client.name)
            if request_id in self._waiting:
                self._waiting[request_id].append(dialogue)
                return False
            known = self._ledger.get(request_id)
            if known is None:
                self._waiting[request_id] = [dialogue]
                self._held.append((request_id, request))
                self._take_off()
                return False
            dialogue.receive_reply(request, known)
        return True

    def _take_off(self) -> None:
        """Sends what is held, as far as it fits under the cap."""
        while self._held:
            request_id, request = self._held[0]
            need = self._budget.worst_cost(request, batch=False)
            if not self._budget.has_room_for(need):
                if not self._in_air:
                    raise self._budget.cap_error(need)
                return
            self._held.popleft()
            self._budget.reserve(need)
            self._in_air += 1
            self._pool.submit(self._send, _InFlightRequest(request_id, request, need))

    def _send(self, flight: _InFlightRequest) -> None:
        """In a thread of the pool."""
        try:
            flight.reply = self._client.send(flight.request)
        except BaseException as error:
            flight.error = error
        self._landed.put(flight)

    def _next_landing(self) -> _InFlightRequest:
        while True:
            self._check()
            try:
                flight = self._landed.get(timeout=_STOP_CHECK_S)
            except Empty:
                continue
            self._in_air -= 1
            return flight

    def _receive(self, flight: _InFlightRequest) -> ModelReply:
        if flight.error is not None:
            raise flight.error
        assert flight.reply is not None
        reply = flight.reply
        self._keep(flight, reply)
        self._failed_in_a_row = self._failed_in_a_row + 1 if reply.status == "api_error" else 0
        if self._failed_in_a_row >= max(MIN_FAILURES_IN_A_ROW, 2 * self._concurrency):
            raise TooManyFailures(self._client.name, self._failed_in_a_row, reply.detail)
        return reply

    def _keep(self, flight: _InFlightRequest, reply: ModelReply) -> None:
        self._budget.settle(flight.reserved, reply.usage, batch=False)
        self._ledger.put(flight.request_id, reply)
