"""Run dialogues to completion in a folder, with ledger, budget and client set up in one place."""

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from pipelines.files import write_json
from pipelines.llm.batch_runner import BatchRunner
from pipelines.llm.clients.protocol import ModelClient
from pipelines.llm.ledger import Ledger
from pipelines.llm.live_runner import run_live
from pipelines.llm.prices import Budget, Price
from pipelines.llm.refusals import RefusalMonitor
from pipelines.llm.requests import Dialogue
from pipelines.signals import graceful

D = TypeVar("D", bound=Dialogue)

SPENDING_FILE: Final = "spent.json"
"""File in `work` with the spending of all attempts so far."""
MAX_OPEN_DIALOGUES: Final = 5_000
"""Dialogues open at once in batch mode; each takes about ten kilobytes of memory."""


class RequestSettings(Protocol):
    """Settings of sending requests, none of which changes a reply."""

    @property
    def batch(self) -> bool:
        """Whether to send batches, to a Batch API or a local batch runner."""
        ...

    @property
    def concurrency(self) -> int:
        """Live requests in flight at once."""
        ...

    @property
    def spending_cap(self) -> float | None:
        """US dollars; None for no limit."""
        ...

    @property
    def poll_s(self) -> float:
        """Seconds between polls of open batches."""
        ...


@dataclass(frozen=True, slots=True)
class BatchRequestConfig:
    """Settings for a local batch runner, which is polled every second."""

    spending_cap: float | None = None
    batch: bool = True
    concurrency: int = 1
    poll_s: float = 1.0


def run_dialogues(
    dialogues: Iterable[D],
    asking: RequestSettings,
    client: Callable[[], ModelClient],
    price: Price | None,
    work: Path,
    *,
    spent_before: float = 0.0,
) -> Generator[D]:
    """Yield each dialogue once it is finished. Replies that `work` already holds are used, and not paid for again.

    Args:
        dialogues: consumed lazily.
        asking: how requests are sent.
        client: builds the client, after the budget was checked.
        price: of the model; None if unknown.
        work: an existing folder for replies, batches and `spent.json`.
        spent_before: US dollars spent elsewhere under the same cap.

    Raises:
        MissingRequirement: the key or the SDK is missing, or the service refuses the key.
        SpendingCapReached, ServiceUnavailable, ServiceRefused, TooManyFailures: another run continues.
        Interrupted: a stop signal arrived.
    """
    ledger = Ledger(work)
    try:
        spent = 0.0 if price is None else price.ledger_cost(ledger)
        budget = Budget(price, asking.spending_cap, spent + spent_before)
        service = client()
        refusals = RefusalMonitor(service.name, ledger)
        batches: BatchRunner[D] = BatchRunner(
            service,
            ledger,
            budget,
            work,
            poll_s=asking.poll_s,
            at_once=MAX_OPEN_DIALOGUES,
            report=_log,
            check=_check,
            refusals=refusals,
        )
        finished: Generator[D]
        if asking.batch:
            finished = batches.run(dialogues)
        else:
            batches.drain()  # batches of an earlier attempt are paid for already
            finished = run_live(
                dialogues, service, ledger, budget, concurrency=asking.concurrency, check=_check, refusals=refusals
            )
        with closing(finished):  # requests in flight finish before the ledger is closed
            yield from refusals.withhold_refused(finished)
    finally:
        write_json(work / SPENDING_FILE, _spending_summary(ledger, price))
        ledger.close()


def _spending_summary(ledger: Ledger, price: Price | None) -> dict[str, Any]:
    total = ledger.usage + ledger.batch_usage
    return {
        "answers": len(ledger),
        "input_tokens": total.input_tokens,
        "cached_tokens": total.cached_tokens,
        "cache_write_tokens": total.cache_write_tokens,
        "output_tokens": total.output_tokens,
        "cost_usd": None if price is None else price.ledger_cost(ledger),
    }


def _check() -> None:
    """Raise Interrupted if a stop signal arrived during a long wait."""
    with graceful() as stop:
        stop.raise_if_requested()


def _log(line: str) -> None:
    """Write a line to the stage's log, since batches take hours."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
