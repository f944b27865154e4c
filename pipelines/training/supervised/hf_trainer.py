"""A Hugging Face Trainer inside a stage: its checkpoints, metrics and stop become the stage folder's."""

import shutil
import sys
from pathlib import Path
from typing import Any, Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipelines.folder import StageFolder
from pipelines.records import Metric
from pipelines.signals import Stop
from pipelines.streams import StreamWriter
from pipelines.training.core.metrics import require_finite

_NAMES: Final = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",
    "mean_token_accuracy": "token_accuracy",
}
"""What is kept of the trainer's log. Its count of tokens starts anew after a resume, and epochs follow from steps."""


class SFTStageCallback(TrainerCallback):  # type: ignore[misc] # transformers is not followed by mypy
    """Writes metrics and progress, moves checkpoints to their place, saves and stops when told to."""

    def __init__(self, folder: StageFolder, metrics: StreamWriter, stop: Stop, what: str) -> None:
        self._folder = folder
        self._metrics = metrics
        self._stop = stop
        self._what = what

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Writes a step's values; the summary at the end (with times) is no metric of a step."""
        if not logs or "loss" not in logs:
            return
        values = {_NAMES[name]: float(value) for name, value in logs.items() if name in _NAMES}
        require_finite(values, f"{self._what} step {state.global_step}", remedy="Lower learning_rate.")
        self._metrics.append([Metric(step=state.global_step, values=values)])
        self._folder.report(state.global_step, state.max_steps, "steps", values={"loss": values["loss"]})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> TrainerControl:
        """Asks for a checkpoint and the end where a stop was asked for."""
        if self._stop.requested:
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Moves what the trainer just wrote to `checkpoints/step-NNNNNN`, whole or not at all."""
        written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        with self._folder.new_checkpoint(state.global_step, keep=1) as path:
            for file in sorted(written.iterdir()):
                file.rename(path / file.name)
        shutil.rmtree(written)


def newest_trainer_checkpoint(folder: StageFolder) -> str | None:
    """The newest checkpoint that the trainer can read; damaged ones are named on stderr and passed over."""
    for _, path in reversed(folder.checkpoints()):
        missing = [name for name in ("trainer_state.json", "optimizer.pt", "scheduler.pt") if not _whole(path / name)]
        if not missing:
            return str(path)
        sys.stderr.write(f"warning: checkpoint {path.name} is damaged and passed over: {', '.join(missing)}\n")
    return None


def _whole(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
