"""Private parts of transformers in one module, written for 5.16 to 5.23: layer classes, checkpoints of its Trainer.

`tests/training/test_trl_contract.py` fails and names what changed in a version that differs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.manifest import DamagedCheckpoint

if TYPE_CHECKING:
    from torch import nn

TRAINER_FILES: Final = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
"""Files without which a Trainer cannot continue from a checkpoint."""


def decoder_layers(network: "nn.Module") -> Iterator["nn.Module"]:
    """Iterate over the decoder layers of a network that contains a transformers model.

    Their classes are named in `_no_split_modules`, a private attribute that accelerate reads for the same purpose.
    """
    names = {name for part in network.modules() for name in getattr(part, "_no_split_modules", None) or ()}
    return (part for part in network.modules() if type(part).__name__ in names)


def trainer_checkpoint(output_dir: str | Path, step: int) -> Path:
    """Return the folder to which a Trainer saves its checkpoint of an optimizer step."""
    return Path(output_dir) / f"checkpoint-{step}"


def check_trainer_checkpoint(path: Path) -> None:
    """Check that a Trainer's checkpoint can be continued from.

    Raises:
        DamagedCheckpoint: a file is missing or empty.
    """
    missing = [name for name in TRAINER_FILES if not _has_content(path / name)]
    if missing:
        raise DamagedCheckpoint(f"{', '.join(missing)} missing or empty")


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
