"""Base of the callbacks that run a Hugging Face Trainer inside a stage: log values, checkpoints, the stop signal."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipelines.folder import StageFolder
from pipelines.signals import Stop
from pipelines.training.core.transformers_compat import trainer_checkpoint


class StageTrainerCallback(TrainerCallback):  # type: ignore[misc] # transformers is not followed by mypy
    """Translates a Trainer's log and moves its checkpoints into the stage folder.

    Args:
        folder: the stage's folder.
        stop: the stop signal of the stage.
        log_names: the Trainer's name of a value → the stage's metric; other values are dropped.
    """

    def __init__(self, folder: StageFolder, stop: Stop, log_names: Mapping[str, str]) -> None:
        self.folder = folder
        self.stop = stop
        self._log_names = log_names

    def logged_metrics(self, logs: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the metrics in a log entry; empty for the summary at the end, which has times and no loss."""
        if not logs or "loss" not in logs:
            return {}
        return {self._log_names[name]: float(value) for name, value in logs.items() if name in self._log_names}

    def request_stop(self, control: TrainerControl) -> None:
        """Make the Trainer save a checkpoint and end."""
        control.should_save = True
        control.should_training_stop = True

    def move_checkpoint(
        self,
        args: TrainingArguments,
        state: TrainerState,
        step: int,
        *,
        keep: int,
        complete: Callable[[Path], None] | None = None,
    ) -> None:
        """Move the checkpoint the Trainer just saved to `checkpoints/step-NNNNNN`, where it appears by rename.

        Args:
            args: of the Trainer.
            state: of the Trainer.
            step: the stage's step that the checkpoint is of.
            keep: how many of the newest checkpoints stay on disk.
            complete: adds further files before the checkpoint appears.
        """
        saved = trainer_checkpoint(args.output_dir, state.global_step)
        with self.folder.new_checkpoint(step, keep=keep) as path:
            for file in sorted(saved.iterdir()):
                file.rename(path / file.name)
            if complete is not None:
                complete(path)
        shutil.rmtree(saved)
