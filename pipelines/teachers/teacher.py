"""What every teacher is: a name, and a way from requests to traces."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.tasks.countdown.problems import Problem
from pipelines.teachers.draft import WrittenTrace


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One trace to be written."""

    index: int
    """Counts the requests of a set from 0; names the request in files that a teacher keeps."""
    problem: Problem
    condition: str
    seed: str
    """Seeds the random choices for this trace; the same seed, the same trace, where the teacher is deterministic."""


@dataclass(frozen=True, slots=True)
class DroppedTrace:
    """No trace came of a request, and why, in one or two words: `unsolved`, `refused`, `truncated`."""

    reason: str


@dataclass(frozen=True, slots=True)
class TraceOutcome:
    """What came of a request."""

    request: TraceRequest
    result: WrittenTrace | DroppedTrace


class Teacher(Protocol):
    """Writes traces. Making one is cheap and spends nothing; SDKs are imported when it first answers."""

    @property
    def name(self) -> str:
        """`symbolic`, or kind and model as in `anthropic:MODEL`."""
        ...

    def answer(self, requests: Iterable[TraceRequest], work: Path) -> Generator[TraceOutcome]:
        """Answers each request exactly once, in any order, as soon as its outcome is known.

        Traces are scored, checked for repeats and counted by the caller, which asks again for what is missing:
        a teacher does not need to know how many are wanted. Several requests may be in flight at once. Closed
        early, it asks nothing more and keeps what is in flight.

        Args:
            requests: consumed lazily; finite.
            work: an existing folder where a teacher keeps what it needs to go on after an interruption without
                asking (and paying) twice: batch ids, answers by request index.

        Raises:
            MissingRequirement: a key or a package is missing. Interrupted: told to stop; `work` is whole.
        """
        ...
