"""Supervised fine-tuning with TRL's SFTTrainer in the stage folder's contract: shared by `prime` and `pretrain`."""

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.signals import graceful
from pipelines.training.core import runtime
from pipelines.training.core.configs import SupervisedConfig
from pipelines.training.core.model import load_model

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTConfig


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
    """Trains a model, or goes on from the newest checkpoint.

    Args:
        config: of the stage.
        path: folder of the model to start from.
        tokenizer: of the model.
        dataset: rows with `input_ids` and `completion_mask`, which is 1 on the tokens that are learnt.
        folder: of the stage; gets checkpoints, metrics and progress.
        run_on: device and number type.
        stream: name of the stream of metrics, and of what is done in messages.

    Returns:
        The model and the optimizer steps it took.

    Raises:
        InvalidInput: the model cannot be read, or the batch does not divide.
        StageFailed: the loss is not finite, or out of memory. Interrupted: told to stop; a checkpoint is saved.
    """
    model = load_model(path)

    from transformers.trainer_callback import PrinterCallback
    from trl import SFTTrainer

    from pipelines.training.supervised.hf_trainer import SFTStageCallback, newest_trainer_checkpoint

    scratch = folder.path / "checkpoints" / ".trainer"
    shutil.rmtree(scratch, ignore_errors=True)
    with graceful() as stop, folder.stream("metrics", stream) as metrics:
        trainer = SFTTrainer(
            model=model,
            args=_arguments(config, run_on, scratch, len(dataset)),
            train_dataset=dataset,
            processing_class=tokenizer,
            callbacks=[SFTStageCallback(folder, metrics, stop, stream)],
        )
        trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is the result's
        smaller = f"Set micro_batch to {max(1, (config.micro_batch or config.batch_size) // 2)}."
        with runtime.memory_guard(f"{stream} with batches of {config.micro_batch or config.batch_size}", smaller):
            trainer.train(resume_from_checkpoint=newest_trainer_checkpoint(folder))
        stop.raise_if_requested()
    shutil.rmtree(scratch, ignore_errors=True)
    return trainer.model, int(trainer.state.global_step)


def disable_dataset_progress() -> None:
    """Keeps progress bars of `datasets` out of a job's log."""
    import datasets

    datasets.disable_progress_bars()


def _arguments(config: SupervisedConfig, run_on: runtime.Runtime, scratch: Path, n: int) -> "SFTConfig":
    from trl import SFTConfig

    micro = config.micro_batch or config.batch_size
    if config.batch_size % micro:
        raise InvalidInput(
            f"batch_size {config.batch_size} is not a multiple of micro_batch {micro}",
            remedy="Choose a micro_batch that divides it.",
        )
    steps = -(-n // config.batch_size) * config.epochs
    on_gpu = run_on.device.type == "cuda"
    settings: dict[str, Any] = {
        "output_dir": str(scratch),
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": config.batch_size // micro,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        "warmup_steps": round(config.warmup * steps),
        "weight_decay": config.weight_decay,
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
    with warnings.catch_warnings():
        # TRL gives gradient_checkpointing a default, and transformers complains of the name whoever sets it.
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.* is deprecated", category=FutureWarning)
        return SFTConfig(**settings)
