"""Requests that a service refuses and would refuse again (HTTP 400 and the like): when they end a run."""

from collections.abc import Generator, Iterable
from typing import Final, TypeVar

from pipelines.llm.clients.errors import ServiceRefused
from pipelines.llm.ledger import Ledger
from pipelines.llm.requests import ModelReply, ModelRequest

T = TypeVar("T")

_FEW: Final = 4
"""Refused requests, of several texts, that end a run in which none was answered."""


class RefusalMonitor:
    """Ends a run whose requests are all refused, before failures are written down as results.

    One text that is too long is an error of that text. A service that has answered nothing and refuses requests about
    several texts refuses the model, the limit of tokens or the schema.

    Args:
        name: `PROVIDER:MODEL`, for the message.
        ledger: of the work; one with replies shows that requests can be answered.
    """

    def __init__(self, name: str, ledger: Ledger) -> None:
        self._name = name
        self._ledger = ledger
        self._texts: set[str] = set()
        self._count = 0
        self._said = ""

    def receive(self, request: ModelRequest, reply: ModelReply) -> None:
        """Count a reply.

        Raises:
            ServiceRefused: a few requests about several texts were refused, and none was answered.
        """
        if not reply.permanent:
            return
        self._texts.add(request.shared or request.question)
        self._count += 1
        self._said = reply.detail
        if self._count >= _FEW and len(self._texts) > 1 and not len(self._ledger):
            raise self._error()

    def receive_batch(self, replies: Iterable[ModelReply]) -> None:
        """Count the failed replies of a whole batch.

        Raises:
            ServiceRefused: all were refused, and no request of this work was ever answered.
        """
        failed = list(replies)
        if not failed or len(self._ledger) or not all(reply.permanent for reply in failed):
            return
        self._count += len(failed)
        self._said = failed[-1].detail
        raise self._error()

    def withhold_refused(self, finished: Iterable[T]) -> Generator[T]:
        """Yield finished work, but hold it back while requests were refused and none was answered.

        Raises:
            ServiceRefused: that was so until the end.
        """
        held: list[T] = []
        for each in finished:
            held.append(each)
            if not self._count or len(self._ledger):
                yield from held
                held.clear()
        if held:
            raise self._error()

    def _error(self) -> ServiceRefused:
        return ServiceRefused(
            f"{self._name}: the service refused all {self._count} requests so far, and would refuse them again",
            detail=f"The last one: {self._said}",
            remedy="Fix what the service names (the length of texts and answers, the model), then run the same "
            "command again; nothing was written down as judged.",
        )
