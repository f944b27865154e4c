"""vLLM without a server: for a model that stays as it is, or colocated with training.

Colocated, each process of the stage holds one engine, or `tensor_parallel` processes share one; the weights of the
policy are loaded into it once a step. The seed of a request decides its completion in both.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipelines.errors import CogtuiError, InvalidInput, StageFailed
from pipelines.training.core.engine_configs import SamplingConfig, VLLMConfig
from pipelines.training.core.model import gather_parameters
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.engine import Completion, GenerationRequest, ProcessGroup, truncate_at_eos
from pipelines.training.generation.vllm_settings import (
    VLLMModel,
    check_tensor_parallel,
    check_tokens,
    check_vllm,
    engine_arguments,
    request_arguments,
    set_environment,
)
from pipelines.training.generation.vllm_worker import load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class VLLMEngine:
    """vLLM with the weights of files, on a GPU in processes of its own. It starts with the first request.

    Args:
        model: the model to load.
        config: settings of vLLM.
        runtime: device and number type of the stage.
        library: the package `vllm`, for tests.
    """

    name = "vllm"

    def __init__(self, model: VLLMModel, config: VLLMConfig, runtime: Runtime, *, library: Any = None) -> None:
        if config.mode != "colocate" and type(self) is VLLMEngine:
            raise InvalidInput(
                f"engine.vllm.mode is {config.mode}: a sample stage starts vLLM itself",
                remedy="Leave engine.vllm.mode out.",
            )
        if library is None:
            check_vllm(config, runtime)
        self._model = model
        self._config = config
        self._runtime = runtime
        self._library = library
        self._llm: Any = None

    def sync(self, step: int) -> None:
        """Do nothing: the weights are those of the files."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        check_tokens(requests, self._model)
        llm = self._engine()
        settings = [
            self._library.SamplingParams(
                **request_arguments(request, sampling, self._model.eos), detokenize=False, flat_logprobs=True
            )
            for request in requests
        ]
        prompts = [{"prompt_token_ids": list(request.prompt)} for request in requests]
        outputs = llm.generate(prompts, sampling_params=settings, use_tqdm=False) if prompts else []
        return [self._completion(output.outputs[0]) for output in outputs]

    def close(self) -> None:
        """End the engine. Left to the interpreter's exit, vLLM would find its process groups gone."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _completion(self, output: Any) -> Completion:
        # Flat log-probabilities hold one entry per token, since `logprobs` is 0: that of the sampled one.
        return truncate_at_eos(output.token_ids, self._model.eos, output.logprobs.logprobs)

    def _engine(self) -> Any:
        if self._llm is None:
            # In a process of its own vLLM would bind a CPU's cores, the same ones for every stage that samples.
            here = self._runtime.device.type == "cpu" and self._config.tensor_parallel == 1
            self._llm = self._start({}, in_process=here, shared=False)
        return self._llm

    def _start(self, more: dict[str, Any], *, in_process: bool, shared: bool) -> Any:
        set_environment(self._runtime, in_process=in_process)
        if self._library is None:
            import vllm

            self._library = vllm
        arguments = engine_arguments(self._model, self._config, self._runtime, shared=shared)
        try:
            with _own_random_state():
                return self._library.LLM(**arguments, **more)
        except CogtuiError:
            raise  # a stop signal that arrived meanwhile
        except Exception as error:
            raise StageFailed(
                "vLLM did not start",
                detail=f"{error}\nIts own messages stand above in the log of this attempt.",
                remedy="If memory ran out: change engine.vllm.gpu_memory, lower sampling.max_new_tokens or "
                "max_prompt_tokens, or raise engine.vllm.tensor_parallel.",
            ) from error


class ColocatedVLLMEngine(VLLMEngine):
    """vLLM in the training processes. `sync` and `generate` are collective: every process must call them.

    Args:
        policy: the model in training; may be sharded.
        group: the processes of the stage; None if there is one.
    """

    def __init__(
        self,
        model: VLLMModel,
        config: VLLMConfig,
        runtime: Runtime,
        policy: "PreTrainedModel",
        group: ProcessGroup | None = None,
        *,
        library: Any = None,
    ) -> None:
        check_tensor_parallel(config)
        super().__init__(model, config, runtime, library=library)
        self._policy = policy
        self._group = group
        self._synced: int | None = None

    def sync(self, step: int) -> None:
        """Load the policy's weights of `step` into the engine, once."""
        if self._synced == step:
            return
        llm = self._engine()
        if self._config.sleep:
            llm.wake_up(tags=["weights"])
        llm.collective_rpc(load_weights, args=(gather_parameters(self._policy),))
        if self._config.sleep:
            llm.wake_up(tags=["kv_cache"])
        llm.reset_prefix_cache()
        self._synced = step

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        width = self._config.tensor_parallel
        if self._group is None or width == 1:
            found = super().generate(requests, sampling)
        else:
            # These processes hold parts of one model: each must ask for what all of them want.
            shares: list[list[GenerationRequest]] = self._group.all_gather([list(requests)])
            first = self._group.rank - self._group.rank % width
            before = sum(map(len, shares[first : self._group.rank]))
            wanted = [request for share in shares[first : first + width] for request in share]
            found = super().generate(wanted, sampling)[before : before + len(requests)]
        if self._config.sleep:
            self._engine().sleep(level=2)  # weights are dropped, so the next `sync` loads them again
            self._synced = None
        return found

    def _engine(self) -> Any:
        if self._llm is None:
            launched = {} if self._group is None else {"distributed_executor_backend": "external_launcher"}
            more = launched | {"enable_sleep_mode": self._config.sleep}
            self._llm = self._start(more, in_process=True, shared=True)
        return self._llm


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Keep the global generators as they are: vLLM seeds those of its process when it starts."""
    python, numbers = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
