"""The parts of a reinforcement-learning step that PPO and GRPO share: sampling, scoring, evaluation, writing."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

import numpy as np

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.records import Metric, Rollout
from pipelines.tasks.loading import LoadedProblems
from pipelines.tasks.protocol import JsonProblem
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.rl.health import HealthMonitor
from pipelines.training.rl.ranks import Ranks, rank_folder, shard_items
from pipelines.training.rl.spurious_reward import replace_reward
from pipelines.training.sampling.metrics import rollout_metrics, rules_verdict_writer
from pipelines.training.sampling.rollouts import RolloutKey, RolloutSampler, SampledRollout, rollout_keys


class RLStepRunner:
    """Samples and evaluates for one stage and writes its streams. Every random choice follows from seed and step.

    Args:
        config: of the stage.
        folder: of the stage; only the first process writes to it.
        loaded: problems and task.
        sampler: samples and scores rollouts.
        ranks: the processes of the stage.
        positions: longest sequence of the model, in tokens; None if unknown.

    Raises:
        InvalidInput: no training problems, or a prompt with its completion exceeds the model's positions.
    """

    def __init__(
        self,
        config: PPOConfig,
        folder: StageFolder,
        loaded: LoadedProblems,
        sampler: RolloutSampler,
        ranks: Ranks,
        *,
        positions: int | None,
    ) -> None:
        self.folder = rank_folder(ranks.rank, folder)
        self._config = config
        self._train = loaded.train
        self._test = loaded.test[: config.evaluation.problems]
        self._sampler = sampler
        self._ranks = ranks
        self._health = HealthMonitor()
        if not self._train:
            raise InvalidInput("there are no training problems", remedy="Raise train in the problems stage.")
        asked = [config.sampling, *filter(None, [config.evaluation.sampling])]
        sampler.check_prompts(
            [*self._train, *self._test],
            new_tokens=max(each.max_new_tokens for each in asked),
            positions=positions,
        )

    @contextmanager
    def open_streams(self, step: int) -> Iterator[None]:
        """Open the streams to continue at `step`, the first step still to be done."""
        for done, metrics in sorted(read_metrics(self.folder, "train").items()):
            if done < step:
                self._health.observe(done, metrics)  # warned of in an earlier attempt
        with ExitStack() as stack:
            self._rollouts, self._evaluations = (
                stack.enter_context(self.folder.stream("rollouts", name)) for name in ("train", "eval")
            )
            self._metrics, self._eval_metrics, self._speed = (
                stack.enter_context(self.folder.stream("metrics", name)) for name in ("train", "eval", "speed")
            )
            self._verdicts = None
            if self._is_first and self._config.behaviors:
                self._verdicts = stack.enter_context(rules_verdict_writer(self.folder.path))
            yield

    def sample_rollouts(self, step: int) -> list[SampledRollout]:
        """Sample the rollouts to learn from in a step, and write them."""
        problems = problems_of_step(self._train, step, self._config)
        keys = list(rollout_keys("train", step, problems, self._config.rollouts))
        rollouts = [replace_reward(each, self._config) for each in self._sample(keys, self._config.sampling)]
        self._rollouts.append(each.rollout for each in rollouts)
        return rollouts

    def record_step(self, step: int, rollouts: Sequence[SampledRollout], learnt: dict[str, float]) -> dict[str, float]:
        """Write the metrics of a step and warn of health checks they trigger; return the values to show as progress.

        Args:
            step: the step.
            rollouts: of the step.
            learnt: metrics of the update.
        """
        metrics = self._rollout_metrics([each.rollout for each in rollouts]) | learnt
        self._metrics.append([Metric(step=step, values=metrics)])
        if not self._is_first:
            return {}
        for warning in self._health.observe(step, metrics):
            sys.stderr.write(f"warning: step {step}: {warning}\n")
        shown = {"reward": "reward", "accuracy": "accuracy", "policy_loss": "loss", "kl": "kl", "length": "length"}
        return {short: metrics[name] for name, short in shown.items() if name in metrics}

    def record_speed(self, step: int, rollouts: Sequence[SampledRollout], generating: float, updating: float) -> None:
        """Write how long sampling and updating took, in seconds."""
        tokens = sum(len(each.completion) for each in rollouts)
        values = {
            "generate_s": generating,
            "update_s": updating,
            "generated_tokens_per_s": tokens / max(generating, 1e-9),
            "trained_tokens_per_s": tokens / max(updating, 1e-9),
        }
        self._speed.append([Metric(step=step, values=values)])

    def evaluate(self, step: int) -> dict[str, float]:
        """Evaluate on the test problems if an evaluation is due; return the accuracy to show as progress."""
        config = self._config.evaluation
        if not config.every or not self._test or (step % config.every and step != self._config.steps):
            return {}
        sampling = config.sampling or self._config.sampling
        sampled = self._sample(list(rollout_keys("test", step, self._test, config.samples)), sampling)
        rollouts = [each.rollout for each in sampled]
        self._evaluations.append(rollouts)
        metrics = self._rollout_metrics(rollouts)
        self._eval_metrics.append([Metric(step=step, values=metrics | {"n": len(rollouts)})])
        return {"test_accuracy": metrics["accuracy"]} if metrics else {}

    def planned_rollouts(self) -> int:
        """Return the number of distinct training rollouts of the whole stage."""
        return planned_rollouts(self._train, self._config)

    @property
    def _is_first(self) -> bool:
        return self._ranks.rank == 0

    def _rollout_metrics(self, rollouts: list[Rollout]) -> dict[str, float]:
        """Compute the metrics of rollouts; empty in processes that do not write."""
        if not self._is_first:
            return {}
        return rollout_metrics(rollouts, behaviors=self._config.behaviors, verdicts=self._verdicts)

    def _sample(self, keys: list[RolloutKey], sampling: SamplingConfig) -> list[SampledRollout]:
        self._sampler.sync(keys[0].step)
        return self._ranks.all_gather(self._sampler.sample(shard_items(keys, self._ranks), sampling))


def checkpoint_interval(config: PPOConfig) -> int:
    """Return the number of steps between checkpoints."""
    return config.checkpoint_every or max(1, min(10, config.steps // 4))


def planned_rollouts(problems: Sequence[JsonProblem], config: PPOConfig) -> int:
    """Return the number of distinct training rollouts of a whole stage.

    A step that crosses the end of a pass may hold a problem twice; its rollouts then have one id.
    """
    steps = (problems_of_step(problems, step, config) for step in range(config.steps))
    return config.rollouts * sum(len({problem["id"] for problem in chosen}) for chosen in steps)


def problems_of_step(problems: Sequence[JsonProblem], step: int, config: PPOConfig) -> list[JsonProblem]:
    """Return the problems of a step, taken from consecutive passes over all problems, each in its own random order."""
    chosen: list[JsonProblem] = []
    for position in range(step * config.prompts, (step + 1) * config.prompts):
        epoch, offset = divmod(position, len(problems))
        chosen.append(problems[_order(config.seed, epoch, len(problems))[offset]])
    return chosen


@cache
def _order(seed: int, epoch: int, n: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng([seed, epoch]).permutation(n).tolist())
