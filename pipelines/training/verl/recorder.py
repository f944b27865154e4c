"""Writes what verl did as the streams of a `ppo` stage, step by step, while it runs."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipelines.folder import StageFolder
from pipelines.records import Metric, Rollout
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.rl.health import HealthMonitor
from pipelines.training.sampling.metrics import rollout_metrics, rules_verdict_writer
from pipelines.training.verl.dumps import DumpConverter
from pipelines.training.verl.metrics import MetricsFollower, VerlStep
from pipelines.training.verl.settings import VerlPaths

_SHOWN = {"reward": "reward", "accuracy": "accuracy", "policy_loss": "loss", "kl": "kl", "length": "length"}


class VerlRecorder:
    """Follows verl's metrics and dumps. A step is recorded when both are there, in order.

    verl counts its steps from 1, this project from 0: the rollouts of its step N were sampled after N - 1 updates. An
    evaluation of its step N is one after N updates in both.

    Args:
        config: of the stage.
        folder: of the stage.
        paths: of this attempt.
        converter: turns dumps into rollouts.
        step: first step to be recorded.
        test_problems: problems of an evaluation.
    """

    def __init__(
        self,
        config: PPOConfig,
        folder: StageFolder,
        paths: VerlPaths,
        converter: DumpConverter,
        *,
        step: int,
        test_problems: int,
    ) -> None:
        self.step = step
        """Number of recorded training steps."""
        self._config = config
        self._folder = folder
        self._paths = paths
        self._converter = converter
        self._follower = MetricsFollower(paths.metrics)
        self._logged: dict[int, VerlStep] = {}
        self._evaluated = {done for done in read_metrics(folder, "eval") if done <= step}
        self._expected = {"train": config.prompts * config.rollouts, "test": test_problems * config.evaluation.samples}
        self._health = HealthMonitor()

    @contextmanager
    def open_streams(self) -> Iterator[None]:
        """Open the streams for as long as the block lasts."""
        for done, metrics in sorted(read_metrics(self._folder, "train").items()):
            if done < self.step:
                self._health.observe(done, metrics)  # warned of in an earlier attempt
        with ExitStack() as stack:
            self._rollouts, self._evaluations = (
                stack.enter_context(self._folder.stream("rollouts", name)) for name in ("train", "eval")
            )
            self._metrics, self._eval_metrics, self._speed, self._verl = (
                stack.enter_context(self._folder.stream("metrics", name)) for name in ("train", "eval", "speed", "verl")
            )
            self._verdicts = (
                stack.enter_context(rules_verdict_writer(self._folder.path)) if self._config.behaviors else None
            )
            yield

    def advance(self, *, ended: bool = False) -> None:
        """Record every step that is complete by now.

        Args:
            ended: verl has ended, so what is incomplete stays so.

        Raises:
            StageFailed: see `DumpConverter.rollouts`.
        """
        for logged in self._follower.read():
            before = self._logged.get(logged.step)
            self._logged[logged.step] = VerlStep(logged.step, (before.values if before else {}) | logged.values)
        while self._record_evaluation(ended) and self.step < self._config.steps and self._record_step(ended):
            self.step += 1

    def _record_step(self, ended: bool) -> bool:
        """Record the next training step if it is complete; return whether it was."""
        logged = self._logged.get(self.step + 1)
        if logged is None or not logged.has_update:
            return False
        rollouts = self._dumped(self._paths.rollouts, self.step + 1, "train", self.step, ended)
        if rollouts is None:
            return False
        self._rollouts.append(rollouts)
        warming = self.step < self._config.critic_warmup_steps
        values = self._rollout_metrics(rollouts) | logged.learnt() | {"updated": float(not warming)}
        self._metrics.append([Metric(step=self.step, values=values)])
        self._speed.append([Metric(step=self.step, values=logged.speed())])
        self._verl.append([Metric(step=self.step, values=logged.values)])
        for warning in self._health.observe(self.step, values):
            sys.stderr.write(f"warning: step {self.step}: {warning}\n")
        shown = {short: values[name] for name, short in _SHOWN.items() if name in values}
        self._folder.report(self.step + 1, self._config.steps, "steps", values=shown)
        return True

    def _record_evaluation(self, ended: bool) -> bool:
        """Record the evaluation that is due before the next step; return False while it is not complete."""
        config, step = self._config.evaluation, self.step
        is_due = config.every and self._expected["test"] and (step % config.every == 0 or step == self._config.steps)
        if not is_due or step in self._evaluated:
            return True
        rollouts = self._dumped(self._paths.evaluations, step, "test", step, ended)
        if rollouts is None:
            return False
        self._evaluated.add(step)
        self._evaluations.append(rollouts)
        metrics = self._rollout_metrics(rollouts)
        self._eval_metrics.append([Metric(step=step, values=metrics | {"n": len(rollouts)})])
        return True

    def _dumped(self, folder: Path, number: int, split: str, step: int, ended: bool) -> list[Rollout] | None:
        """Return the rollouts of a dump; None while verl still writes it."""
        path = folder / f"{number}.jsonl"
        asked = self._config.evaluation.sampling if split == "test" else None
        try:
            rollouts = self._converter.rollouts(path, split, step, asked or self._config.sampling)
        except (OSError, ValueError):
            return None
        # A problem that comes twice in a step has its rollouts once, so fewer may be complete; verl has then gone on.
        is_complete = len(rollouts) >= self._expected[split] or ended or max(self._logged, default=0) > number
        return rollouts if is_complete and rollouts else None

    def _rollout_metrics(self, rollouts: list[Rollout]) -> dict[str, float]:
        return rollout_metrics(rollouts, behaviors=self._config.behaviors, verdicts=self._verdicts)
