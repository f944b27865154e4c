"""Requests to a model, replies, token usage, and the protocol of dialogues that exchange them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from pipelines.files import canonical_json

ReplyStatus = Literal["ok", "truncated", "refused", "api_error"]
"""`truncated`: the answer reached the token limit. `api_error`: there is no answer."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request, independent of the vendor. Equal requests have equal ids in every run."""

    system: str
    shared: str
    """Text that many requests share (the trace). It is sent first and marked, so that prompt caching works."""
    question: str
    schema: dict[str, Any] | None
    """JSON schema of the answer; None for free text."""
    max_tokens: int
    turns: tuple[tuple[str, str], ...] = ()
    """Earlier (answer, follow-up question) pairs of a corrective re-ask."""
    temperature: float | None = None
    """None leaves it to the service; for vLLM servers None means 0."""

    def id(self, model: str) -> str:
        """Return 24 hex digits that identify the model and everything sent to it."""
        sent = [
            model,
            self.system,
            self.shared,
            self.question,
            self.schema,
            self.max_tokens,
            self.turns,
            self.temperature,
        ]
        return hashlib.sha256(canonical_json(sent).encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def billed_texts(self) -> tuple[str, ...]:
        """Return all texts that are billed as input."""
        return (self.system, self.shared, self.question, *(text for turn in self.turns for text in turn))


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts reported by the service."""

    input_tokens: int = 0
    """All input tokens, cached or not."""
    cached_tokens: int = 0
    """Input tokens read from the prompt cache."""
    output_tokens: int = 0
    cache_write_tokens: int = 0
    """Input tokens written to the prompt cache at a surcharge."""

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    @property
    def was_billed(self) -> bool:
        """Whether the service counted any token."""
        return self.input_tokens + self.output_tokens > 0


@dataclass(frozen=True, slots=True)
class ModelReply:
    """The reply to a request."""

    status: ReplyStatus
    text: str = ""
    detail: str = ""
    """Error message of the service for `api_error`, with keys removed."""
    usage: TokenUsage = field(default_factory=TokenUsage)
    batch: bool = False
    """Whether it came through a batch, which is cheaper."""
    permanent: bool = False
    """Whether the service would refuse the same request again (HTTP 400 and the like); only of an `api_error`."""

    @property
    def is_final(self) -> bool:
        """Whether it is kept; an error that cost nothing is requested again in the next run."""
        return self.status != "api_error" or self.usage.was_billed

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values for the ledger."""
        usage = {name: getattr(self.usage, name) for name in TokenUsage.__slots__}
        kept = (name for name in ModelReply.__slots__ if name != "permanent")  # never true of a reply that is kept
        return {name: getattr(self, name) for name in kept} | {"usage": usage}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Build the reply from a ledger line."""
        return cls(**{**value, "usage": TokenUsage(**value["usage"])})


class Dialogue(Protocol):
    """A unit of work that needs replies, perhaps in several turns, e.g. a trace to judge."""

    def pending_requests(self) -> Sequence[ModelRequest]:
        """Return the requests it needs replies to now; empty once finished. Live, they are sent one after another."""
        ...

    def receive_reply(self, request: ModelRequest, reply: ModelReply) -> None:
        """Receive the reply to one of the pending requests."""
        ...
