"""Which model, through which service, with which key: the seam between our requests and the vendors' SDKs."""

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
"""Tries of the SDK beyond the first: with its waiting between them some forty seconds."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as users name it: `openai:MODEL`, `anthropic:MODEL`, `vllm:MODEL`, and where it is served."""

    provider: Provider
    model: str
    url: str | None = None
    """Base URL of another service that speaks the same protocol; required for `vllm`."""

    @classmethod
    def parse(cls, text: str, url: str | None = None) -> Self:
        """Reads `PROVIDER:MODEL`.

        Raises:
            InvalidInput: no known provider, no model, or a URL that cannot be one or holds a password.
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
        """The environment variable its key is read from."""
        return KEY_VARIABLES[self.provider]


def _check_url(text: str, url: str | None) -> None:
    if url is None:
        if text.startswith("vllm:"):
            raise InvalidInput(f"{text} needs the URL of its server", remedy="Give it, e.g. http://localhost:8000/v1.")
        return
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  checks it
    except ValueError:
        raise InvalidInput(f"the URL for {text} is not one", remedy="Give one like http://localhost:8000/v1.") from None
    if parts.username is not None or parts.password is not None:
        # not quoted: what stands in it is a secret, and this message is written to files
        raise InvalidInput(
            f"the URL for {text} holds a user or password", remedy="Leave it out; keys come from the environment only."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(f"the URL for {text} is not one: {url!r}", remedy="Give one like http://localhost:8000/v1.")


BatchState = Literal["running", "ended", "cancelled", "too_large", "refused"]
"""`cancelled`: by a person, at the service. `too_large`, `refused`: it was never begun; smaller or later, the first
may pass."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How a batch is, and what the service said of it."""

    state: BatchState
    detail: str = ""


class ModelClient(Protocol):
    """One service. Methods may be called from several threads.

    All of them raise MissingRequirement where the key is refused, and ServiceRefused or InvalidInput where
    the service says that nothing will succeed.
    """

    @property
    def name(self) -> str:
        """`PROVIDER:MODEL`, part of every request's id."""
        ...

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        """The request as this service wants it."""
        ...

    def send(self, request: ModelRequest) -> ModelReply:
        """Asks now. Retries what the SDK retries; what fails then comes back as `api_error`."""
        ...

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        """Submits a batch of (id, request) pairs; returns the service's batch id. Never sends it a second time.

        Raises:
            ServiceUnavailable: it was not taken; it may be submitted again later.
            Unsure: the way broke; the service may or may not have taken it. Ask `find_batch`.
        """
        ...

    def find_batch(self, ids: Sequence[str], tag: str, since: float, known: Collection[str]) -> str | None:
        """The id of a batch of these requests whose id was never noted; None where the service has none.

        Args:
            ids: the requests of the batch.
            tag: what it was submitted with.
            since: when it was about to be submitted, seconds since the epoch.
            known: ids of batches that are others.

        Raises:
            Unsure: there are batches of which it cannot be told before they end.
            ServiceUnavailable: the service does not answer.
        """
        ...

    def get_batch_status(self, batch_id: str) -> BatchStatus:
        """How a batch is.

        Raises:
            ServiceUnavailable: the service does not answer.
        """
        ...

    def batch_results(self, batch_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        """(id, reply) pairs of an ended batch in any order; None where it must be asked again.

        Raises:
            ServiceUnavailable: they could not be read to the end.
        """
        ...


def api_key(spec: ModelSpec) -> str:
    """The key of a service, from the environment and nowhere else.

    Raises:
        MissingRequirement: names the variable that is not set.
    """
    key = os.environ.get(spec.key_variable, "").strip()
    if key and not (key.isascii() and key.isprintable()):
        raise MissingRequirement(f"{spec.key_variable} holds characters that no key has", remedy="Set it again.")
    if key:
        return key
    if spec.provider == "vllm":
        return "none"  # a server of one's own asks for no key, but the SDK wants one
    raise MissingRequirement(
        f"{spec} needs a key: {spec.key_variable} is not set", remedy=f"export {spec.key_variable}=…"
    )
