"""vLLM's offline batch runner behind the client protocol, with batches as files.

Each batch is a file in the format of OpenAI's Batch API, which `vllm.entrypoints.openai.run_batch` reads and answers in
the same format. It runs in a process of its own, whose Python may have other packages than ours, and one batch at a
time, since a model fills the GPUs. Batches that a killed run had not finished are run again, at no cost.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, Field

from pipelines.llm.clients.errors import ErrorTranslator, ServiceUnavailable
from pipelines.llm.clients.openai_api import BATCH_ENDPOINT, chat_body, parse_batch_reply
from pipelines.llm.clients.protocol import BatchStatus, ModelSpec
from pipelines.llm.requests import ModelReply, ModelRequest
from pipelines.stages import ConfigModel

_MODULE: Final = "vllm.entrypoints.openai.run_batch"
_SHOWN_LINES: Final = 8


class OfflineVLLMConfig(ConfigModel):
    """Settings of vLLM's offline batch runner."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    tensor_parallel: int = Field(default=1, ge=1)
    """Number of GPUs over which the model is split."""
    gpu_memory: float = Field(default=0.9, gt=0, le=1)
    """Fraction of the GPU memory that vLLM may use."""
    max_model_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a prompt and its answer; none takes the limit of the model's config."""
    python: Path | None = None
    """Python interpreter of the environment with vLLM; none takes the stage's own."""
    arguments: tuple[str, ...] = ()
    """Further command-line arguments of vLLM."""

    def command(self, model: str, source: Path, target: Path) -> list[str]:
        """Return the command that answers the requests of a file."""
        limit = [] if self.max_model_tokens is None else ["--max-model-len", str(self.max_model_tokens)]
        return [
            str(self.python or sys.executable), "-m", _MODULE, "-i", str(source), "-o", str(target), "--model", model,
            "--tensor-parallel-size", str(self.tensor_parallel), "--gpu-memory-utilization", str(self.gpu_memory),
            *limit, *self.arguments,
        ]  # fmt: skip


@dataclass(slots=True)
class _RunningBatch:
    tag: str
    process: "subprocess.Popen[bytes]"


class OfflineVLLMClient:
    """Answers batches with vLLM on this machine; there are no live requests.

    Args:
        spec: the model, a hub id or folder.
        settings: of vLLM.
        folder: for requests, answers and the log.
    """

    def __init__(self, spec: ModelSpec, settings: OfflineVLLMConfig, folder: Path) -> None:
        self.name = str(spec)
        self._spec = spec
        self._settings = settings
        self._folder = folder
        self._failures = ErrorTranslator(self.name, spec.key_variable, "")
        self._running: _RunningBatch | None = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts and replies

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        """The body of a chat completion."""
        return chat_body(self._spec, request)

    def send(self, request: ModelRequest) -> ModelReply:
        """Raise NotImplementedError: there are no live requests."""
        raise NotImplementedError("the offline runner answers batches only")

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        """Write the requests to a file; vLLM runs it when no other batch runs."""
        target = self._file(tag, "in")
        aside = target.with_suffix(".tmp")
        with aside.open("w", encoding="utf-8") as stream:
            for request_id, request in requests:
                body = {
                    "custom_id": request_id,
                    "method": "POST",
                    "url": BATCH_ENDPOINT,
                    "body": self.request_body(request),
                }
                stream.write(json.dumps(body) + "\n")
        aside.replace(target)
        return tag

    def find_batch(self, ids: Sequence[str], tag: str, since: float, known: Collection[str]) -> str | None:
        """Return the tag if the file with the requests was written."""
        return tag if self._file(tag, "in").exists() else None

    def get_batch_status(self, batch_id: str) -> BatchStatus:
        """Return the state of a batch, after starting it if no other batch runs."""
        if self._file(batch_id, "out").exists():
            return BatchStatus("ended")
        if self._running is None:
            self._start(batch_id)
        running = self._running
        assert running is not None
        code = running.process.poll()
        if code is None:
            return BatchStatus("running")
        self._running = None
        written = self._file(running.tag, "part")
        if code == 0 and written.exists():
            written.replace(self._file(running.tag, "out"))
            return BatchStatus("ended" if running.tag == batch_id else "running")
        return BatchStatus("refused", f"vLLM ended with code {code}:\n{self._log_end()}")

    def batch_results(self, batch_id: str) -> Iterator[tuple[str, ModelReply | None]]:
        """Iterate over the lines of the answers."""
        try:
            with self._file(batch_id, "out").open("rb") as stream:
                for line in stream:
                    try:
                        record = json.loads(line)
                        yield str(record["custom_id"]), parse_batch_reply(record, self._failures)
                    except (ValueError, AttributeError, LookupError, TypeError):
                        continue  # an unreadable line counts as missing, and its request is sent again
        except OSError as error:
            raise ServiceUnavailable(f"the answers of vLLM cannot be read: {error}") from error

    def close(self) -> None:
        """End the running process; the next attempt runs its requests again."""
        if self._running is not None:
            self._running.process.terminate()
            self._running.process.wait()
            self._running = None

    def _start(self, tag: str) -> None:
        self._file(tag, "part").unlink(missing_ok=True)
        command = self._settings.command(self._spec.model, self._file(tag, "in"), self._file(tag, "part"))
        environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", **os.environ}
        with (self._folder / "vllm.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self._running = _RunningBatch(tag, process)

    def _file(self, tag: str, kind: str) -> Path:
        return self._folder / f"{tag}.{kind}.jsonl"

    def _log_end(self) -> str:
        path = self._folder / "vllm.log"
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 8_192))
            lines = stream.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-_SHOWN_LINES:])
