"""Supervised fine-tuning with TRL's SFTTrainer inside a stage folder; `prime` and `pretrain` share it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.records import Metric
from pipelines.signals import Stop, graceful
from pipelines.streams import StreamWriter
from pipelines.training.core import runtime
from pipelines.training.core.configs import SupervisedConfig
from pipelines.training.core.disk import require_disk
from pipelines.training.core.metrics import require_finite
from pipelines.training.core.model import load_model
from pipelines.training.core.trainer_callback import StageTrainerCallback
from pipelines.training.core.transformers_compat import check_trainer_checkpoint
from pipelines.training.core.trl_compat import SFT_LOG_NAMES, make_sft_trainer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def fine_tune(
    config: SupervisedConfig,
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    dataset: "Dataset",
    folder: StageFolder,
    run_on: runtime.Runtime,
    *,
    stream: str,
) -> tuple["PreTrainedModel", int]:
    """Train a model, from the newest checkpoint if there is one.

    Args:
        config: of the stage.
        path: folder of the model to start from.
        tokenizer: of the model.
        dataset: rows with `input_ids` and `completion_mask` (1 on the tokens in the loss).
        folder: of the stage; receives checkpoints, metrics and progress.
        run_on: device and number type.
        stream: name of the metrics stream; also names the training in messages.

    Returns:
        The model, and the number of optimizer steps it took.

    Raises:
        InvalidInput: the model cannot be read, or batch_size is not a multiple of micro_batch.
        StageFailed: the loss is not finite, or memory ran out.
        Interrupted: a stop signal arrived; a checkpoint is saved.
    """
    model = load_model(path)
    require_disk(folder, [model], model, keep=1, save_dtype=config.save_dtype)
    scratch = folder.path / "checkpoints" / ".trainer"
    shutil.rmtree(scratch, ignore_errors=True)
    with graceful() as stop, folder.stream("metrics", stream) as metrics:
        settings = _settings(config, run_on, scratch, len(dataset))
        callback = SFTStageCallback(folder, metrics, stop, stream)
        trainer = make_sft_trainer(model, settings, dataset, tokenizer, callback)
        micro = config.micro_batch or config.batch_size
        smaller = runtime.less_memory(runtime.smaller_divisor(config.batch_size, micro), recompute=True)
        with runtime.memory_guard(f"{stream} with micro-batches of {micro}", smaller or "Use a GPU with more memory."):
            # version 0.1.0 wrote no manifest here
            checkpoint = folder.usable_checkpoint(lambda path, _: check_trainer_checkpoint(path), manifest=False)
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint[1]))
        stop.raise_if_requested()
    shutil.rmtree(scratch, ignore_errors=True)
    return trainer.model, int(trainer.state.global_step)


class SFTStageCallback(StageTrainerCallback):
    """Writes metrics and progress of each optimizer step; saves a checkpoint and ends when the stage is stopped."""

    def __init__(self, folder: StageFolder, metrics: StreamWriter, stop: Stop, stream: str) -> None:
        super().__init__(folder, stop, SFT_LOG_NAMES)
        self._metrics = metrics
        self._stream = stream

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Write the metrics of an optimizer step."""
        values = self.logged_metrics(logs)
        if values:
            require_finite(values, f"{self._stream} step {state.global_step}", remedy="Lower learning_rate.")
            self._metrics.append([Metric(step=state.global_step, values=values)])
            self.folder.report(state.global_step, state.max_steps, "steps", values={"loss": values["loss"]})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> TrainerControl:
        """Request a checkpoint and the end if the stage was stopped."""
        if self.stop.requested:
            self.request_stop(control)
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Move the saved checkpoint into the stage folder."""
        self.move_checkpoint(args, state, state.global_step, keep=1)


def disable_dataset_progress() -> None:
    """Keep the progress bars of `datasets` out of a job's log."""
    import datasets

    datasets.disable_progress_bars()


def _settings(config: SupervisedConfig, run_on: runtime.Runtime, scratch: Path, n: int) -> dict[str, Any]:
    micro = config.micro_batch or config.batch_size
    if config.batch_size % micro:
        fitting = runtime.smaller_divisor(config.batch_size, 2 * micro)
        raise InvalidInput(
            f"batch_size {config.batch_size} is not a multiple of micro_batch {micro}",
            remedy=f"Choose a micro_batch that divides it, e.g. {fitting}.",
        )
    steps = -(-n // config.batch_size) * config.epochs
    on_gpu = run_on.device.type == "cuda"
    return {
        "output_dir": str(scratch),
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": config.batch_size // micro,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        "warmup_steps": round(config.warmup * steps),
        "weight_decay": config.weight_decay,
        "adam_beta1": config.betas[0],
        "adam_beta2": config.betas[1],
        "max_grad_norm": config.max_grad_norm,
        "optim": "adamw_torch",
        "completion_only_loss": True,
        "max_length": None,
        "seed": config.seed,
        "data_seed": config.seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu and run_on.describe()["dtype"] == "bfloat16",
        "gradient_checkpointing": on_gpu,
        "dataloader_pin_memory": on_gpu,
        "save_strategy": "steps",
        "save_steps": config.checkpoint_every or max(50, steps // 4),
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": "none",
    }
