"""Checkpoints of training stages: network, optimizer and schedule states, all random states, the step.

A checkpoint folder appears by rename, so it is complete or absent. Later damage is detected by its manifest
(`pipelines/manifest.py`).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, Protocol

import numpy as np
import torch

from pipelines.errors import InvalidInput
from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder
from pipelines.manifest import DamagedCheckpoint

LAYOUT: Final = 1
LAYOUT_WITHIN_STEP: Final = 2
"""Layout of a checkpoint in the middle of a step; an earlier version, which would repeat that step, refuses it."""
UNFINISHED: Final = "unfinished.pt"
"""File of such a checkpoint with the unfinished step."""
_STATE: Final = "state.json"
_RANDOM: Final = "random"


class Stateful(Protocol):
    """Anything with a state dict: a network, an optimizer, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Restore a saved state."""
        ...


class TrainingCheckpoint:
    """Saves and restores the state of one stage.

    Args:
        folder: the stage's folder; its key is written into every checkpoint.
        parts: everything with a state, by the name of its file.
    """

    def __init__(self, folder: StageFolder, parts: Mapping[str, Stateful]) -> None:
        self._folder = folder
        self._parts = dict(parts)
        self._key = folder.key
        self.unfinished: dict[str, Any] | None = None
        """The unfinished step in the checkpoint that was resumed; None at the beginning of a step."""

    def save(
        self,
        step: int,
        *,
        keep: int | None = None,
        extra: Mapping[str, Any] | None = None,
        unfinished: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the checkpoint of `step`, with `extra` (JSON values) beside the states.

        Args:
            step: the step that follows, or the one that is unfinished.
            keep: number of newest checkpoints that stay.
            extra: JSON values.
            unfinished: what continues in the middle of the step: plain values and tensors.

        Raises:
            OSError: the disk is full; earlier checkpoints are untouched.
        """
        with self._folder.new_checkpoint(step, keep=keep) as path:
            for name, part in self._parts.items():
                torch.save(part.state_dict(), path / f"{name}.pt")
            write_state(path, self._key, step, extra, unfinished)

    def resume(self) -> int:
        """Restore the newest intact checkpoint and return its step; 0 without a checkpoint.

        Damaged checkpoints are named on stderr and skipped. The steps since the previous checkpoint are then repeated
        with the same outcome, because random states are restored too.

        Raises:
            InvalidInput: a checkpoint belongs to another stage or config.
        """
        self.unfinished = None
        found: list[tuple[RandomStates, dict[str, dict[str, Any]], dict[str, Any] | None]] = []

        def load(path: Path, step: int) -> None:
            found.clear()  # one checkpoint in memory at a time
            states = read_checkpoint_state(path, self._key, step)
            parts = {name: load_tensors(path / f"{name}.pt") for name in self._parts}
            found.append((states, parts, read_unfinished(path)))

        usable = self._folder.usable_checkpoint(load)
        if usable is None:
            return 0
        random_states, loaded, self.unfinished = found[-1]
        for name, part in self._parts.items():
            part.load_state_dict(loaded[name])
        random_states.restore()
        return usable[0]


@dataclass(frozen=True, slots=True)
class RandomStates:
    """States of all random generators in a checkpoint: `plain` of Python and numpy, `torch` of torch."""

    plain: dict[str, Any]
    torch: dict[str, Any]

    def restore(self) -> None:
        """Restore the generators of Python, numpy and torch."""
        _restore_random(self.plain, self.torch)


def write_state(
    path: Path, key: str, step: int, extra: Mapping[str, Any] | None, unfinished: Mapping[str, Any] | None = None
) -> None:
    """Complete a checkpoint folder: write random states, the stage's key, and an unfinished step."""
    torch.save(_torch_random(), path / f"{_RANDOM}.pt")
    if unfinished is not None:
        torch.save(dict(unfinished), path / UNFINISHED)
    layout = LAYOUT if unfinished is None else LAYOUT_WITHIN_STEP
    state = {"layout": layout, "key": key, "step": step, "random": _python_random()}
    write_json(path / _STATE, {**state, "extra": dict(extra or {})})


def read_checkpoint_state(path: Path, key: str, step: int) -> RandomStates:
    """Check that a checkpoint is of this stage and step; return its random states. Its manifest was verified before.

    Raises:
        DamagedCheckpoint: a file cannot be read.
        InvalidInput: it is the checkpoint of another stage or config.
    """
    try:
        state = read_json(path / _STATE)
    except InvalidInput as error:
        raise DamagedCheckpoint(error.summary) from error
    if not isinstance(state, dict):
        raise DamagedCheckpoint(f"there is no {_STATE}")
    found = {name: state.get(name) for name in ("key", "step", "layout")}
    if (found["key"], found["step"]) != (key, step) or found["layout"] not in (LAYOUT, LAYOUT_WITHIN_STEP):
        raise InvalidInput(
            f"{path} is a checkpoint of another stage: {', '.join(f'{k} {v}' for k, v in found.items())}",
            detail=f"This stage is {key}, step {step}, layout {LAYOUT}.",
            remedy="Move its folder `checkpoints` away and run the stage again.",
        )
    return RandomStates(state["random"], load_tensors(path / f"{_RANDOM}.pt"))


def read_unfinished(path: Path) -> dict[str, Any] | None:
    """Return the unfinished step in a checkpoint; None if it was taken at the beginning of a step.

    Raises:
        DamagedCheckpoint: the file cannot be read.
    """
    return load_tensors(path / UNFINISHED) if (path / UNFINISHED).exists() else None


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a dictionary of tensors that torch saved.

    Raises:
        DamagedCheckpoint: the file cannot be read.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except UnpicklingError as error:
        # torch's message advises to load the file as trusted code
        raise DamagedCheckpoint(f"{path.name} is not a file of tensors") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        first = str(error).partition("\n")[0]
        raise DamagedCheckpoint(f"{path.name} cannot be read: {first}") from error


def _python_random() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [str(kind), [int(each) for each in keys], int(position), int(has_gauss), float(cached)],
    }


def _torch_random() -> dict[str, Any]:
    devices = [torch.cuda.get_rng_state(index) for index in range(torch.cuda.device_count())]
    return {"cpu": torch.get_rng_state(), "cuda": devices}


def _restore_random(states: dict[str, Any], of_torch: dict[str, Any]) -> None:
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(of_torch["cpu"])
    for index, state in enumerate(of_torch["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, index)
