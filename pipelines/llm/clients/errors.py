"""Errors of model services, translated from exceptions of the SDKs, which use the same names."""

import json
from typing import Any, Final

from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement

_RETRIED: Final = (408, 409, 429)
"""HTTP statuses worth a retry, beside all of 5xx."""
MIN_FAILURES_IN_A_ROW: Final = 16
_NO_CREDIT: Final = ("insufficient_quota", "billing_hard_limit_reached", "credit balance")


class ServiceUnavailable(CogtuiError):
    """The service does not answer, or is busy."""

    code = "service_unavailable"


class ServiceRefused(CogtuiError):
    """The service refuses this, for this account or in general."""

    code = "service_refused"


class TooManyFailures(CogtuiError):
    """Many requests in a row failed; the run ends instead of recording `api_error` for all the others."""

    code = "everything_fails"

    def __init__(self, name: str, count: int, said: str) -> None:
        super().__init__(
            f"{name}: {count} requests in a row failed",
            detail=f"The last one: {said}\nEvery answer received so far is kept.",
            remedy="Fix the cause, then run the same command again; it continues.",
        )


class BatchStateUnknown(CogtuiError):
    """It is not known yet whether the service accepted a batch."""

    code = "unsure"


def http_status(error: Exception) -> int | None:
    """Return the HTTP status of an SDK's exception; None without a response."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def is_retryable(error: Exception) -> bool:
    """Return whether the same request may succeed later."""
    status = http_status(error)
    return status is None or status in _RETRIED or status >= 500


class ErrorTranslator:
    """Translates the exceptions of one service's SDK.

    Args:
        name: `PROVIDER:MODEL`, for messages.
        key_variable: environment variable with the key.
        key: the key, which is removed from every message.
    """

    def __init__(self, name: str, key_variable: str, key: str) -> None:
        self._name = name
        self._key_variable = key_variable
        self._key = key

    def describe(self, error: Exception) -> str:
        """Return a one-line description, without the key."""
        status = http_status(error)
        cause = error.__cause__
        because = f" ({type(cause).__name__}: {cause})" if status is None and cause is not None else ""
        head = f"HTTP {status}" if status is not None else type(error).__name__
        return self.redact(f"{head}: {_message(error)}{because}")

    def redact(self, text: str) -> str:
        """Return a service's message without the key."""
        return redact(text, self._key)

    def raise_if_permanent(self, error: Exception) -> None:
        """Raise if no request to this service would succeed; return if only this one failed.

        Raises:
            MissingRequirement: the key is refused. InvalidInput: no such model or address.
            ServiceRefused: the account has no credit.
        """
        status = http_status(error)
        said = self.describe(error)
        if status in (401, 403):
            raise MissingRequirement(
                f"{self._name}: the key is refused", detail=said, remedy=f"Check {self._key_variable}."
            ) from error
        if status == 402 or any(sign in f"{said} {getattr(error, 'code', '')}" for sign in _NO_CREDIT):
            raise ServiceRefused(
                f"{self._name}: the account has no credit left",
                detail=f"{said}\nEvery answer received so far is kept.",
                remedy="Add credit and run the same command again; it continues.",
            ) from error
        if status == 404:
            raise InvalidInput(
                f"{self._name}: the service has no such model, or nothing at this URL",
                detail=said,
                remedy="Check the model's name and the URL.",
            ) from error

    def to_batch_error(self, error: Exception, batch_id: str | None = None) -> ServiceUnavailable | ServiceRefused:
        """Return the error to raise for a failed call about batches.

        Raises:
            CogtuiError: as `raise_if_permanent`.
        """
        if batch_id is not None and http_status(error) == 404:
            return ServiceRefused(
                f"{self._name}: the service has no batch {batch_id}, or not for this key",
                remedy="Use the key it was submitted with. If it was deleted there, delete its file in the "
                "stage's work/batches folder; its requests are then submitted, and paid, again.",
            )
        self.raise_if_permanent(error)
        said = self.describe(error)
        if is_retryable(error):
            return ServiceUnavailable(
                f"{self._name}: the service does not answer",
                detail=f"{said}\nEvery answer received so far is kept.",
                remedy="Run the same command again later; it continues.",
            )
        return ServiceRefused(
            f"{self._name}: the service refuses the batch",
            detail=said,
            remedy="Set batch = false, or fix what the service names.",
        )


def _message(error: Exception) -> str:
    """Return the service's own message, if it sent a readable one."""
    body: Any = getattr(error, "body", None)
    for _ in range(2):  # {"message": …} or {"error": {"message": …}}
        if isinstance(body, dict):
            if isinstance(body.get("message"), str):
                return str(body["message"])
            body = body.get("error")
    return str(error)


def sdk_errors(sdk: Any) -> tuple[type[Exception], ...]:
    """Return the exception types of an SDK's calls when the service or the connection fails.

    A cut-off body raises a bare transport error, a cut-off JSON document a decoding error.
    """
    import httpx2

    return (sdk.APIError, httpx2.TransportError, httpx2.StreamError, json.JSONDecodeError)


def redact(text: str, key: str) -> str:
    """Remove the key from a text, and its masked form, which services quote back."""
    cleaned = text.replace(key, "***") if len(key) > 4 else text
    words = [("***" if "*" in word and word[:3] == key[:3] else word) for word in cleaned.split(" ")]
    return " ".join(words)[:2000]
