"""Checkpoints of sharded networks: every process writes its shards with torch's distributed checkpoint (DCP).

Optimizer states are saved under the names of their parameters, and only those that exist. torch's own helper fills in
missing ones by taking an optimizer step, after which a run would depend on when it was saved. Another number of
processes may continue from a checkpoint.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException

from pipelines.folder import StageFolder, warn_of_damage
from pipelines.manifest import DamagedCheckpoint, verify_files, verify_streams
from pipelines.training.core.checkpoint import (
    RandomStates,
    load_tensors,
    read_checkpoint_state,
    read_unfinished,
    write_state,
)
from pipelines.training.ppo.trainer import OptimizedNetwork
from pipelines.training.rl.ranks import Ranks

_SCHEDULES: Final = "schedules"


class ShardedTrainingCheckpoint:
    """Saves and restores sharded networks; every process must call its methods.

    Args:
        folder: the stage's folder; its key is written into every checkpoint.
        networks: networks with optimizers and schedules, by name.
        ranks: the processes of the stage.
    """

    def __init__(self, folder: StageFolder, networks: Mapping[str, OptimizedNetwork], ranks: Ranks) -> None:
        self._folder = folder
        self._learners = dict(networks)
        self._ranks = ranks
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
        """Write the checkpoint of `step`; it appears when the first process renames it. See `TrainingCheckpoint.save`.

        Raises:
            OSError: the disk is full; earlier checkpoints are untouched.
        """
        tensors = {name: value for part, each in self._learners.items() for name, value in _tensors(part, each)}
        if self._ranks.rank:
            path = Path(self._ranks.broadcast(None))
            self._write(path, tensors)
        else:
            with self._folder.new_checkpoint(step, keep=keep) as path:
                self._ranks.broadcast(str(path))
                self._write(path, tensors)
                torch.save({part: _plain(each) for part, each in self._learners.items()}, path / f"{_SCHEDULES}.pt")
                write_state(path, self._key, step, extra, unfinished)
        self._ranks.barrier()

    def resume(self) -> int:
        """Restore the newest intact checkpoint and return its step; 0 without a checkpoint.

        Raises:
            InvalidInput: a checkpoint belongs to another stage or config.
        """
        self.unfinished = None
        candidates = self._folder.checkpoints() if self._ranks.rank == 0 else []
        while True:
            step, name, states = self._ranks.broadcast(self._next(candidates))
            if states is None:
                self._folder.record_resume(0)
                return 0
            path = Path(name)
            try:
                unfinished = read_unfinished(path)
                self._load(path)
            except DamagedCheckpoint as error:
                if self._ranks.rank == 0:
                    warn_of_damage(path, error)
                continue
            states.restore()
            self.unfinished = unfinished
            self._folder.record_resume(int(step))
            return int(step)

    def _next(self, candidates: list[tuple[int, Path]]) -> tuple[int, str, RandomStates | None]:
        """Remove candidates from the end of the list up to the first intact one; return it, or step 0 and no states."""
        while candidates:
            step, path = candidates.pop()
            try:
                lengths = verify_files(path)
                states = read_checkpoint_state(path, self._key, step)
                verify_streams(self._folder.path, lengths)
                return step, str(path), states
            except DamagedCheckpoint as error:
                warn_of_damage(path, error)
        return 0, "", None

    def _write(self, path: Path, tensors: dict[str, Tensor]) -> None:
        with _quiet():
            try:
                dcp.save(tensors, checkpoint_id=path)
            except CheckpointException as error:
                # The first failure is the cause; a full disk must stay an OSError.
                raise next(iter(error.failures.values()))[0] from error

    def _load(self, path: Path) -> None:
        """Read into new tensors first, so that nothing changes unless everything can be read."""
        try:
            with _quiet():
                reader = dcp.FileSystemReader(path)
                saved = reader.read_metadata().state_dict_metadata
                targets = {
                    name: value for part, each in self._learners.items() for name, value in _targets(part, each, saved)
                }
                dcp.load(targets, storage_reader=reader)
        except (CheckpointException, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
            raise DamagedCheckpoint(f"its shards cannot be read: {str(error).strip().splitlines()[-1:]}") from error
        plain = load_tensors(path / f"{_SCHEDULES}.pt")
        for part, each in self._learners.items():
            _restore(part, each, targets, plain[part])


def _tensors(part: str, learner: OptimizedNetwork) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in learner.network.named_parameters():
        yield f"{part}.weights.{name}", parameter.detach()
        for slot, value in learner.optimizer.state.get(parameter, {}).items():
            yield f"{part}.optimizer.{slot}.{name}", value


def _targets(part: str, learner: OptimizedNetwork, saved: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Iterate over names and zero tensors, sharded like the parameters, for a network's tensors in a checkpoint."""
    for name, parameter in learner.network.named_parameters():
        yield f"{part}.weights.{name}", torch.zeros_like(parameter.detach())
        for slot in ("step", "exp_avg", "exp_avg_sq"):
            key = f"{part}.optimizer.{slot}.{name}"
            if key in saved:
                yield key, torch.zeros(()) if slot == "step" else torch.zeros_like(parameter.detach())


def _plain(learner: OptimizedNetwork) -> dict[str, Any]:
    """Return the state of a network that is not in tensors: learning rates and schedule."""
    groups = [{"lr": group["lr"]} for group in learner.optimizer.param_groups]
    return {"groups": groups, "schedule": learner.schedule.state_dict()}


def _restore(part: str, learner: OptimizedNetwork, targets: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    learner.optimizer.state.clear()
    with torch.no_grad():
        for name, parameter in learner.network.named_parameters():
            parameter.copy_(targets[f"{part}.weights.{name}"])
            slots = ("step", "exp_avg", "exp_avg_sq")
            keys = {slot: f"{part}.optimizer.{slot}.{name}" for slot in slots}
            state = {slot: targets[key] for slot, key in keys.items() if key in targets}
            if state:
                learner.optimizer.state[parameter] = state
    for group, values in zip(learner.optimizer.param_groups, plain["groups"], strict=True):
        group.update(values)
    learner.schedule.load_state_dict(plain["schedule"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide torch's warnings about its own use of deprecated functions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.distributed\.checkpoint.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed.*")
        yield
