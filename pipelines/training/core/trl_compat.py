"""All uses of TRL in one module, written for trl 1.16: trainers, names in logs, rollout function, vLLM generation.

TRL marks `rollout_func` as experimental and `trl.generation.vllm_generation` is no public module, so both may change
with any minor version. `tests/training/test_trl_contract.py` fails and names what changed; pyproject pins the version.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from pipelines.training.core.configs import VLLMConfig
from pipelines.training.core.model import gather_parameters

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
    from trl import GRPOTrainer, SFTTrainer

TRL_MINOR: Final = "1.16"
"""The minor version this module was written and tested for."""

SFT_LOG_NAMES: Final = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",
    "mean_token_accuracy": "token_accuracy",
}
"""SFTTrainer's log → metric. Its token count restarts after a resume, and epochs follow from steps."""

GRPO_LOG_NAMES: Final = {
    "loss": "policy_loss",
    "grad_norm": "actor_grad_norm",
    "kl": "kl",
    "entropy": "entropy",
    "clip_ratio/region_mean": "clip_fraction",
    "frac_reward_zero_std": "equal_groups",
}
"""GRPOTrainer's log → metric, under the names that PPO uses for the same quantities."""

RolloutFunction = Callable[[list[str], Any], dict[str, Any]]
"""(prompts, trainer) → output as `rollout_output` builds it."""


def make_sft_trainer(
    model: "PreTrainedModel",
    settings: dict[str, Any],
    dataset: "Dataset",
    tokenizer: "PreTrainedTokenizerBase",
    callback: "TrainerCallback",
) -> "SFTTrainer":
    """Build an SFTTrainer.

    Args:
        model: the model to train, in place.
        settings: arguments of `SFTConfig`.
        dataset: rows with `input_ids` and `completion_mask` (1 on the tokens in the loss), already tokenized.
        tokenizer: of the model.
        callback: receives logs and moves checkpoints.
    """
    from trl import SFTConfig, SFTTrainer

    with _quiet():
        arguments: SFTConfig = SFTConfig(**settings)
        trainer = SFTTrainer(
            model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[callback]
        )
    return _without_printer(trainer)


def make_grpo_trainer(
    model: "PreTrainedModel",
    settings: dict[str, Any],
    prompts: int,
    tokenizer: "PreTrainedTokenizerBase",
    rollouts: RolloutFunction,
    callback: "TrainerCallback",
) -> "GRPOTrainer":
    """Build a GRPOTrainer that learns from rollouts made elsewhere.

    Args:
        model: the model to train, in place.
        settings: arguments of `GRPOConfig`.
        prompts: problems per step; the trainer's data set has as many rows, whose content nobody reads.
        tokenizer: of the model.
        rollouts: returns the rollouts of a step.
        callback: receives logs and moves checkpoints.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    with _quiet():
        arguments: GRPOConfig = GRPOConfig(**settings)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=_stored_rewards,
            args=arguments,
            train_dataset=Dataset.from_list([{"prompt": str(row)} for row in range(prompts)]),
            processing_class=tokenizer,
            rollout_func=rollouts,
            callbacks=[callback],
        )
    return _without_printer(trainer)


def rollout_output(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], rewards: Sequence[float]
) -> dict[str, Any]:
    """Build what a rollout function returns to GRPOTrainer.

    Args:
        prompts: token ids of each rollout's prompt.
        completions: token ids of each completion.
        rewards: one reward per rollout.
    """
    return {
        "prompt_ids": [list(each) for each in prompts],
        "completion_ids": [list(each) for each in completions],
        "logprobs": None,  # the trainer computes them itself
        "score": list(rewards),  # an extra field: handed to the reward function by name
    }


def _stored_rewards(completions: list[Any], score: list[float], **rest: Any) -> list[float]:
    """Return the rewards of `rollout_output`; the stage has scored the completions already."""
    return score


def pack_texts(dataset: "Dataset", length: int) -> "Dataset":
    """Concatenate the rows and cut them into blocks of `length` tokens."""
    from trl import pack_dataset

    return pack_dataset(dataset, length, "wrapped", {"load_from_cache_file": False})


def make_vllm_generation(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", config: VLLMConfig, max_sequence: int | None
) -> Any:
    """Build TRL's vLLM backend: an engine in this process or a server, to which weights are pushed.

    Args:
        model: the model in training; may be sharded.
        tokenizer: of the model.
        config: mode, memory share, tensor parallelism.
        max_sequence: most tokens of a prompt and its completion; None leaves it to vLLM.
    """
    from accelerate import Accelerator
    from trl.generation.vllm_generation import VLLMGeneration

    return VLLMGeneration(
        model=GatheredModelView(model),
        accelerator=Accelerator(),
        processing_class=tokenizer,
        mode=config.mode,
        server_base_url=config.server_url,
        tensor_parallel_size=config.tensor_parallel,
        gpu_memory_utilization=config.gpu_memory,
        max_model_length=max_sequence,
        enable_sleep_mode=config.sleep,
        logprobs=0,
    )


class GatheredModelView:
    """The attributes that `VLLMGeneration` reads of a model, with sharded parameters gathered one at a time."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self.name_or_path = model.name_or_path

    def named_modules(self) -> Iterator[tuple[str, "nn.Module"]]:
        """Iterate over the model's modules."""
        return iter(self._model.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Iterate over names and gathered parameters; VLLMGeneration reads only `data` of a parameter."""
        for name, value in gather_parameters(self._model):
            yield name, SimpleNamespace(data=value)


def _without_printer(trainer: Any) -> Any:
    """Remove the callback that prints logs to stdout, where a stage's result goes."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide two warnings: `rollout_func` is experimental; TRL's default of gradient_checkpointing is deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*'rollout_func'.*", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
        yield
