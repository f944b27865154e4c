"""vLLM's offline batch runner behind the client protocol, with batches as files.

Each batch is a file in the format of OpenAI's Batch API, which vLLM's `run_batch` reads and answers in the same format.
It runs in a process of its own, whose Python may have other packages than ours. The process loads the model with the
first batch and answers one batch after another until the stage ends (`vllm_batches`). Batches that a killed run had
not finished are run again, at no cost.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from pydantic import ConfigDict, Field

from pipelines.llm.clients.errors import ErrorTranslator, ServiceUnavailable
from pipelines.llm.clients.openai_api import BATCH_ENDPOINT, chat_body, parse_batch_reply
from pipelines.llm.clients.protocol import BatchStatus, ModelSpec
from pipelines.llm.requests import ModelReply, ModelRequest
from pipelines.stages import ConfigModel

_DRIVER: Final = Path(__file__).with_name("vllm_batches.py")
_SHOWN_LINES: Final = 8
_END_S: Final = 30.0


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

    def command(self, model: str, folder: Path) -> list[str]:
        """Return the command that answers files of requests; the two files it names are never read."""
        limit = [] if self.max_model_tokens is None else ["--max-model-len", str(self.max_model_tokens)]
        return [
            str(self.python or sys.executable), str(_DRIVER), "-i", str(folder / "none"), "-o", str(folder / "none"),
            "--model", model, "--tensor-parallel-size", str(self.tensor_parallel),
            "--gpu-memory-utilization", str(self.gpu_memory), *limit, *self.arguments,
        ]  # fmt: skip


class OfflineVLLMRunner:
    """The process that holds the model of a stage; it starts with the first batch.

    Args:
        spec: the model, a hub id or folder.
        settings: of vLLM.
    """

    def __init__(self, spec: ModelSpec, settings: OfflineVLLMConfig) -> None:
        self.spec = spec
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None

    def run(self, source: Path, target: Path, log: Path) -> None:
        """Have a file of requests answered after those before it; `target` appears once it is.

        Args:
            source: requests.
            target: answers.
            log: where vLLM's messages go if this starts it.
        """
        if self._process is None:
            self._log = log
            command = self._settings.command(self.spec.model, log.parent)
            environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", **os.environ}
            with log.open("ab") as stream:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=stream, stderr=stream, env=environment
                )
        stdin: IO[bytes] | None = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended, which `exit_code` tells
            stdin.write(json.dumps({"input": str(source), "output": str(target)}).encode() + b"\n")
            stdin.flush()

    def exit_code(self) -> int | None:
        """Return the exit code of the process, None while it runs; after it ended the next `run` starts another."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self.close()
        return code

    def log_end(self) -> str:
        """Return the last lines of the log."""
        if self._log is None:
            return ""
        with self._log.open("rb") as stream:
            stream.seek(max(0, self._log.stat().st_size - 8_192))
            lines = stream.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-_SHOWN_LINES:])

    def close(self) -> None:
        """End the process; batches it had not answered are run again by the next attempt."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


class OfflineVLLMClient:
    """Answers batches with vLLM on this machine; there are no live requests.

    Args:
        runner: holds the model; outlives this client.
        folder: for requests, answers and the log.
    """

    def __init__(self, runner: OfflineVLLMRunner, folder: Path) -> None:
        self._spec = runner.spec
        self.name = str(self._spec)
        self._runner = runner
        self._folder = folder
        self._failures = ErrorTranslator(self.name, self._spec.key_variable, "")
        self._handed: set[str] = set()
        """Tags of the batches that the running process was given."""
        folder.mkdir(parents=True, exist_ok=True)

    def request_body(self, request: ModelRequest) -> dict[str, Any]:
        """The body of a chat completion."""
        return chat_body(self._spec, request)

    def send(self, request: ModelRequest) -> ModelReply:
        """Raise NotImplementedError: there are no live requests."""
        raise NotImplementedError("the offline runner answers batches only")

    def submit_batch(self, requests: Sequence[tuple[str, ModelRequest]], tag: str) -> str:
        """Write the requests to a file; vLLM runs it after those before it."""
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
        """Return the state of a batch, after handing it to vLLM if it was not."""
        if self._file(batch_id, "out").exists():
            return BatchStatus("ended")
        if batch_id not in self._handed:
            self._handed.add(batch_id)
            self._runner.run(self._file(batch_id, "in"), self._file(batch_id, "out"), self._folder / "vllm.log")
        code = self._runner.exit_code()
        if code is None:
            return BatchStatus("running")
        self._handed.clear()
        if self._file(batch_id, "out").exists():
            return BatchStatus("ended")
        return BatchStatus("refused", f"vLLM ended with code {code}:\n{self._runner.log_end()}")

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

    def _file(self, tag: str, kind: str) -> Path:
        return self._folder / f"{tag}.{kind}.jsonl"
