"""The protocol of teachers: requests for traces and their outcomes."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.tasks.countdown.problems import Problem
from pipelines.teachers.draft import WrittenTrace


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One trace to write."""

    index: int
    """Index of the request in its set, from 0."""
    problem: Problem
    condition: str
    seed: str
    """Seed of the trace's random choices; a deterministic teacher writes equal traces for equal seeds."""


@dataclass(frozen=True, slots=True)
class DroppedTrace:
    """A request without a trace; `reason` is e.g. `unsolved`, `refused`, `truncated`."""

    reason: str


@dataclass(frozen=True, slots=True)
class TraceOutcome:
    """The outcome of a request: a trace, or the reason for none."""

    request: TraceRequest
    result: WrittenTrace | DroppedTrace


class Teacher(Protocol):
    """Writes traces. Building one is cheap and spends nothing; SDKs are imported at the first request."""

    @property
    def name(self) -> str:
        """`symbolic`, or a model such as `anthropic:MODEL`."""
        ...

    def answer(self, requests: Iterable[TraceRequest], work: Path) -> Generator[TraceOutcome]:
        """Yield one outcome per request, in any order, as soon as it is known.

        The caller scores traces, detects repeats and requests what is missing. Several requests may be in flight at
        once. If the generator is closed early, it sends nothing more and keeps the replies in flight.

        Args:
            requests: consumed lazily; finite.
            work: an existing folder for batch ids and replies, with which an interrupted teacher continues without
                paying twice.

        Raises:
            MissingRequirement: a key or a package is missing.
            Interrupted: a stop signal arrived; `work` is consistent.
        """
        ...
