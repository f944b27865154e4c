"""The protocol of model clients, and how users name models: provider, model, URL, key."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, Self
from urllib.parse import urlsplit

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.llm.requests import ModelReply, ModelRequest

Provider = Literal["openai", "anthropic", "vllm"]
KEY_VARIABLES: Final[dict[Provider, str]] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "vllm": "VLLM_API_KEY",
}

MAX_RETRIES: Final = 8
"""Retries of the SDK; with its back-off they take about forty seconds."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as users name it (`openai:MODEL`, `anthropic:MODEL`, `vllm:MODEL`) and the URL of its server."""

    provider: Provider
    model: str
    url: str | None = None
    """Base URL of a service that speaks the provider's protocol; required for `vllm`."""

    @classmethod
    def parse(cls, text: str, url: str | None = None) -> Self:
        """Parse `PROVIDER:MODEL`.

        Raises:
            InvalidInput: unknown provider, no model, or a URL that is malformed or contains a password.
        """
        provider, _, model = text.partition(":")
        if provider not in KEY_VARIABLES or not model:
            raise InvalidInput(f"{text!r} names no model", remedy="Write openai:MODEL, anthropic:MODEL or vllm:MODEL.")
        _check_url(text, url)
        return cls(provider, model, url)

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    @property
    def key_variable(self) -> str:
        """Environment variable with the key."""
        return KEY_VARIABLES[self.provider]


def _check_url(text: str, url: str | None) -> None:
    if url is None:
        if text.startswith("vllm:"):
            raise InvalidInput(f"{text} needs the URL of its server", remedy="Set url, e.g. http://localhost:8000/v1.")
        return
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  checks it
    except ValueError:
        raise InvalidInput(
            f"the URL for {text} is malformed", remedy="Set url, e.g. to http://localhost:8000/v1."
        ) from None
    if parts.username is not None or parts.password is not None:
        # The URL is not quoted: it contains a secret, and this message is written to files.
        raise InvalidInput(
            f"the URL for {text} contains a user or password",
            remedy="Remove them; keys come from the environment only.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(
            f"the URL for {text} is malformed: {url!r}", remedy="Set url, e.g. to http://localhost:8000/v1."
        )


BatchState = Literal["running", "ended", "cancelled", "too_large", "refused"]
"""`cancelled`: by a person, at the service. `too_large` and `refused`: never started; a smaller batch may pass."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """State of a batch, and the service's message about it."""

    state: BatchState
    detail: str = ""


class ModelClient(Protocol):
    """One model service. Methods may be called from several threads.

    All of them raise MissingRequirement if the key is refused, and ServiceRefused or InvalidInput if no request to
    this service can succeed.
    """

    @property
    def name(self) -> str:
        """`PROVIDER:MODEL`, part of every request's id."""
        ...

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request in the service's format."""
        ...

    def send(self, request: ModelRequest) -> ModelReply:
        """Send a request and wait for the reply. A failure after the SDK's retries is the reply `api_error`."""
        ...

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        """Submits a batch of (id, request) pairs; returns the service's batch id. Never sends it a second time.

        Raises:
            ServiceUnavailable: the batch was not accepted; submit it again later.
            BatchStateUnknown: the connection broke; `find_batch` tells whether the batch was accepted.
        """
        ...

    def find_batch(self, ids: Sequence[str], tag: str, since: float, known: Collection[str]) -> str | None:
        """Find a batch whose id was never recorded; return its id, or None if the service does not have it.

        Args:
            ids: ids of the requests of the batch.
            tag: the tag it was submitted with.
            since: time just before the submission, seconds since the epoch.
            known: ids of other batches.

        Raises:
            BatchStateUnknown: running batches could be this one, which shows when they end.
            ServiceUnavailable: the service does not answer.
        """
        ...

    def get_batch_status(self, batch_id: str) -> BatchStatus:
        """Return the state of a batch.

        Raises:
            ServiceUnavailable: the service does not answer.
        """
        ...

    def batch_results(self, batch_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        """Iterate over (id, reply) pairs of an ended batch, in any order; None for a request to send again.

        Raises:
            ServiceUnavailable: the results could not be read completely.
        """
        ...


def api_key(spec: ModelSpec) -> str:
    """Return the key of a service from the environment.

    Raises:
        MissingRequirement: names the variable that is not set.
    """
    key = os.environ.get(spec.key_variable, "").strip()
    if key and not (key.isascii() and key.isprintable()):
        raise MissingRequirement(f"{spec.key_variable} contains characters that no key has", remedy="Set it again.")
    if key:
        return key
    if spec.provider == "vllm":
        return "none"  # the server needs no key, but the SDK requires one
    raise MissingRequirement(
        f"{spec} needs a key: {spec.key_variable} is not set", remedy=f"export {spec.key_variable}=…"
    )
