"""The `ppo` stage: rollouts, updates, evaluations and checkpoints until all steps are done."""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch

from pipelines.errors import Interrupted
from pipelines.folder import StageFolder
from pipelines.signals import Stop, graceful
from pipelines.stages import Inputs
from pipelines.tasks.loading import load_problems
from pipelines.tokenizer import load_tokenizer
from pipelines.training.core import runtime
from pipelines.training.core.checkpoint import TrainingCheckpoint
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.disk import require_disk
from pipelines.training.core.model import load_model, max_positions, save_model
from pipelines.training.core.shard_loading import StoredWeights, allocate_model, fill_shards, open_for_sharding
from pipelines.training.generation.engine import Engine
from pipelines.training.generation.factory import make_engine
from pipelines.training.generation.inference_copy import InferenceCopyEngine, copy_weights
from pipelines.training.ppo.batch import RolloutBatch
from pipelines.training.ppo.fsdp import connect_ranks
from pipelines.training.ppo.networks import PolicyNetwork, ValueNetwork, freeze_copy, recompute_activations
from pipelines.training.ppo.sharded_checkpoint import ShardedTrainingCheckpoint
from pipelines.training.ppo.trainer import OptimizedNetwork, PPOTrainer
from pipelines.training.ppo.update_progress import UnfinishedStep, UpdateProgress, UpdateStopped
from pipelines.training.rl.ranks import Ranks
from pipelines.training.rl.step_runner import RLStepRunner, checkpoint_interval
from pipelines.training.rl.summary import summarise_training
from pipelines.training.sampling.rollouts import RolloutSampler

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def run(config: PPOConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Train from the newest checkpoint if there is one; write `artifacts/model` and the result."""
    if config.engine.name == "verl":
        from pipelines.training.verl.stage import run as run_verl

        run_verl(config, inputs, folder)
        return
    if config.algorithm == "grpo":
        from pipelines.training.grpo.algorithm import run as run_grpo

        run_grpo(config, inputs, folder)
        return
    run_on = runtime.start(config, many=config.sharding == "fsdp", advice=", or the stage's sharding to fsdp")
    ranks = connect_ranks(run_on)
    loaded = load_problems(inputs.one("problems"))
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    weights: StoredWeights | None = None
    if ranks.size > 1:
        model, weights = open_for_sharding(path)
    else:
        model = load_model(path).to(run_on.device)
    trainer = build_trainer(config, model, run_on, ranks, weights)
    with closing(build_engine(config, path, model, tokenizer, run_on, ranks)) as engine:
        sampler = RolloutSampler(
            folder.key, loaded.task, tokenizer, engine, seed=config.seed, max_prompt_tokens=config.max_prompt_tokens
        )
        runner = RLStepRunner(config, folder, loaded, sampler, ranks, positions=max_positions(model))
        PPOLoop(config, runner, trainer, pad=int(tokenizer.pad_token_id)).run()
        if ranks.size > 1:
            whole = allocate_model(path, torch.float32, torch.device("cpu")) if ranks.rank == 0 else None
            copy_weights(model, whole)
            model = whole
        if ranks.rank == 0:
            save_model(folder, model, tokenizer, dtype=config.save_dtype)
            found = summarise_training(folder, config, runner.planned_rollouts())
            folder.write_result(found | {"processes": ranks.size} | run_on.describe())
        ranks.barrier()


def build_trainer(
    config: PPOConfig,
    model: "PreTrainedModel",
    run_on: runtime.Runtime,
    ranks: Ranks,
    weights: StoredWeights | None = None,
) -> PPOTrainer:
    """Build policy, critic and reference, on their device or sharded over the processes, with optimizers.

    Args:
        config: of the stage.
        model: the initial policy.
        run_on: device and number type.
        ranks: the processes of the stage.
        weights: what the shards are filled with if the model has no weights yet.
    """
    policy = PolicyNetwork(model)
    critic = ValueNetwork(model)
    reference = freeze_copy(policy) if config.kl else None
    if config.recompute:
        for learning in (policy, critic):
            recompute_activations(learning)
    for network in (critic, reference, policy):
        if network is None:
            continue
        if ranks.size > 1:
            ranks.shard(network)
            if weights is not None:
                fill_shards(network, network.stored_names(), weights, run_on.device, ranks.rank)
        else:
            network.to(run_on.device)
    return PPOTrainer(
        config,
        actor=OptimizedNetwork(policy, config.actor, config.max_grad_norm),
        critic=OptimizedNetwork(critic, config.critic, config.max_grad_norm),
        reference=reference,
        runtime=run_on,
        ranks=ranks,
    )


def build_engine(
    config: PPOConfig,
    path: Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    run_on: runtime.Runtime,
    ranks: Ranks,
) -> Engine:
    """Build the engine, on the model itself or on an unsharded copy of a sharded one."""
    make = partial(make_engine, config.engine, tokenizer=tokenizer, runtime=run_on, path=path)
    longest = config.longest_sequence()
    if ranks.size == 1 or config.engine.name == "vllm":
        return make(model=model, max_sequence=longest, group=ranks if ranks.size > 1 else None)
    # The first `sync` fills it.
    copy = allocate_model(path, run_on.compute, run_on.device).requires_grad_(False)
    return InferenceCopyEngine(model, copy, make(model=copy, max_sequence=longest))


class PPOLoop:
    """The steps of one PPO stage. A repeated step has the same outcome and writes nothing twice."""

    def __init__(self, config: PPOConfig, runner: RLStepRunner, trainer: PPOTrainer, *, pad: int) -> None:
        self._config = config
        self._runner = runner
        self._trainer = trainer
        self._pad = pad

    def run(self) -> None:
        """Run from the newest checkpoint to the last step, and evaluate after it."""
        config, ranks, folder = self._config, self._trainer.ranks, self._runner.folder
        checkpoint: TrainingCheckpoint | ShardedTrainingCheckpoint
        if config.sharding == "fsdp":
            checkpoint = ShardedTrainingCheckpoint(folder, self._trainer.networks(), ranks)
        else:
            checkpoint = TrainingCheckpoint(folder, self._trainer.checkpoint_parts())
        step = checkpoint.resume()
        if ranks.rank == 0:
            networks = [each.network for each in self._trainer.networks().values()]
            require_disk(
                folder, networks, self._trainer.policy, keep=config.keep_checkpoints, save_dtype=config.save_dtype
            )
        unfinished = None if checkpoint.unfinished is None else UnfinishedStep.from_state(checkpoint.unfinished, ranks)
        with graceful() as stop, self._runner.open_streams(step):
            values: dict[str, float] = {}

            def stopping() -> bool:
                # A signal may arrive at different times in the processes.
                return bool(ranks.all_reduce_max(stop.requested))

            def save(unfinished: UnfinishedStep | None = None) -> None:
                checkpoint.save(
                    step,
                    keep=config.keep_checkpoints,
                    extra={"problems_seen": step * config.prompts},
                    unfinished=None if unfinished is None else unfinished.state(ranks),
                )

            while step < config.steps:
                if unfinished is None:
                    values |= self._evaluate(step)
                found = self._step(step, unfinished, stopping)
                if isinstance(found, UnfinishedStep):
                    if step or found.progress.optimizer_steps:  # else the stage begins anew without a checkpoint
                        save(found)
                        # progress for those who count starts without any
                        folder.report(step + found.progress.share(), config.steps, "steps", values=values)
                    _interrupt(stop)
                unfinished = None
                values |= found
                step += 1
                folder.report(step, config.steps, "steps", values=values)
                last = stopping()
                if step == config.steps or step % checkpoint_interval(config) == 0 or last:
                    save()
                if last:
                    _interrupt(stop)
            self._evaluate(step)

    def _step(
        self, step: int, unfinished: UnfinishedStep | None, stopping: Callable[[], bool]
    ) -> dict[str, float] | UnfinishedStep:
        """Sample the rollouts of a step, update on them, write metrics.

        Args:
            step: number of the step.
            unfinished: what an earlier start did of it.
            stopping: whether a stop was requested, in any process.

        Returns:
            The values to show as progress, or the unfinished step after a stop in the middle of its update.
        """
        began = time.perf_counter()
        rollouts = self._runner.sample_rollouts(step) if unfinished is None else unfinished.rollouts
        sampled = time.perf_counter()
        generating, before = (
            (sampled - began, 0.0) if unfinished is None else (unfinished.generate_s, unfinished.update_s)
        )
        progress = UpdateProgress() if unfinished is None else unfinished.progress
        batch = RolloutBatch.from_rollouts(rollouts, self._pad)
        try:
            learnt = self._trainer.update(batch, step, progress, stopping=stopping)
        except UpdateStopped:
            return UnfinishedStep(rollouts, progress, generating, before + time.perf_counter() - sampled)
        shown = self._runner.record_step(step, rollouts, learnt)
        self._runner.record_speed(step, rollouts, generating, before + time.perf_counter() - sampled)
        return shown

    def _evaluate(self, step: int) -> dict[str, float]:
        return self._runner.evaluate(step)


def _interrupt(stop: Stop) -> NoReturn:
    """End this process after a stop signal to it or to another one."""
    stop.raise_if_requested()
    raise Interrupted("stopped with another process of this stage")
