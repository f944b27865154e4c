"""Dialogues run through a vendor's Batch API: batches are submitted, polled and collected across restarts."""

import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

from pipelines.errors import CogtuiError
from pipelines.llm.batch_records import BatchRecord, BatchRecords
from pipelines.llm.clients.errors import (
    MIN_FAILURES_IN_A_ROW,
    BatchStateUnknown,
    ServiceRefused,
    ServiceUnavailable,
    TooManyFailures,
)
from pipelines.llm.clients.protocol import ModelClient
from pipelines.llm.ledger import Ledger
from pipelines.llm.prices import Budget
from pipelines.llm.refusals import RefusalMonitor
from pipelines.llm.requests import Dialogue, ModelReply, ModelRequest, TokenUsage

D = TypeVar("D", bound=Dialogue)
T = TypeVar("T")

MAX_REQUESTS: Final = 10_000
"""Requests in one batch; the vendors allow 50,000 and 100,000."""
MAX_CHARACTERS: Final = 50_000_000
"""Characters in one batch; the vendors allow 200 and 256 MB, and the text is in memory during submission."""
MAX_TRIES: Final = 4
"""Batches a request goes through before it is given up; expired batches and server errors count."""
_SLICE_S: Final = 0.5


class BatchRunner(Generic[D]):
    """Runs dialogues to completion through batches; all pending requests of a dialogue go into one batch.

    Args:
        client: the service.
        ledger: keeps collected replies.
        budget: the spending cap.
        work: folder for batch records.
        poll_s: seconds between polls of open batches.
        at_once: dialogues open at once, which bounds memory.
        settle_s: how long after a crash a batch in submission may still appear at the service; None means one
            polling interval, at most 15 s.
        patience_s: how long to retry a service that does not answer.
        report: receives a line about each change.
        check: called twice per second; raises an error to stop.
        refusals: counts requests that are refused for good.
    """

    def __init__(
        self,
        client: ModelClient,
        ledger: Ledger,
        budget: Budget,
        work: Path,
        *,
        poll_s: float = 30.0,
        at_once: int = 10_000,
        settle_s: float | None = None,
        patience_s: float = 1800.0,
        report: Callable[[str], None] = lambda line: None,
        check: Callable[[], None] = lambda: None,
        refusals: RefusalMonitor | None = None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._budget = budget
        self._files = BatchRecords(work / "batches")
        self._final: dict[str, ModelReply] = {}
        """Errors that cost nothing, for requests this run gave up; the ledger does not keep them."""
        self._poll_s = poll_s
        self._at_once = at_once
        self._settle_s = min(15.0, poll_s) if settle_s is None else settle_s
        self._patience_s = patience_s
        self._report = report
        self._check = check
        self._refusals = refusals or RefusalMonitor(client.name, ledger)
        self._most = MAX_REQUESTS
        self._missed: dict[str, float] = {}
        """Tag of a batch not found at the service → when it was first missing, on the monotonic clock."""
        self._silent_since: float | None = None
        for batch in self._files.open:
            budget.reserve(batch.reserved)

    def run(self, dialogues: Iterable[D]) -> Generator[D]:
        """Yield each dialogue once it is finished.

        Raises:
            SpendingCapReached: no batch is open, and the next request exceeds the cap.
            ServiceUnavailable: the service has not answered for too long.
            TooManyFailures: a whole batch failed.
            ServiceRefused: the service refuses a batch, or a person cancelled one there.
        """
        source = iter(dialogues)
        group: list[D] = []
        exhausted = False
        while True:
            if not exhausted and len(group) <= self._at_once // 2:
                fresh = list(islice(source, self._at_once - len(group)))
                exhausted = not fresh
                group += fresh
            missing: dict[str, ModelRequest] = {}
            unfinished: list[D] = []
            for dialogue in group:
                wanted = self._feed(dialogue)
                missing.update(wanted)
                if wanted:
                    unfinished.append(dialogue)
                else:
                    yield dialogue
            group = unfinished
            if missing:
                self._round(missing)
            elif exhausted:
                return

    def drain(self) -> None:
        """Waits for all batches that earlier runs left open and keeps their replies; submits nothing.

        Raises:
            CogtuiError: as `run`.
        """
        while True:
            self._recover()
            self._collect_ended()
            if not self._files.open:
                return
            self._pause(self._poll_s)

    def _feed(self, dialogue: D) -> dict[str, ModelRequest]:
        """Pass all available replies to a dialogue; return the requests without one, by id."""
        while True:
            missing: dict[str, ModelRequest] = {}
            taken = False
            for request in dialogue.pending_requests():
                request_id = request.id(self._client.name)
                reply = self._ledger.get(request_id) or self._final.get(request_id)
                if reply is None:
                    missing[request_id] = request
                else:
                    dialogue.receive_reply(request, reply)
                    taken = True
            if not taken:
                return missing

    def _round(self, missing: dict[str, ModelRequest]) -> None:
        """Submit the requests that no open batch holds, then wait until a batch has ended and is collected."""
        while True:
            self._recover()
            self._submit(missing)
            if self._collect_ended():
                break
            self._pause(self._poll_s)
        under_way = set(self._files.open_request_ids())
        for request_id in missing:
            tried = self._files.tries[request_id] >= MAX_TRIES and request_id not in under_way
            if tried and request_id not in self._ledger:
                detail = f"no answer in {MAX_TRIES} batches"
                self._final.setdefault(request_id, ModelReply("api_error", detail=detail, batch=True))

    def _recover(self) -> None:
        """Find the ids of batches that were submitted before a crash or a lost connection."""
        for batch in [batch for batch in self._files.open if batch.id is None]:
            found = self._patiently(partial(self._find, batch))
            if found:
                self._files.mark_submitted(batch, found)
                self._report(f"recovered batch {found}, {len(batch.ids)} requests")

    def _find(self, batch: BatchRecord) -> str | None:
        """Return the id of a batch, or None; release the requests of one that the service certainly does not have."""
        try:
            found = self._client.find_batch(batch.ids, batch.tag, batch.intended, self._files.batch_ids)
        except BatchStateUnknown as unsure:
            self._report(str(unsure))
            return None
        if found is None:
            since = self._missed.setdefault(batch.tag, time.monotonic())
            if time.monotonic() - since >= self._settle_s:
                self._give_up(batch)
        return found

    def _submit(self, missing: dict[str, ModelRequest]) -> None:
        """Submit the requests that no open batch holds, up to the cap; record each batch before it is submitted."""
        under_way = set(self._files.open_request_ids())
        fresh = [(request_id, request) for request_id, request in missing.items() if request_id not in under_way]
        while fresh:
            chunk, reserved = self._chunk(fresh)
            if not chunk:
                return
            del fresh[: len(chunk)]
            batch = self._files.create([request_id for request_id, _ in chunk], time.time(), reserved)
            self._budget.reserve(reserved)
            try:
                batch_id = self._client.submit_batch(chunk, batch.tag)
            except BatchStateUnknown as unsure:
                self._report(str(unsure))
                return
            except CogtuiError as error:  # the service certainly did not take it
                self._give_up(batch)
                if isinstance(error, ServiceUnavailable):
                    self._silence(error)
                    return
                raise
            self._silent_since = None
            self._files.mark_submitted(batch, batch_id)
            self._report(f"submitted batch {batch_id}, {len(chunk)} requests")

    def _chunk(self, fresh: list[tuple[str, ModelRequest]]) -> tuple[list[tuple[str, ModelRequest]], float]:
        """Return as many requests as fit into one batch and under the cap, and the budget to reserve.

        Raises:
            SpendingCapReached: none fits, and no open batch could release budget.
        """
        chunk: list[tuple[str, ModelRequest]] = []
        reserved = 0.0
        characters = 0
        for request_id, request in fresh[: self._most]:
            need = self._budget.worst_cost(request, batch=True)
            characters += sum(map(len, request.billed_texts()))
            if chunk and characters > MAX_CHARACTERS:
                break
            if not self._budget.has_room_for(reserved + need):
                if not chunk and not self._files.open:
                    raise self._budget.cap_error(need)
                break
            reserved += need
            chunk.append((request_id, request))
        return chunk, reserved

    def _collect_ended(self) -> bool:
        """Keep the replies of every ended batch; return whether there was one. Missing replies are requested again."""
        found = False
        for batch in [batch for batch in self._files.open if batch.id is not None]:
            found = self._patiently(partial(self._collect, batch)) or found
        return found

    def _collect(self, batch: BatchRecord) -> bool:
        assert batch.id is not None
        look = self._client.get_batch_status(batch.id)
        match look.state:
            case "running":
                return False
            case "too_large":
                self._shrink(batch)
                return True
            case "refused":
                self._give_up(batch)
                raise ServiceRefused(
                    f"{self._client.name}: the service refuses the batch {batch.id}",
                    detail=look.detail,
                    remedy="Set batch = false, or fix what the service names; this batch cost nothing.",
                )
        self._keep(batch, batch.id, cancelled=look.state == "cancelled")
        return True

    def _keep(self, batch: BatchRecord, batch_id: str, *, cancelled: bool) -> None:
        """Keep the replies of an ended batch.

        Raises:
            TooManyFailures: all of its requests failed. ServiceRefused: all were refused, or a person cancelled it.
        """
        unanswered = dict.fromkeys(batch.ids)
        errors: list[ModelReply] = []
        for request_id, reply in self._client.batch_results(batch_id):
            if reply is None or request_id not in unanswered:
                continue
            if not reply.is_final:
                self._final[request_id] = reply
                errors.append(reply)
            elif request_id not in self._ledger:
                self._ledger.put(request_id, reply)
                self._budget.settle(0.0, reply.usage, batch=True)
            del unanswered[request_id]
        total = len(batch.ids)
        self._budget.settle(batch.reserved, TokenUsage(), batch=True)
        self._files.mark_collected(batch, list(unanswered))
        self._report(f"collected batch {batch_id}: {total - len(unanswered)} of {total} requests answered")
        if len(errors) == total:
            self._refusals.receive_batch(errors)
            if total >= MIN_FAILURES_IN_A_ROW:
                raise TooManyFailures(self._client.name, total, errors[-1].detail)
        if cancelled and unanswered:
            raise ServiceRefused(
                f"{self._client.name}: the batch {batch_id} was cancelled at the service",
                detail=f"{total - len(unanswered)} of its {total} requests were answered; those answers are kept.",
                remedy="Run the same command again to submit the rest.",
            )

    def _give_up(self, batch: BatchRecord) -> None:
        """Release the requests of a batch that the service does not have or never started."""
        self._budget.settle(batch.reserved, TokenUsage(), batch=True)
        self._files.mark_collected(batch, batch.ids, began=False)

    def _shrink(self, batch: BatchRecord) -> None:
        """Halve the size of batches, because the account's limit is lower."""
        total = len(batch.ids)
        self._give_up(batch)
        if total == 1 and not self._files.open:
            raise ServiceRefused(
                f"{self._client.name}: a single request exceeds the account's limit of tokens in batches",
                remedy="Set batch = false.",
            )
        self._most = max(1, total // 2)
        self._report(f"batch {batch.id} exceeds the account's limit; going on with {self._most} requests at a time")
        self._pause(self._poll_s)

    def _patiently(self, call: Callable[[], T]) -> T | None:
        """Call the service; return None if it does not answer this time.

        Raises:
            ServiceUnavailable: it has not answered for `patience_s`.
        """
        try:
            result = call()
        except ServiceUnavailable as error:
            self._silence(error)
            return None
        self._silent_since = None
        return result

    def _silence(self, error: ServiceUnavailable) -> None:
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since >= self._patience_s:
            raise error
        self._report(f"{error.summary}: {error.detail.partition(chr(10))[0]}; retrying")

    def _pause(self, seconds: float) -> None:
        """Sleep in slices, since a signal handler does not end a sleep."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(_SLICE_S, left))
        self._check()
