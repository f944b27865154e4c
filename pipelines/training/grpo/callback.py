"""What TRL's GRPOTrainer tells and saves, in the terms of the stage: steps, metrics, checkpoints, stop."""

import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipelines.folder import StageFolder
from pipelines.signals import Stop
from pipelines.training.core.checkpoint import DamagedCheckpoint, read_verified_state, warn_of_damage, write_state
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.metrics import require_finite
from pipelines.training.grpo.trl_adapter import TRLRolloutAdapter, optimizer_steps_per_step
from pipelines.training.rl.step_runner import RLStepRunner

_NAMES: Final = {
    "loss": "policy_loss",
    "grad_norm": "actor_grad_norm",
    "kl": "kl",
    "entropy": "entropy",
    "clip_ratio/region_mean": "clip_fraction",
    "frac_reward_zero_std": "equal_groups",
}
"""What is kept of the trainer's log, under the names PPO has for the same; means over a step's optimizer steps."""


class GRPOStageCallback(TrainerCallback):  # type: ignore[misc] # transformers is not followed by mypy
    """Counts optimizer steps into steps of the stage; writes, saves and stops between two of those."""

    def __init__(
        self, config: PPOConfig, runner: RLStepRunner, adapter: TRLRolloutAdapter, stop: Stop, *, every: int
    ) -> None:
        self._config = config
        self._updates = optimizer_steps_per_step(config)
        self._runner = runner
        self._adapter = adapter
        self._stop = stop
        self._every = every
        self._values: dict[str, list[float]] = defaultdict(list)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> TrainerControl:
        """Asks for a checkpoint where one is due or a stop was asked for, but only where a new batch would begin."""
        if state.global_step % self._updates == 0:
            step = state.global_step // self._updates
            stopping = self._stop.requested
            control.should_save = step % self._every == 0 or step == self._config.steps or stopping
            control.should_training_stop = control.should_training_stop or stopping
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Gathers the values of an optimizer step; with the last of a batch, writes the step's metrics."""
        if not logs or "loss" not in logs:
            return
        for name, short in _NAMES.items():
            if name in logs:
                self._values[short].append(float(logs[name]))
        if state.global_step % self._updates:
            return
        step = self._adapter.step
        values = {name: sum(each) / len(each) for name, each in self._values.items()}
        self._values.clear()
        require_finite(values, f"GRPO step {step}", remedy="Lower actor.learning_rate.")
        equal = values.get("equal_groups") == 1.0
        values |= {"updated": float(not equal), "equal_rewards": float(equal)}
        shown = self._adapter.evaluation | self._runner.record_step(step, self._adapter.rollouts, values)
        self._runner.record_speed(
            step, self._adapter.rollouts, self._adapter.seconds, time.perf_counter() - self._adapter.finished_at
        )
        self._runner.folder.report(step + 1, self._config.steps, "steps", values=shown)
        self._adapter.step = step + 1

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Moves what the trainer just wrote to `checkpoints/step-NNNNNN`, whole or not at all."""
        written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        folder, step = self._runner.folder, state.global_step // self._updates
        with folder.new_checkpoint(step, keep=self._config.keep_checkpoints) as path:
            for file in sorted(written.iterdir()):
                file.rename(path / file.name)
            write_state(path, folder.key, step, {"problems_seen": step * self._config.prompts})
        shutil.rmtree(written)


def newest_checkpoint(folder: StageFolder) -> tuple[int, Path] | None:
    """The newest whole checkpoint of this stage; damaged ones are named on stderr and passed over.

    Raises:
        InvalidInput: a checkpoint belongs to another stage or config.
    """
    for step, path in reversed(folder.checkpoints()):
        try:
            read_verified_state(path, folder.key, step)
        except DamagedCheckpoint as error:
            warn_of_damage(path, error)
            continue
        return step, path
    return None
