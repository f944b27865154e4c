"""What can go wrong between a client and a model's service."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Fault = Literal[
    "rate_limit",  # 429 with retry-after; passes when asked again
    "overloaded",  # 503 or 529; passes when asked again
    "cut",  # the connection closes in the middle of the answer; passes when asked again
    "slow",  # the answer comes in small pieces with pauses
    "bad_request",  # 400, for good
    "refusal",
    "length",  # the answer is cut at the token limit
    "prose",
    "broken_json",
    "empty",
    "phantom",  # quotes that are not in the text
    "wrong_segment",  # ids of segments that do not exist
    "prompt_quote",  # quotes what the judge was told instead of the trace
    "twelve_times",  # the first instance twelve times
    "markup",  # quotes and reasons full of markup and escape sequences
    "miscount",  # a count that is not the number of instances
    "fenced",  # right, but between fences and with trailing commas
    "errored",  # batches: this request failed on the server
    "expired",  # batches: not reached within the window
    "missing",  # batches: no line for it in the results
]

TRANSIENT: Final[frozenset[Fault]] = frozenset({"rate_limit", "overloaded", "cut"})
"""Faults that a second try of the same request does not meet."""

FaultPlan = Callable[[str], Fault | None]
"""Content of a request (its user text) → what goes wrong with it."""


def no_faults(content: str) -> Fault | None:
    """Everything goes well."""
    return None


@dataclass(slots=True)
class RandomFaults:
    """Each distinct request meets a fault with some probability, the same one whenever it is asked again."""

    share: float
    kinds: tuple[Fault, ...]
    seed: int = 0
    met: dict[str, int] = field(default_factory=dict)

    def __call__(self, content: str) -> Fault | None:
        """The fault of a request."""
        draw = random.Random(f"{self.seed}:{content}")
        if draw.random() >= self.share:
            return None
        fault = draw.choice(self.kinds)
        self.met[fault] = self.met.get(fault, 0) + 1
        return fault


BatchFault = Literal["lost_reply", "too_large", "invalid", "never_arrives"]
"""What happens to a whole batch when it is created: it is accepted, but the connection closes before its id is sent;
it exceeds the account's limit of tokens; it fails its validation; the connection closes before it is taken."""


@dataclass(frozen=True, slots=True)
class FaultsByText:
    """A fault for each request that contains some text."""

    faults: Mapping[str, Fault]

    def __call__(self, content: str) -> Fault | None:
        """The fault of a request."""
        return next((fault for text, fault in self.faults.items() if text in content), None)
