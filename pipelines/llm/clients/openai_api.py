"""Client of OpenAI's service and of every server with its protocol, vLLM among them."""

import contextlib
import io
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from pipelines.llm.clients.errors import BatchStateUnknown, ErrorTranslator, http_status, is_retryable, sdk_errors
from pipelines.llm.clients.protocol import BatchStatus, ModelSpec
from pipelines.llm.requests import ModelReply, ModelRequest, TokenUsage

BATCH_ENDPOINT: Final = "/v1/chat/completions"
_RUNNING: Final = ("validating", "in_progress", "finalizing", "cancelling")
_TAG: Final = "cogtui"
_CLOCK_SLACK_S: Final = 3600.0


class OpenAIClient:
    """Sends chat completions, live and through the Batch API."""

    def __init__(self, spec: ModelSpec, key: str, max_retries: int, timeout_s: float) -> None:
        import openai

        self.name = str(spec)
        self._spec = spec
        self._failures = ErrorTranslator(self.name, spec.key_variable, key)
        self._client = openai.OpenAI(api_key=key, base_url=spec.url, max_retries=max_retries, timeout=timeout_s)
        self._errors = sdk_errors(openai)
        self._context: int | None = None
        """Most tokens of a prompt and its answer, once a vLLM server was asked."""

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a chat completion."""
        return chat_body(self._spec, request)

    def send(self, request: ModelRequest) -> ModelReply:
        """Send a chat completion and wait for the reply."""
        body = self._fitted(self.request_body(request))
        try:
            try:
                done: Any = self._client.chat.completions.create(**body)
            except self._errors as error:
                if self._spec.provider != "vllm" or "max_tokens" not in body or not _is_too_long(error):
                    raise
                # Prompt and limit exceed the context. Without a limit the server takes what the prompt leaves.
                self._learn_context()
                del body["max_tokens"]
                done = self._client.chat.completions.create(**body)
        except self._errors as error:
            self._failures.raise_if_permanent(error)
            return ModelReply("api_error", detail=self._failures.describe(error), permanent=not is_retryable(error))
        if isinstance(done, str):  # the SDK returns a body that is not labelled as JSON as a string
            return ModelReply("api_error", detail=self._failures.redact(f"the answer is not JSON: {done[:200]}"))
        return _reply(done.model_dump(warnings=False), batch=False)

    def _fitted(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a body without a limit that no prompt could leave room for; the server then takes what is left."""
        if self._context is None or body.get("max_tokens", 0) < self._context:
            return body
        return {name: value for name, value in body.items() if name != "max_tokens"}

    def _learn_context(self) -> None:
        """Ask a vLLM server for the longest context of the model, once; it stays unknown if it does not say."""
        if self._context is not None:
            return
        with contextlib.suppress(*self._errors):
            for model in self._client.models.list():
                limit = getattr(model, "max_model_len", None)
                if model.id == self._spec.model and isinstance(limit, int):
                    self._context = limit

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        """Upload the requests and start a batch labelled with the tag."""
        lines = [
            json.dumps(
                {"custom_id": request_id, "method": "POST", "url": BATCH_ENDPOINT, "body": self.request_body(request)}
            )
            for request_id, request in requests
        ]
        content = io.BytesIO("\n".join(lines).encode())
        content.name = f"{tag}.jsonl"
        try:
            source = self._client.files.create(file=content, purpose="batch").id  # uploading a file twice costs nothing
        except self._errors as error:
            raise self._failures.to_batch_error(error) from error
        try:
            batch = self._client.with_options(max_retries=0).batches.create(
                input_file_id=source, endpoint=BATCH_ENDPOINT, completion_window="24h", metadata={_TAG: tag}
            )
        except self._errors as error:
            if is_retryable(error) and http_status(error) != 429:
                raise BatchStateUnknown(f"{self.name}: {self._failures.describe(error)}") from error
            raise self._failures.to_batch_error(error) from error
        return str(batch.id)

    def find_batch(self, ids: Sequence[str], tag: str, since: float, known: Collection[str]) -> str | None:
        """Search the batches created since then for the tag."""
        try:
            for batch in self._client.batches.list(limit=100):
                if (batch.metadata or {}).get(_TAG) == tag:
                    return str(batch.id)
                if batch.created_at < since - _CLOCK_SLACK_S:
                    break
        except self._errors as error:
            raise self._failures.to_batch_error(error) from error
        return None

    def get_batch_status(self, batch_id: str) -> BatchStatus:
        """Return the state of a batch."""
        try:
            batch = self._client.batches.retrieve(batch_id)
        except self._errors as error:
            raise self._failures.to_batch_error(error, batch_id) from error
        if batch.status in _RUNNING:
            return BatchStatus("running")
        if batch.status != "failed":
            return BatchStatus("cancelled" if batch.status == "cancelled" else "ended")
        said = (batch.errors.data if batch.errors else None) or []
        too_large = any(item.code == "token_limit_exceeded" for item in said)
        lines = [self._failures.redact(f"{item.code}: {item.message}") for item in said[:5]]
        return BatchStatus("too_large" if too_large else "refused", "\n".join(lines))

    def batch_results(self, batch_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        """Iterate over the lines of the output and error files; either may be missing."""
        try:
            batch = self._client.batches.retrieve(batch_id)
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id:
                    yield from self._lines(file_id)
        except self._errors as error:
            raise self._failures.to_batch_error(error, batch_id) from error

    def _lines(self, file_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        # Split bytes, not text: text lines would also break at U+2028 and U+0085, which JSON strings may contain.
        with self._client.files.with_streaming_response.content(file_id) as response:
            tail = b""
            for block in response.iter_bytes():
                *lines, tail = (tail + block).split(b"\n") if b"\n" in block else (tail + block,)
                yield from self._parsed(lines)
            yield from self._parsed([tail])

    def _parsed(self, lines: Sequence[bytes]) -> Iterator[tuple[str, ModelReply | None]]:
        for line in lines:
            try:
                record = json.loads(line) if line.strip() else None
                if isinstance(record, dict) and isinstance(record.get("custom_id"), str):
                    yield record["custom_id"], parse_batch_reply(record, self._failures)
            except (ValueError, AttributeError, LookupError, TypeError):
                continue  # an unreadable line counts as missing, and its request is sent again


def chat_body(spec: ModelSpec, request: ModelRequest) -> dict[str, Any]:
    """Return a request as the body of a chat completion."""
    messages: list[dict[str, str]] = [
        {"role": "system", "content": request.system},
        {"role": "user", "content": f"{request.shared}\n\n{request.question}" if request.shared else request.question},
    ]
    for answer, question in request.turns:
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
    body: dict[str, Any] = {"model": spec.model, "messages": messages}
    temperature = request.temperature
    # vLLM knows only the older name of the limit, and supports greedy decoding.
    if spec.provider == "vllm":
        body["max_tokens"] = request.max_tokens
        temperature = 0.0 if temperature is None else temperature
    else:
        body["max_completion_tokens"] = request.max_tokens
    if temperature is not None:
        body["temperature"] = temperature
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": request.schema},
        }
    return body


def _is_too_long(error: Exception) -> bool:
    """Return whether a server refused a request because prompt and limit exceed the model's context."""
    said = str(error)
    return http_status(error) == 400 and ("context length" in said or "max_tokens" in said)


def parse_batch_reply(record: dict[str, Any], failures: ErrorTranslator) -> ModelReply | None:
    """Parse the reply in a line of a batch's output; None if the request should be sent again."""
    response = record.get("response") or {}
    status = response.get("status_code")
    if status == 200:
        return _reply(response["body"], batch=True)
    if status is not None and 400 <= status < 500 and status not in (408, 409, 429):
        message = ((response.get("body") or {}).get("error") or {}).get("message", "")
        detail = failures.redact(f"HTTP {status}: {message}")
        return ModelReply("api_error", detail=detail, batch=True, permanent=True)
    return None  # expired or a server error: send it again


def _reply(body: dict[str, Any], *, batch: bool) -> ModelReply:
    usage_body = body.get("usage") or {}
    cached = (usage_body.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    usage = TokenUsage(usage_body.get("prompt_tokens") or 0, cached, usage_body.get("completion_tokens") or 0)
    choices = body.get("choices") or []
    if not choices:
        return ModelReply("api_error", detail="the answer has no choices", usage=usage, batch=batch)
    message = choices[0].get("message") or {}
    text = str(message.get("content") or "")
    if message.get("refusal") or choices[0].get("finish_reason") == "content_filter":
        return ModelReply("refused", str(message.get("refusal") or text), usage=usage, batch=batch)
    status = "truncated" if choices[0].get("finish_reason") == "length" else "ok"
    return ModelReply("truncated" if status == "truncated" else "ok", text, usage=usage, batch=batch)
