"""vLLM as a server of the stage's own, beside training: on other GPUs of the node, or on the same CPU.

The stage starts the server and ends it, so that no other stage can load weights into it. It listens on a Unix socket
in a folder that only this user may enter. After an update the first process writes the weights to files in memory
(/dev/shm), which the server reads. A server that dies is started again, gets the weights of the step again, and is
asked again for what it had not answered; a seed decides each completion, so nothing is drawn twice.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from pipelines.errors import InvalidInput, StageFailed
from pipelines.training.core.engine_configs import SamplingConfig, VLLMConfig
from pipelines.training.core.model import gather_parameters
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.engine import Completion, GenerationRequest, ProcessGroup, truncate_at_eos
from pipelines.training.generation.vllm_process import MODEL_NAME, ServerGone, VLLMServer, ask
from pipelines.training.generation.vllm_settings import (
    VLLMModel,
    check_tokens,
    check_vllm,
    request_arguments,
    set_environment,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MODULE: Final = "pipelines.training.generation.vllm_worker"
_CONNECTIONS: Final = 256
"""Requests in flight for each process of the stage."""
_RESTARTS: Final = 3
"""Restarts for one call of `generate`; a server that dies more often will not live."""
_PART_BYTES: Final = 2**30


class ServedVLLMEngine:
    """vLLM in a server that the first process starts. `sync` and `generate` are collective.

    Args:
        model: the model the server loads.
        config: settings of vLLM.
        runtime: device and number type of the stage.
        policy: the model in training; may be sharded.
        group: the processes of the stage; None if there is one.
        command: starts the server, for tests.

    Raises:
        InvalidInput: the server could not work here.
    """

    name = "vllm"

    def __init__(
        self,
        model: VLLMModel,
        config: VLLMConfig,
        runtime: Runtime,
        policy: "PreTrainedModel",
        group: ProcessGroup | None = None,
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        _check(config, runtime)
        if command is None:
            check_vllm(config, runtime)
        self._model = model
        self._config = config
        self._runtime = runtime
        self._policy = policy
        self._group = group
        self._command = command or [sys.executable, "-P", "-m", _MODULE]
        self._server: VLLMServer | None = None
        self._socket: Path | None = None
        self._synced: int | None = None
        self.restarts = 0
        """Times the server was started again."""

    def sync(self, step: int) -> None:
        """Start the server if it does not run, and load the policy's weights of `step` into it, once."""
        if self._synced == step:
            return
        if self._socket is None:
            self._start()
        self._push()
        self._synced = step

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order.

        Raises:
            StageFailed: the server died again and again, or refused a request; with its message.
        """
        check_tokens(requests, self._model)
        found: list[Completion | None] = [None] * len(requests)
        for _ in range(_RESTARTS + 1):
            self._ask_all(requests, sampling, found)
            if not self._most(sum(each is None for each in found)):
                return [each for each in found if each is not None]
            self._start_again()
            self._push()
        raise StageFailed(
            f"the vLLM server died {_RESTARTS + 1} times on the same requests",
            detail=self._server.log_end() if self._server else "",
            remedy="Fix what its log names; the stage continues from its last checkpoint.",
        )

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _start(self) -> None:
        set_environment(self._runtime, in_process=False)
        if self._is_first:
            self._server = self._server or VLLMServer(self._model, self._config, self._runtime, self._command)
            self._server.start()
        place = self._server.socket if self._server else None
        self._socket = place if self._group is None else self._group.broadcast(place)

    def _start_again(self) -> None:
        if self._is_first:
            sys.stderr.write("warning: the vLLM server does not answer; it is started again with this step's weights\n")
        self.restarts += 1
        self._start()

    def _push(self) -> None:
        """Load the policy's weights into the server; one that dies meanwhile is started again."""
        for _ in range(_RESTARTS + 1):
            if self._try_push():
                return
            self._start_again()
        raise StageFailed(
            f"the vLLM server died {_RESTARTS + 1} times while it loaded weights",
            detail=self._server.log_end() if self._server else "",
            remedy="Fix what its log names; the stage continues from its last checkpoint.",
        )

    def _try_push(self) -> bool:
        """Gather the weights, which takes every process, and load them; return whether the server took them."""
        gone = 0
        if self._server is None:
            for _ in gather_parameters(self._policy):
                pass
        else:
            folder = _folder_in_memory()
            try:
                write_weights(folder, gather_parameters(self._policy), self._runtime.compute)
                shutil.copy(self._model.path / "config.json", folder / "config.json")
                self._server.load(folder)
            except ServerGone:
                gone = 1
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return not self._most(gone)

    def _ask_all(
        self, requests: Sequence[GenerationRequest], sampling: SamplingConfig, found: list[Completion | None]
    ) -> None:
        """Fill in the completions that are missing, as far as the server answers."""
        missing = [index for index, each in enumerate(found) if each is None]
        if not missing or self._socket is None:
            return
        with ThreadPoolExecutor(min(_CONNECTIONS, len(missing))) as pool:
            for index, answer in zip(
                missing, pool.map(lambda index: self._ask(requests[index], sampling), missing), strict=True
            ):
                found[index] = answer

    def _ask(self, request: GenerationRequest, sampling: SamplingConfig) -> Completion | None:
        assert self._socket is not None
        body = request_arguments(request, sampling, self._model.eos)
        body |= {"model": MODEL_NAME, "prompt": list(request.prompt), "return_token_ids": True}
        try:
            answer = ask(self._socket, "POST", "/v1/completions", body)
        except ServerGone:
            return None
        choice = answer["choices"][0]
        return truncate_at_eos(choice["token_ids"], self._model.eos, choice["logprobs"]["token_logprobs"])

    @property
    def _is_first(self) -> bool:
        return self._group is None or self._group.rank == 0

    def _most(self, number: int) -> int:
        return number if self._group is None else self._group.all_reduce_max(number)


