"""What is asked, what comes back, and the dialogue that turns one into the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from pipelines.files import canonical_json

ReplyStatus = Literal["ok", "truncated", "refused", "api_error"]
"""`truncated`: the token limit ended it. `api_error`: no answer."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request, in no vendor's terms. Equal requests have equal ids wherever and whenever they are made."""

    system: str
    shared: str
    """What many requests have in common (the trace); sent first and marked, so that prompt caching works."""
    question: str
    schema: dict[str, Any] | None
    """JSON schema of the answer; None for free text."""
    max_tokens: int
    turns: tuple[tuple[str, str], ...] = ()
    """Earlier (answer, follow-up question) pairs of a corrective re-ask."""
    temperature: float | None = None
    """None leaves it to the service, but for servers of one's own, where it is 0."""

    def id(self, model: str) -> str:
        """24 hex digits over everything that is sent, and to which model."""
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
        """All texts of it that are billed as input."""
        return (self.system, self.shared, self.question, *(text for turn in self.turns for text in turn))


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens as the service counted them."""

    input_tokens: int = 0
    """All of the input, cached or not."""
    cached_tokens: int = 0
    """Of the input, those read from the prompt cache."""
    output_tokens: int = 0
    cache_write_tokens: int = 0
    """Of the input, those written to the prompt cache for more than the plain price."""

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    @property
    def was_billed(self) -> bool:
        """Whether the service counted anything at all."""
        return self.input_tokens + self.output_tokens > 0


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What came back for a request."""

    status: ReplyStatus
    text: str = ""
    detail: str = ""
    """For `api_error` what the service said, without any key."""
    usage: TokenUsage = field(default_factory=TokenUsage)
    batch: bool = False
    """It came through a batch, which is cheaper."""

    @property
    def is_final(self) -> bool:
        """Whether it is kept for good: an error that cost nothing is asked again by the next run."""
        return self.status != "api_error" or self.usage.was_billed

    def as_dict(self) -> dict[str, Any]:
        """JSON values for the ledger."""
        usage = {name: getattr(self.usage, name) for name in TokenUsage.__slots__}
        return {name: getattr(self, name) for name in ModelReply.__slots__} | {"usage": usage}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """The reply in a ledger's line."""
        return cls(**{**value, "usage": TokenUsage(**value["usage"])})


class Dialogue(Protocol):
    """Something that needs answers, perhaps in several turns: a trace to be judged, a problem to be taught."""

    def pending_requests(self) -> Sequence[ModelRequest]:
        """The requests it needs answered now; empty once it is finished. Live, they are asked one after another."""
        ...

    def receive_reply(self, request: ModelRequest, reply: ModelReply) -> None:
        """Hands it the reply to one of the requests it wanted."""
        ...
