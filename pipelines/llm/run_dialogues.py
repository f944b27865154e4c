"""Dialogues brought to their end in a folder: ledger, budget, client and way of asking put together once."""

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
from pipelines.llm.requests import Dialogue
from pipelines.signals import graceful

D = TypeVar("D", bound=Dialogue)

SPENDING_FILE: Final = "spent.json"
"""In `work`: what was spent so far, all attempts together."""
MAX_OPEN_DIALOGUES: Final = 5_000
"""Dialogues in work together in batch mode; each takes some ten kilobytes of memory."""


class RequestSettings(Protocol):
    """How a stage asks; none of it changes an answer."""

    @property
    def batch(self) -> bool:
        """Through a Batch API, or a runner that takes batches."""
        ...

    @property
    def concurrency(self) -> int:
        """Requests in flight at once, live."""
        ...

    @property
    def spending_cap(self) -> float | None:
        """US dollars, or no limit."""
        ...

    @property
    def poll_s(self) -> float:
        """Seconds between two looks at open batches."""
        ...


@dataclass(frozen=True, slots=True)
class BatchRequestConfig:
    """Asking through a runner that takes batches and is looked at every second."""

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
    """Yields each dialogue once it is finished; goes on from what `work` holds, for which nothing is paid again.

    Args:
        dialogues: what needs answers; taken lazily.
        asking: how.
        client: makes the client, once the budget is known to be in order.
        price: of the model; None where it is unknown.
        work: an existing folder for replies, batches and `spent.json`.
        spent_before: US dollars spent elsewhere under the same cap.

    Raises:
        MissingRequirement: the key or the SDK is missing, or the key is refused.
        SpendingCapReached, ServiceUnavailable, ServiceRefused, EverythingFails: run again, it continues.
        Interrupted: told to stop.
    """
    ledger = Ledger(work)
    try:
        spent = 0.0 if price is None else price.ledger_cost(ledger)
        budget = Budget(price, asking.spending_cap, spent + spent_before)
        service = client()
        batches: BatchRunner[D] = BatchRunner(
            service, ledger, budget, work, poll_s=asking.poll_s, at_once=MAX_OPEN_DIALOGUES, report=_log, check=_check
        )
        finished: Generator[D]
        if asking.batch:
            finished = batches.run(dialogues)
        else:
            batches.drain()  # of an attempt that asked in batches: what they hold is paid already
            finished = run_live(dialogues, service, ledger, budget, concurrency=asking.concurrency, check=_check)
        with closing(finished):  # what is in flight lands before the ledger is closed
            yield from finished
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
    """Ends a long wait when the stage is told to stop."""
    with graceful() as stop:
        stop.raise_if_requested()


def _log(line: str) -> None:
    """Into the stage's log: batches take hours."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
