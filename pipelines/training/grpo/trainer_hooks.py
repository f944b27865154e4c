"""The two hooks of TRL's GRPOTrainer in a stage: it gets rollouts from an adapter and reports to a callback.

The trainer counts optimizer steps; a step of the stage is one batch of rollouts, hence
`optimizer_steps_per_step` of them.
"""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from pipelines.signals import Stop
from pipelines.training.core.checkpoint import write_state
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.metrics import require_finite
from pipelines.training.core.trainer_callback import StageTrainerCallback
from pipelines.training.core.trl_compat import GRPO_IMPORTANCE_LOG_NAMES, GRPO_LOG_NAMES, rollout_output
from pipelines.training.rl.step_runner import RLStepRunner
from pipelines.training.sampling.rollouts import SampledRollout


def optimizer_steps_per_step(config: PPOConfig) -> int:
    """Return the number of optimizer steps in a step of the stage."""
    return config.prompts * config.rollouts // config.mini_batch_of("actor") * config.epochs


class TRLRolloutAdapter:
    """The trainer's rollout function: evaluates if an evaluation is due, then samples the rollouts of the step."""

    __name__ = "sample_rollouts"  # TRL reads the name of a function

    def __init__(self, config: PPOConfig, runner: RLStepRunner, first: int) -> None:
        self._runner = runner
        self._n = config.prompts * config.rollouts
        self._corrected = config.importance_level() != "none"
        self.step = first
        """The step whose rollouts are sampled next, or were sampled last."""
        self.rollouts: list[SampledRollout] = []
        self.evaluation: dict[str, float] = {}
        self.seconds = 0.0
        """Time that sampling took."""
        self.finished_at = 0.0
        """Value of `time.perf_counter` when sampling ended."""

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Return token ids and rewards of the step's rollouts; the trainer's own prompts are ignored."""
        assert len(prompts) == self._n
        self.evaluation = self._runner.evaluate(self.step)
        began = time.perf_counter()
        self.rollouts = self._runner.sample_rollouts(self.step)
        self.finished_at = time.perf_counter()
        self.seconds = self.finished_at - began
        return rollout_output(
            prompts=[each.prompt for each in self.rollouts],
            completions=[each.completion for each in self.rollouts],
            rewards=[each.reward for each in self.rollouts],
            log_probs=[each.log_probs or () for each in self.rollouts] if self._corrected else None,
        )


class GRPOStageCallback(StageTrainerCallback):
    """Gathers optimizer steps into steps of the stage; writes metrics, saves and stops only between two of those."""

    def __init__(
        self, config: PPOConfig, runner: RLStepRunner, adapter: TRLRolloutAdapter, stop: Stop, *, every: int
    ) -> None:
        super().__init__(runner.folder, stop, GRPO_LOG_NAMES | GRPO_IMPORTANCE_LOG_NAMES)
        self._config = config
        self._updates = optimizer_steps_per_step(config)
        self._runner = runner
        self._adapter = adapter
        self._every = every
        self._values: dict[str, list[float]] = defaultdict(list)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> TrainerControl:
        """Request a checkpoint at the end of a step of the stage if one is due or the stage was stopped."""
        if state.global_step % self._updates == 0:
            step = state.global_step // self._updates
            control.should_save = step % self._every == 0 or step == self._config.steps
            if self.stop.requested:
                self.request_stop(control)
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Collect the values of an optimizer step; after the last one of a step, write their means."""
        logged = self.logged_metrics(logs)
        if not logged:
            return
        for name, value in logged.items():
            self._values[name].append(value)
        if state.global_step % self._updates:
            return
        adapter, step = self._adapter, self._adapter.step
        values = {name: sum(each) / len(each) for name, each in self._values.items()}
        self._values.clear()
        require_finite(values, f"GRPO step {step}", remedy="Lower actor.learning_rate.")
        equal = values.get("equal_groups") == 1.0
        values |= {"updated": float(not equal), "equal_rewards": float(equal)}
        shown = adapter.evaluation | self._runner.record_step(step, adapter.rollouts, values)
        updating = time.perf_counter() - adapter.finished_at
        self._runner.record_speed(step, adapter.rollouts, adapter.seconds, updating)
        self.folder.report(step + 1, self._config.steps, "steps", values=shown)
        adapter.step = step + 1

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Move the saved checkpoint into the stage folder, with random states and the stage's key."""
        step = state.global_step // self._updates
        extra = {"problems_seen": step * self._config.prompts}

        def complete(path: Path) -> None:
            write_state(path, self.folder.key, step, extra)

        self.move_checkpoint(args, state, step, keep=self._config.keep_checkpoints, complete=complete)
