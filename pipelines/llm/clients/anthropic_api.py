"""Client of Anthropic's service: messages, live and through Message Batches."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from pipelines.llm.clients.errors import (
    BatchStateUnknown,
    ErrorTranslator,
    ServiceRefused,
    http_status,
    is_retryable,
    sdk_errors,
)
from pipelines.llm.clients.protocol import BatchStatus, ModelSpec
from pipelines.llm.requests import ModelReply, ModelRequest, TokenUsage

_CLOCK_SLACK_S: Final = 3600.0


class AnthropicClient:
    """Sends messages with structured output and a cache breakpoint after the shared text."""

    def __init__(self, spec: ModelSpec, key: str, max_retries: int, timeout_s: float) -> None:
        import anthropic

        self.name = str(spec)
        self._spec = spec
        self._failures = ErrorTranslator(self.name, spec.key_variable, key)
        self._client = anthropic.Anthropic(api_key=key, base_url=spec.url, max_retries=max_retries, timeout=timeout_s)
        self._errors = sdk_errors(anthropic)

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the parameters of a message, equal live and in a batch."""
        content: list[dict[str, Any]] = []
        if request.shared:
            content.append({"type": "text", "text": request.shared, "cache_control": {"type": "ephemeral"}})
        content.append({"type": "text", "text": request.question})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        for answer, question in request.turns:
            # The service refuses empty messages, and an empty answer is one that a follow-up question is about.
            said = answer if answer.strip() else "(nothing)"
            messages += [{"role": "assistant", "content": said}, {"role": "user", "content": question}]
        params: dict[str, Any] = {
            "model": self._spec.model,
            "max_tokens": request.max_tokens,
            "messages": messages,
        }
        if request.system:
            params["system"] = request.system
        if request.schema is not None:
            params["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
        if request.temperature is not None:
            params["temperature"] = request.temperature
        return params

    def send(self, request: ModelRequest) -> ModelReply:
        """Send a message and wait for the reply."""
        params = self.request_body(request)
        # The SDK dropped this argument; the service still accepts it.
        temperature = params.pop("temperature", None)
        extra = None if temperature is None else {"temperature": temperature}
        try:
            message: Any = self._client.messages.create(**params, extra_body=extra)
        except self._errors as error:
            self._failures.raise_if_permanent(error)
            return ModelReply("api_error", detail=self._failures.describe(error), permanent=not is_retryable(error))
        if isinstance(message, str):
            return ModelReply("api_error", detail=self._failures.redact(f"the answer is not JSON: {message[:200]}"))
        return _reply(message.model_dump(warnings=False), batch=False)

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        """Create a message batch whose custom ids are the request ids."""
        entries: Any = [
            {"custom_id": request_id, "params": self.request_body(request)} for request_id, request in requests
        ]
        try:
            return str(self._client.with_options(max_retries=0).messages.batches.create(requests=entries).id)
        except self._errors as error:
            if is_retryable(error) and http_status(error) != 429:
                raise BatchStateUnknown(f"{self.name}: {self._failures.describe(error)}") from error
            if http_status(error) == 413:
                raise ServiceRefused(
                    f"{self.name}: the batch is too large", detail=self._failures.describe(error)
                ) from error
            raise self._failures.to_batch_error(error) from error

    def find_batch(self, ids: Sequence[str], tag: str, since: float, known: Collection[str]) -> str | None:
        """Search the batches created since then for one with our custom ids.

        Batches have no labels and list their custom ids only after they ended. A running batch of the right size
        might be ours, so we wait for it rather than pay twice.
        """
        wanted = set(ids)
        candidates = 0
        try:
            for batch in self._client.messages.batches.list(limit=100):
                if batch.created_at.timestamp() < since - _CLOCK_SLACK_S:
                    break
                counts = batch.request_counts
                total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
                if batch.id in known or total != len(ids):
                    continue
                if batch.processing_status != "ended":
                    candidates += 1
                    continue
                results = self._client.messages.batches.results(batch.id)
                first = next(iter(results), None)
                results.close()
                if first is not None and first.custom_id in wanted:
                    return str(batch.id)
        except self._errors as error:
            raise self._failures.to_batch_error(error) from error
        if candidates:
            raise BatchStateUnknown(
                f"{self.name}: {candidates} batches of {len(ids)} requests are running, and one may be ours"
            )
        return None

    def get_batch_status(self, batch_id: str) -> BatchStatus:
        """Return the state of a batch."""
        try:
            batch = self._client.messages.batches.retrieve(batch_id)
        except self._errors as error:
            raise self._failures.to_batch_error(error, batch_id) from error
        if batch.processing_status != "ended":
            return BatchStatus("running")
        return BatchStatus("cancelled" if batch.cancel_initiated_at is not None else "ended")

    def batch_results(self, batch_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        """Stream the results."""
        try:
            for line in self._client.messages.batches.results(batch_id):
                yield line.custom_id, self._batch_reply(line.result)
        except self._errors as error:
            raise self._failures.to_batch_error(error, batch_id) from error

    def _batch_reply(self, result: Any) -> ModelReply | None:
        if result.type == "succeeded":
            return _reply(result.message.model_dump(warnings=False), batch=True)
        if result.type == "errored" and result.error.error.type in ("invalid_request_error", "request_too_large"):
            said = self._failures.redact(result.error.error.message)
            return ModelReply("api_error", detail=said, batch=True, permanent=True)
        return None  # expired, cancelled or a server error: send it again


def _reply(message: dict[str, Any], *, batch: bool) -> ModelReply:
    usage_body = message.get("usage") or {}
    cached = usage_body.get("cache_read_input_tokens") or 0
    written = usage_body.get("cache_creation_input_tokens") or 0
    fresh = usage_body.get("input_tokens") or 0  # this service counts the three separately
    usage = TokenUsage(fresh + cached + written, cached, usage_body.get("output_tokens") or 0, written)
    text = "".join(str(block.get("text", "")) for block in message.get("content") or [] if block.get("type") == "text")
    match message.get("stop_reason"):
        case "refusal":
            return ModelReply("refused", text, usage=usage, batch=batch)
        case "max_tokens" | "model_context_window_exceeded":
            return ModelReply("truncated", text, usage=usage, batch=batch)
        case _:
            return ModelReply("ok", text, usage=usage, batch=batch)
