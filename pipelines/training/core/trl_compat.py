"""All uses of TRL in one module, written for trl 1.16: trainers, names in logs, rollout function.

TRL marks `rollout_func` as experimental, so it may change with any minor version. `tests/training/test_trl_contract.py`
fails and names what changed; pyproject pins the version.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from datasets import Dataset
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

GRPO_IMPORTANCE_LOG_NAMES: Final = {"sampling/sampling_logp_difference/max": "sampler_log_ratio_max"}
"""Of what it logs only with importance sampling."""

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
    importance: tuple[Literal["token", "sequence"], float] | None = None,
) -> "GRPOTrainer":
    """Build a GRPOTrainer that learns from rollouts made elsewhere.

    Args:
        model: the model to train, in place.
        settings: arguments of `GRPOConfig`.
        prompts: problems per step; the trainer's data set has as many rows, whose content nobody reads.
        tokenizer: of the model.
        rollouts: returns the rollouts of a step.
        callback: receives logs and moves checkpoints.
        importance: level and cap of truncated importance sampling; `rollouts` then returns log-probabilities too.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    if importance is not None:
        level, cap = importance
        settings = settings | {
            "vllm_importance_sampling_correction": True,
            "vllm_importance_sampling_mode": f"{level}_truncate",
            "vllm_importance_sampling_clip_max": cap,
        }
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
    if importance is not None:
        # The trainer corrects only for a vLLM of its own. Ours samples in the rollout function and has the weights.
        trainer.use_vllm = True
        trainer.vllm_generation = SimpleNamespace(sync_weights=lambda: None)
        trainer._last_loaded_step = -1
    return _without_printer(trainer)


def rollout_output(
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    rewards: Sequence[float],
    log_probs: Sequence[Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Build what a rollout function returns to GRPOTrainer.

    Args:
        prompts: token ids of each rollout's prompt.
        completions: token ids of each completion.
        rewards: one reward per rollout.
        log_probs: of each completion's tokens by the engine, if the loss is corrected for them.
    """
    return {
        "prompt_ids": [list(each) for each in prompts],
        "completion_ids": [list(each) for each in completions],
        # Without them the trainer takes its own.
        "logprobs": None if log_probs is None else [list(each) for each in log_probs],
        "score": list(rewards),  # an extra field: handed to the reward function by name
    }


def _stored_rewards(completions: list[Any], score: list[float], **rest: Any) -> list[float]:
    """Return the rewards of `rollout_output`; the stage has scored the completions already."""
    return score


def pack_texts(dataset: "Dataset", length: int) -> "Dataset":
    """Concatenate the rows and cut them into blocks of `length` tokens."""
    from trl import pack_dataset

    return pack_dataset(dataset, length, "wrapped", {"load_from_cache_file": False})


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
