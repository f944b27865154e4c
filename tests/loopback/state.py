"""The state of the server that both protocols share: brain, faults, ledger, batches."""

import hashlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from tests.loopback.brain import Answer, Brain, Question, spoilt, tokens
from tests.loopback.faults import TRANSIENT, BatchFault, Fault, FaultPlan, no_faults
from tests.loopback.ledger import Bill, Ledger

_CACHED_FROM: Final = 1024
"""Tokens from which on a prompt is cached."""
_BLOCK: Final = 512
"""Number of characters by which a common prefix is detected, where the protocol has no cache marks."""


@dataclass(slots=True)
class Batch:
    """A batch of either protocol. It ends after some polls, not after some time: tests need no clock."""

    id: str
    requests: list[dict[str, Any]]
    created: int
    metadata: dict[str, str] = field(default_factory=dict)
    input_file: str = ""
    polls_left: int = 2
    results: list[dict[str, Any]] | None = None
    """Result lines once ended, in an order of the server's own."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    failed: str = ""
    """Code of the error that ended its validation."""
    cancelled: bool = False

    def reached(self) -> list[dict[str, Any]]:
        """The requests it works on: all, or half of them where a person cancels it."""
        return self.requests[: len(self.requests) // 2] if self.cancelled else self.requests


class RejectedError(Exception):
    """An HTTP error the server answers with."""

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.code = code


class CutError(Exception):
    """The server closes the connection in the middle of its answer."""


class DropError(Exception):
    """The server closes the connection without an answer."""


@dataclass(slots=True)
class State:
    """One server's memory."""

    brain: Brain
    faults: FaultPlan = no_faults
    key: str = "test-key"
    """The API key it accepts."""
    delay_s: float = 0.0
    """How long an answer takes: a model's thinking time, for tests of concurrency."""
    polls_before_done: int = 2
    context: int | None = None
    """Most tokens of a prompt and its answer, refused beyond as vLLM does; None takes everything."""
    batch_faults: deque[BatchFault] = field(default_factory=deque)
    """What happens to the next batches that are created, one each."""
    cut_results: int = 0
    """How many of the next downloads of results are cut in the middle."""
    downloads: int = 0
    """Files of results fetched so far."""
    ledger: Ledger = field(default_factory=Ledger)
    batches: dict[str, Batch] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    cache: set[str] = field(default_factory=set)
    """Digests of the beginnings of prompts seen."""
    clock: int = field(default_factory=lambda: int(time.time()))
    lock: threading.RLock = field(default_factory=threading.RLock)

    def tick(self) -> int:
        """A time stamp that never repeats."""
        with self.lock:
            self.clock += 1
            return self.clock

    def live(self, question: Question, body: dict[str, Any]) -> Answer:
        """Answers a request now, or fails as its fault says.

        Raises:
            RejectedError, CutError: the fault.
        """
        identity = request_identity(body)
        fault = self.faults(question.user)
        before = self.ledger.arrived(identity)
        if fault in TRANSIENT and not before:
            _raise_transient(fault)
        if fault == "bad_request":
            raise RejectedError(400, "this request cannot be processed")
        if self.context is not None:
            limit = int(body.get("max_tokens") or 0)
            prompt = tokens(question.system) + tokens(question.user)
            if prompt + limit > self.context:
                raise RejectedError(
                    400,
                    f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. This model's maximum context "
                    f"length is {self.context} tokens and your request has {prompt} input tokens",
                )
        return self._paid(identity, question, fault, batch=False)

    def batched(self, question: Question, body: dict[str, Any]) -> Answer | Fault:
        """Answers a request of a batch, or says how it failed; only answers are billed."""
        identity = request_identity(body)
        fault = self.faults(question.user)
        before = self.ledger.arrived(identity)
        if fault in ("errored", "expired", "missing") and not before:
            return fault
        if fault in TRANSIENT and not before:
            return "errored"
        if fault == "bad_request":
            return "errored"
        return self._paid(identity, question, fault, batch=True)

    def _paid(self, identity: str, question: Question, fault: Fault | None, *, batch: bool) -> Answer:
        text, stop = spoilt(self.brain, question, fault)
        if tokens(text) > question.max_tokens:
            text, stop = text[: 4 * question.max_tokens], "length"
        total = tokens(question.system) + tokens(question.user)
        with self.lock:
            cached, written = self._marked(question) if question.marked is not None else (self._common(question), 0)
        answer = Answer(text, stop, Bill(total - cached - written, cached, written, tokens(text)))
        self.ledger.billed(identity, answer.bill, batch=batch)
        return answer

    def _marked(self, question: Question) -> tuple[int, int]:
        """Tokens read from and written to the cache, where the prompt says what is to be cached."""
        beginning = f"{question.system}\n{question.marked}"
        size = tokens(beginning)
        if size < _CACHED_FROM:
            return 0, 0
        known = _digest(beginning) in self.cache
        self.cache.add(_digest(beginning))
        return (size, 0) if known else (0, size)

    def _common(self, question: Question) -> int:
        """Tokens read from the cache, where beginnings are recognised by themselves."""
        prompt = f"{question.system}\n{question.user}"
        known = 0
        digest = hashlib.sha256()
        for end in range(_BLOCK, len(prompt), _BLOCK):
            digest.update(prompt[end - _BLOCK : end].encode("utf-8", "surrogatepass"))
            if digest.hexdigest() in self.cache:
                known = end
            self.cache.add(digest.hexdigest())
        return known // 4 if known // 4 >= _CACHED_FROM else 0


def request_identity(body: dict[str, Any]) -> str:
    """What makes two requests the same: everything that was sent."""
    return _digest(json.dumps(body, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _raise_transient(fault: Fault) -> None:
    if fault == "rate_limit":
        raise RejectedError(429, "slow down", {"retry-after-ms": "5", "retry-after": "0"})
    if fault == "overloaded":
        raise RejectedError(529, "overloaded")
    raise CutError
