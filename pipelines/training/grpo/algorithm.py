"""`algorithm = "grpo"`: TRL's GRPOTrainer inside the `ppo` stage's contract.

Completions, reward, ids, evaluations and streams are ours, as for PPO; advantages and loss are TRL's. A step of the
stage is one batch of rollouts, `optimizer_steps_per_step` of the trainer's own steps.
"""

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.folder import StageFolder
from pipelines.signals import graceful
from pipelines.stages import Inputs
from pipelines.tasks.loading import load_problems
from pipelines.tokenizer import load_tokenizer
from pipelines.training.core import runtime
from pipelines.training.core.checkpoint import read_checkpoint_state
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.disk import require_disk
from pipelines.training.core.model import load_model, max_positions, save_model
from pipelines.training.core.trl_compat import make_grpo_trainer
from pipelines.training.generation.factory import make_engine
from pipelines.training.grpo.trainer_hooks import GRPOStageCallback, TRLRolloutAdapter, optimizer_steps_per_step
from pipelines.training.rl.ranks import SingleProcess
from pipelines.training.rl.step_runner import RLStepRunner, checkpoint_interval
from pipelines.training.rl.summary import summarise_training
from pipelines.training.sampling.rollouts import RolloutSampler

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def run(config: PPOConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Train from the newest checkpoint if there is one; write `artifacts/model` and the result."""
    run_on = runtime.start(config, advice="; algorithm ppo can be sharded over several")
    loaded = load_problems(inputs.one("problems"))
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    model = load_model(path).to(run_on.device)
    engine = make_engine(config.engine, model, tokenizer, run_on, path=path, max_sequence=config.longest_sequence())
    with closing(engine):
        sampler = RolloutSampler(
            folder.key, loaded.task, tokenizer, engine, seed=config.seed, max_prompt_tokens=config.max_prompt_tokens
        )
        runner = RLStepRunner(config, folder, loaded, sampler, SingleProcess(), positions=max_positions(model))
        trained = _train(config, folder, runner, model, tokenizer, run_on)
        save_model(folder, trained, tokenizer, dtype=config.save_dtype)
        folder.write_result(
            summarise_training(folder, config, runner.planned_rollouts()) | {"processes": 1} | run_on.describe()
        )


def _train(
    config: PPOConfig,
    folder: StageFolder,
    runner: RLStepRunner,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    run_on: runtime.Runtime,
) -> "PreTrainedModel":
    """Train from the newest checkpoint if there is one; return the trained model."""
    import datasets

    datasets.disable_progress_bars()
    scratch = folder.path / "checkpoints" / ".trainer"
    shutil.rmtree(scratch, ignore_errors=True)
    checkpoint = folder.usable_checkpoint(lambda path, step: read_checkpoint_state(path, folder.key, step))
    first = 0 if checkpoint is None else checkpoint[0]
    require_disk(folder, [model], model, keep=config.keep_checkpoints, save_dtype=config.save_dtype)
    with graceful() as stop, runner.open_streams(first):
        adapter = TRLRolloutAdapter(config, runner, first)
        trainer = make_grpo_trainer(
            model,
            _settings(config, run_on, scratch),
            config.prompts,
            tokenizer,
            adapter,
            GRPOStageCallback(config, runner, adapter, stop, every=checkpoint_interval(config)),
            importance=_importance(config),
        )
        with runtime.memory_guard(
            f"GRPO with micro-batches of {_micro(config)} rollouts",
            runtime.less_memory(
                runtime.smaller_divisor(config.mini_batch_of("actor"), _micro(config)),
                recompute=config.recompute or run_on.device.type == "cuda",
            )
            or "Lower sampling.max_new_tokens, or use a GPU with more memory.",
        ):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint[1]))
        stop.raise_if_requested()
        runner.evaluate(config.steps)
    shutil.rmtree(scratch, ignore_errors=True)
    return trainer.model


def _importance(config: PPOConfig) -> tuple[Literal["token", "sequence"], float] | None:
    level = config.importance_level()
    return None if level == "none" else (level, config.importance_sampling.cap)


def _micro(config: PPOConfig) -> int:
    return config.micro_batch or config.mini_batch_of("actor")


def _settings(config: PPOConfig, run_on: runtime.Runtime, scratch: Path) -> dict[str, Any]:
    on_gpu = run_on.device.type == "cuda"
    return {
        "output_dir": str(scratch),
        "max_steps": config.steps * optimizer_steps_per_step(config),
        "per_device_train_batch_size": _micro(config),
        "gradient_accumulation_steps": config.mini_batch_of("actor") // _micro(config),
        "generation_batch_size": config.prompts * config.rollouts,
        "num_generations": config.rollouts,
        "num_iterations": config.epochs,
        "max_completion_length": config.sampling.max_new_tokens,
        "temperature": config.sampling.temperature,
        "beta": config.kl,
        "epsilon": config.clip,
        "entropy_coef": config.entropy,
        "scale_rewards": "group" if config.whiten else "none",
        "learning_rate": config.actor.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": config.actor.warmup_steps,
        "adam_beta1": config.actor.betas[0],
        "adam_beta2": config.actor.betas[1],
        "adam_epsilon": config.actor.eps,
        "weight_decay": config.actor.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "optim": "adamw_torch",
        "shuffle_dataset": False,
        "seed": config.seed,
        "data_seed": config.seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu and run_on.describe()["dtype"] == "bfloat16",
        "gradient_checkpointing": config.recompute or on_gpu,
        "dataloader_pin_memory": on_gpu,
        "save_strategy": "no",  # the callback requests it between two steps of the stage
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": "none",
    }
