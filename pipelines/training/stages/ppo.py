"""The `ppo` stage: rollouts, updates, evaluations, checkpoints, until all steps are done."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import Interrupted
from pipelines.folder import StageFolder
from pipelines.signals import graceful
from pipelines.stages import Inputs
from pipelines.tasks.countdown.task import load_task
from pipelines.tokenizer import load_tokenizer
from pipelines.training.core import runtime
from pipelines.training.core.checkpoint import Snapshot
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.model import load_model, positions, save_model
from pipelines.training.generation.choice import make_engine
from pipelines.training.generation.engine import Engine
from pipelines.training.generation.whole import WholeCopyEngine, copy_weights, whole_copy
from pipelines.training.ppo.checkpoint import ShardedSnapshot
from pipelines.training.ppo.experience import Batch
from pipelines.training.ppo.fsdp import ranks_of
from pipelines.training.ppo.networks import Critic, Policy, recompute_activations, reference_of
from pipelines.training.ppo.update import Learner, Trainer
from pipelines.training.rl.rounds import Rounds, checkpoint_every
from pipelines.training.rl.sharding import Ranks
from pipelines.training.rl.summary import summarise
from pipelines.training.sampling.rollouts import RolloutMaker

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def run(config: PPOConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Trains, or continues to train, and writes model and result."""
    if config.algorithm == "grpo":
        from pipelines.training.grpo.algorithm import run as run_grpo

        run_grpo(config, inputs, folder)
        return
    run_on = runtime.start(config, many=config.sharding == "fsdp", advice=", or the stage's sharding to fsdp")
    ranks = ranks_of(run_on)
    loaded = load_task(inputs.one("problems"))
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    model = load_model(path)
    trainer = trainer_for(config, model, run_on, ranks)
    maker = RolloutMaker(
        folder.key,
        loaded.task,
        tokenizer,
        engine_for(config, path, model, tokenizer, run_on, ranks),
        seed=config.seed,
        max_prompt_tokens=config.max_prompt_tokens,
    )
    rounds = Rounds(config, folder, loaded, maker, ranks, positions=positions(model))
    Loop(config, rounds, trainer, pad=int(tokenizer.pad_token_id)).run()
    if ranks.size > 1:
        whole = load_model(path) if ranks.rank == 0 else None
        copy_weights(model, whole)
        model = whole
    if ranks.rank == 0:
        save_model(folder, model, tokenizer)
        folder.write_result(summarise(folder, config) | {"processes": ranks.size} | run_on.describe())
    ranks.wait()


def trainer_for(config: PPOConfig, model: "PreTrainedModel", run_on: runtime.Runtime, ranks: Ranks) -> Trainer:
    """Policy, critic and reference of a model, on their device or sharded over the processes, with optimizers."""
    policy = Policy(model)
    critic = Critic(model)
    reference = reference_of(policy) if config.kl else None
    if config.recompute:
        for learning in (policy, critic):
            recompute_activations(learning)
    for network in (critic, reference, policy):
        if network is None:
            continue
        if ranks.size > 1:
            ranks.shard(network)
        else:
            network.to(run_on.device)
    return Trainer(
        config,
        actor=Learner(policy, config.actor, config.max_grad_norm),
        critic=Learner(critic, config.critic, config.max_grad_norm),
        reference=reference,
        runtime=run_on,
        ranks=ranks,
    )


def engine_for(
    config: PPOConfig,
    path: Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    run_on: runtime.Runtime,
    ranks: Ranks,
) -> Engine:
    """What generates: on the model itself, or on a whole copy of a sharded one."""
    asked = [config.sampling, *filter(None, [config.evaluation.sampling])]
    longest = config.max_prompt_tokens + max(each.max_new_tokens for each in asked)
    if ranks.size == 1 or config.engine.name == "vllm":
        return make_engine(config.engine, model, tokenizer, run_on, longest=longest, most=ranks.most)
    copy = whole_copy(load_model(path), run_on.compute).to(run_on.device)
    return WholeCopyEngine(model, copy, make_engine(config.engine, copy, tokenizer, run_on))


class Loop:
    """The steps of one PPO stage. Any step can be made again."""

    def __init__(self, config: PPOConfig, rounds: Rounds, trainer: Trainer, *, pad: int) -> None:
        self._config = config
        self._rounds = rounds
        self._trainer = trainer
        self._pad = pad

    def run(self) -> None:
        """Goes on from the newest checkpoint to the last step, and evaluates there."""
        config, ranks, folder = self._config, self._trainer.ranks, self._rounds.folder
        snapshot: Snapshot | ShardedSnapshot
        if config.sharding == "fsdp":
            snapshot = ShardedSnapshot(folder, self._trainer.learners(), ranks)
        else:
            snapshot = Snapshot(folder, self._trainer.parts())
        step = snapshot.resume()
        with graceful() as stop, self._rounds.writing(step):
            values: dict[str, float] = {}
            while step < config.steps:
                values |= self._evaluate(step)
                values |= self._step(step)
                step += 1
                folder.report(step, config.steps, "steps", values=values)
                stopping = bool(ranks.most(stop.requested))  # a signal reaches processes at different steps
                if step == config.steps or step % checkpoint_every(config) == 0 or stopping:
                    seen = {"problems_seen": step * config.prompts}
                    snapshot.save(step, keep=config.keep_checkpoints, extra=seen)
                if stopping:
                    stop.raise_if_requested()
                    raise Interrupted("stopped with another process of this stage")
            self._evaluate(step)

    def _step(self, step: int) -> dict[str, float]:
        """Draws the rollouts of a step, learns from them, writes both down; returns what is worth showing."""
        began = time.perf_counter()
        drawn = self._rounds.draw(step)
        generated = time.perf_counter()
        learnt = self._trainer.update(Batch.of(drawn, self._pad), step)
        shown = self._rounds.record(step, drawn, learnt)
        self._rounds.record_speed(step, drawn, generated - began, time.perf_counter() - generated)
        return shown

    def _evaluate(self, step: int) -> dict[str, float]:
        return self._rounds.evaluate(step)