def _folder_in_memory() -> Path:
    """Make a folder in memory, or on the local disk where there is no /dev/shm."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="cogtui-weights-", dir=shared if os.access(shared, os.W_OK) else None))


def write_weights(folder: Path, weights: "Iterable[tuple[str, torch.Tensor]]", dtype: torch.dtype) -> None:
    """Write weights as safetensors of about a gigabyte each, so that few are in memory twice.

    Args:
        folder: an existing folder.
        weights: (name, tensor) pairs, consumed one at a time.
        dtype: the number type to write.
    """
    from safetensors.torch import save_file

    part: dict[str, torch.Tensor] = {}
    count = 0

    def write() -> None:
        save_file(part, folder / f"model-{count:05d}.safetensors", metadata={"format": "pt"})
        part.clear()

    for name, value in weights:
        part[name] = value.to("cpu", dtype).contiguous()
        if sum(each.nbytes for each in part.values()) >= _PART_BYTES:
            write()
            count += 1
    if part:
        write()


def _check(config: VLLMConfig, runtime: Runtime) -> None:
    """Refuse what a server of the stage's own cannot do."""
    if config.server_url is not None:
        raise InvalidInput(
            f"engine.vllm.server_url is {config.server_url}: a server that several stages share would get the weights "
            "of one while it samples for another",
            remedy="Leave engine.vllm.server_url out: the stage starts a server of its own.",
        )
    if config.sleep:
        raise InvalidInput(
            "engine.vllm.sleep frees memory of a colocated engine; a server has GPUs of its own",
            remedy="Leave engine.vllm.sleep out.",
        )
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
    if here != processes:
        raise InvalidInput(
            f"engine.vllm.mode is server, which works on one node; the stage has {processes} processes, {here} of them "
            "here",
            remedy="Set nodes to 1, or engine.vllm.mode to colocate.",
        )
    if runtime.device.type == "cuda" and torch.cuda.device_count() < here + config.tensor_parallel:
        raise InvalidInput(
            f"engine.vllm.mode is server, which needs {config.tensor_parallel} GPUs besides the {here} of training, "
            f"and torch sees {torch.cuda.device_count()}",
            remedy="Raise gpus in the stage's resources, or set engine.vllm.mode to colocate.",
        )
