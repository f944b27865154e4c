"""The `ppo` stage: rollouts, updates, evaluations, checkpoints, until all steps are done."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache

import numpy as np

from pipelines.countdown.problems import Problem
from pipelines.countdown.task import LoadedTask, load_task
from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.records import Metric
from pipelines.signals import graceful
from pipelines.stages import Inputs
from pipelines.training import runtime
from pipelines.training.configs import PPOConfig, SamplingConfig
from pipelines.training.generation.choice import make_engine
from pipelines.training.model import load_model, positions, save_model
from pipelines.training.ppo.experience import Batch
from pipelines.training.ppo.networks import Critic, Policy, reference_of
from pipelines.training.ppo.sharding import OneProcess, deal
from pipelines.training.ppo.summary import summarise
from pipelines.training.ppo.update import Learner, Trainer
from pipelines.training.rollouts import Drawn, Place, RolloutMaker, places, rollout_metrics
from pipelines.training.snapshot import Snapshot
from pipelines.training.tokenizer import load_tokenizer


def run(config: PPOConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Trains, or continues to train, and writes model and result."""
    run_on = runtime.start(config)
    loaded = load_task(inputs.one("problems"))
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    model = load_model(path).to(run_on.device)
    policy = Policy(model)
    trainer = Trainer(
        config,
        actor=Learner(policy, config.actor, config.max_grad_norm),
        critic=Learner(Critic(model).to(run_on.device), config.critic, config.max_grad_norm),
        reference=reference_of(policy) if config.kl else None,
        runtime=run_on,
        ranks=OneProcess(),
    )
    maker = RolloutMaker(
        folder.key,
        loaded.task,
        tokenizer,
        make_engine(config.engine, model, tokenizer, run_on),
        seed=config.seed,
        max_prompt_tokens=config.max_prompt_tokens,
    )
    loop = Loop(config, folder, loaded, trainer, maker, pad=int(tokenizer.pad_token_id))
    loop.run()
    save_model(folder, model, tokenizer)
    folder.write_result(summarise(folder, config) | run_on.describe())


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
                if step == config.steps or step % self._checkpoint_every() == 0 or stop.requested:
                    seen = {"problems_seen": step * config.prompts}
                    snapshot.save(step, keep=config.keep_checkpoints, extra=seen)
                stop.raise_if_requested()
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
        metrics = rollout_metrics(rollouts, behaviors=config.behaviors)
        metrics |= self._trainer.update(Batch.of(drawn, self._pad), step)
        self._metrics.append([Metric(step=step, values=metrics)])
        updated = time.perf_counter()
        tokens = sum(rollout.n_tokens for rollout in rollouts)
        self._speed.append([Metric(step=step, values=_speed(tokens, generated - began, updated - generated))])
        if metrics["equal_rewards"]:
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
        metrics = rollout_metrics(rollouts, behaviors=self._config.behaviors)
        self._eval_metrics.append([Metric(step=step, values=metrics | {"n": len(rollouts)})])
        return {"test_accuracy": metrics["accuracy"]}

    def _draw(self, due: list[Place], sampling: SamplingConfig) -> list[Drawn]:
        ranks = self._trainer.ranks
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
