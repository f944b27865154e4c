"""Free disk for the checkpoints and the model of a training stage, checked before the first step."""

import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pipelines.errors import MissingRequirement
from pipelines.folder import StageFolder
from pipelines.stages.settings import retry_with

if TYPE_CHECKING:
    from torch import nn

TRAINED_BYTES: Final = 12
"""Bytes a trained parameter takes in a checkpoint: the weight and both moments of AdamW, in float32."""
_WEIGHT_BYTES: Final = {"float32": 4, "bfloat16": 2}


def checkpoint_bytes(networks: Iterable["nn.Module"]) -> int:
    """Return how many bytes a checkpoint of these networks takes with their AdamW states, sharded ones included."""
    return TRAINED_BYTES * sum(int(parameter.numel()) for network in networks for parameter in network.parameters())


def require_disk(
    folder: StageFolder, networks: Iterable["nn.Module"], model: "nn.Module", *, keep: int, save_dtype: str
) -> None:
    """Check that the checkpoints that a stage will keep, one more while it is written, and its model fit on the disk.

    Args:
        folder: of the stage; complete checkpoints in it take room already.
        networks: those that are trained.
        model: the one that the stage writes at its end.
        keep: checkpoints that stay.
        save_dtype: number type of the written model.

    Raises:
        MissingRequirement: the disk has less free than that; names both and what to change.
    """
    one = checkpoint_bytes(networks)
    left = max(1, keep + 1 - len(folder.checkpoints()))
    final = _WEIGHT_BYTES[save_dtype] * sum(parameter.numel() for parameter in model.parameters())
    needed, free = one * left + final, shutil.disk_usage(folder.path).free
    if free >= needed:
        return
    fewer = f" Or keep fewer checkpoints: {retry_with(keep_checkpoints=1)}." if keep > 1 else ""
    raise MissingRequirement(
        f"the disk of {folder.path} has {_size(free)} free, and the stage needs {_size(needed)} there",
        detail=f"A checkpoint takes {_size(one)}: weights and optimizer states of {_count(one)} parameters. "
        f"{keep} {'stays' if keep == 1 else 'stay'} and one more is written; the final model takes {_size(final)}.",
        remedy=f"Free some space (cogtui prune removes checkpoints of finished stages) and retry.{fewer}",
    )


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1000:.3g} kB"


def _count(checkpoint: int) -> str:
    return f"{checkpoint // TRAINED_BYTES:,}"
