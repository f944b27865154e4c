"""The `ppo` stage: rollouts, updates, evaluations, checkpoints, until all steps are done."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.countdown.problems import Problem
from pipelines.countdown.task import LoadedTask, load_task
from pipelines.errors import Interrupted, InvalidInput
from pipelines.folder import StageFolder
from pipelines.records import Metric, Rollout
from pipelines.signals import graceful
from pipelines.stages import Inputs
from pipelines.training import runtime
from pipelines.training.configs import PPOConfig, SamplingConfig
from pipelines.training.generation.choice import make_engine
from pipelines.training.generation.engine import Engine
from pipelines.training.generation.whole import WholeCopyEngine, copy_weights, whole_copy
from pipelines.training.model import load_model, positions, save_model
from pipelines.training.ppo.checkpoint import ShardedSnapshot
from pipelines.training.ppo.experience import Batch
from pipelines.training.ppo.folder import folder_for
from pipelines.training.ppo.fsdp import ranks_of
from pipelines.training.ppo.networks import Critic, Policy, reference_of
from pipelines.training.ppo.sharding import Ranks, deal
from pipelines.training.ppo.summary import summarise
from pipelines.training.ppo.update import Learner, Trainer
from pipelines.training.rollouts import Drawn, Place, RolloutMaker, places, rollout_metrics
from pipelines.training.snapshot import Snapshot
from pipelines.training.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def run(config: PPOConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Trains, or continues to train, and writes model and result."""
    if config.algorithm == "grpo":
        from pipelines.training.grpo import run as run_grpo

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
        _engine(config, path, model, tokenizer, run_on, ranks),
        seed=config.seed,
        max_prompt_tokens=config.max_prompt_tokens,
    )
    Loop(config, folder_for(ranks.rank, folder), loaded, trainer, maker, pad=int(tokenizer.pad_token_id)).run()
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


def _engine(
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
    """The steps of one PPO stage. Every random choice follows from seed and step, so any step can be made again."""

    def __init__(
        self,
        config: PPOConfig,
        folder: StageFolder,
        loaded: LoadedTask,
        trainer: Trainer,
        maker: RolloutMaker,
        *,
        pad: int,
    ) -> None:
        self._config = config
        self._folder = folder
        self._train = loaded.train
        self._test = loaded.test[: config.evaluation.problems]
        self._trainer = trainer
        self._maker = maker
        self._pad = pad
        if not self._train:
            raise InvalidInput("there are no training problems", remedy="Raise train in the problems stage.")
        asked = [config.sampling, *filter(None, [config.evaluation.sampling])]
        maker.check_prompts(
            [*self._train, *self._test],
            new_tokens=max(each.max_new_tokens for each in asked),
            positions=positions(trainer.policy.model),
        )

    def run(self) -> None:
        """Goes on from the newest checkpoint to the last step, and evaluates there."""
        ranks = self._trainer.ranks
        snapshot: Snapshot | ShardedSnapshot
        if self._config.sharding == "fsdp":
            snapshot = ShardedSnapshot(self._folder, self._trainer.learners(), ranks)
        else:
            snapshot = Snapshot(self._folder, self._trainer.parts())
        step = snapshot.resume()
        config = self._config
        with ExitStack() as stack:
            stop = stack.enter_context(graceful())
            self._rollouts, self._evaluations = (
                stack.enter_context(self._folder.stream("rollouts", name)) for name in ("train", "eval")
            )
            self._metrics, self._eval_metrics, self._speed = (
                stack.enter_context(self._folder.stream("metrics", name)) for name in ("train", "eval", "speed")
            )
            values: dict[str, float] = {}
            while step < config.steps:
                values |= self._evaluate(step)
                values |= self._step(step)
                step += 1
                self._folder.report(step, config.steps, "steps", values=values)
                stopping = bool(ranks.most(stop.requested))  # a signal reaches processes at different steps
                if step == config.steps or step % self._checkpoint_every() == 0 or stopping:
                    seen = {"problems_seen": step * config.prompts}
                    snapshot.save(step, keep=config.keep_checkpoints, extra=seen)
                if stopping:
                    stop.raise_if_requested()
                    raise Interrupted("stopped with another process of this stage")
            self._evaluate(step)

    def _step(self, step: int) -> dict[str, float]:
        """Draws the rollouts of a step, learns from them, writes both down; returns what is worth showing."""
        config = self._config
        began = time.perf_counter()
        due = list(places("train", step, problems_of(self._train, step, config), config.rollouts))
        drawn = self._draw(due, config.sampling)
        rollouts = [each.rollout for each in drawn]
        self._rollouts.append(rollouts)
        generated = time.perf_counter()
        metrics = self._shown(rollouts)
        metrics |= self._trainer.update(Batch.of(drawn, self._pad), step)
        self._metrics.append([Metric(step=step, values=metrics)])
        updated = time.perf_counter()
        tokens = sum(rollout.n_tokens for rollout in rollouts)
        self._speed.append([Metric(step=step, values=_speed(tokens, generated - began, updated - generated))])
        if metrics["equal_rewards"] and self._leads:
            sys.stderr.write(
                f"warning: step {step}: all {len(rollouts)} rewards equal {metrics['reward']:g}: policy not updated\n"
            )
        shown = {"reward": "reward", "accuracy": "accuracy", "policy_loss": "loss", "kl": "kl", "length": "length"}
        return {short: metrics[name] for name, short in shown.items() if name in metrics}

    def _evaluate(self, step: int) -> dict[str, float]:
        """Accuracy on the test problems, if it is due at this step."""
        config = self._config.evaluation
        if not config.every or not self._test or (step % config.every and step != self._config.steps):
            return {}
        drawn = self._draw(
            list(places("test", step, self._test, config.samples)), config.sampling or self._config.sampling
        )
        rollouts = [each.rollout for each in drawn]
        self._evaluations.append(rollouts)
        metrics = self._shown(rollouts)
        self._eval_metrics.append([Metric(step=step, values=metrics | {"n": len(rollouts)})])
        return {"test_accuracy": metrics["accuracy"]} if metrics else {}

    @property
    def _leads(self) -> bool:
        return self._trainer.ranks.rank == 0

    def _shown(self, rollouts: list[Rollout]) -> dict[str, float]:
        """The metrics of rollouts; nothing in processes that write none."""
        return rollout_metrics(rollouts, behaviors=self._config.behaviors) if self._leads else {}

    def _draw(self, due: list[Place], sampling: SamplingConfig) -> list[Drawn]:
        ranks = self._trainer.ranks
        self._maker.sync(due[0].step)
        return ranks.gather(self._maker.draw(deal(due, ranks), sampling))

    def _checkpoint_every(self) -> int:
        return self._config.checkpoint_every or max(1, min(10, self._config.steps // 4))


def problems_of(problems: Sequence[Problem], step: int, config: PPOConfig) -> list[Problem]:
    """The problems of a step: pass after pass over all of them, each pass in an order of its own."""
    chosen: list[Problem] = []
    for position in range(step * config.prompts, (step + 1) * config.prompts):
        epoch, offset = divmod(position, len(problems))
        chosen.append(problems[_order(config.seed, epoch, len(problems))[offset]])
    return chosen


@cache
def _order(seed: int, epoch: int, n: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng([seed, epoch]).permutation(n).tolist())


def _speed(tokens: int, generating: float, updating: float) -> dict[str, float]:
    return {
        "generate_s": generating,
        "update_s": updating,
        "generated_tokens_per_s": tokens / max(generating, 1e-9),
        "trained_tokens_per_s": tokens / max(updating, 1e-9),
    }
