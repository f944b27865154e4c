"""verl's checkpoints as those of a stage, and its last one as the stage's model."""

import os
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipelines.errors import InvalidInput, StageFailed
from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder
from pipelines.manifest import DamagedCheckpoint
from pipelines.training.verl.process import VerlInterpreter

_LATEST: Final = "latest_checkpointed_iteration.txt"
_STATE: Final = "verl.json"


class VerlCheckpoint(NamedTuple):
    """A checkpoint of the stage that verl can continue from."""

    step: int
    path: Path
    """The folder `global_step_N` of verl."""


def latest_saved(folder: Path) -> VerlCheckpoint | None:
    """Return the newest complete checkpoint in verl's folder; None if there is none."""
    try:
        step = int((folder / _LATEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # verl writes it last, but not in one step
        return None
    path = folder / f"global_step_{step}"
    return VerlCheckpoint(step, path) if path.is_dir() else None


def take_over(folder: StageFolder, saved: VerlCheckpoint, *, gpus: int, keep: int) -> None:
    """Make a checkpoint of verl one of the stage, by hard links: it takes no further room, and verl may delete its own.

    Args:
        folder: of the stage.
        saved: verl's checkpoint.
        gpus: GPUs of the run, on all nodes.
        keep: how many of the newest stay.
    """
    with folder.new_checkpoint(saved.step, keep=keep) as path:
        shutil.copytree(saved.path, path / saved.path.name, copy_function=_link)
        write_json(path / _STATE, {"key": folder.key, "gpus": gpus})


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
    return target


def usable_checkpoint(folder: StageFolder, *, gpus: int) -> VerlCheckpoint | None:
    """Return the newest checkpoint of the stage that is whole and that the streams reach.

    Raises:
        InvalidInput: it was written by another number of GPUs, which verl cannot read.
    """

    def verify(path: Path, step: int) -> None:
        state = _state(path)
        if state.get("key") != folder.key or not (path / f"global_step_{step}").is_dir():
            raise DamagedCheckpoint(f"{_STATE} is not of this stage, or verl's folder is missing")

    found = folder.usable_checkpoint(verify)
    if found is None:
        return None
    step, path = found
    if (written_by := _state(path).get("gpus")) != gpus:
        raise InvalidInput(
            f"the checkpoint of step {step} was written by {written_by} GPUs, and this attempt has {gpus}",
            detail="verl reads a checkpoint only with as many GPUs as wrote it.",
            remedy="Set nodes and gpus of [resources] as before, or start anew with --force.",
        )
    return VerlCheckpoint(step, path / f"global_step_{step}")


def _state(path: Path) -> dict[str, Any]:
    state = read_json(path / _STATE)
    return state if isinstance(state, dict) else {}


def write_final_model(folder: StageFolder, final: Path, initial: Path, interpreter: VerlInterpreter) -> None:
    """Merge the shards of the policy into `artifacts/model`, which appears by rename, with the initial tokenizer.

    Args:
        folder: of the stage.
        final: the folder `global_step_N` of the last step.
        initial: folder of the initial policy.
        interpreter: verl's; its merger writes bfloat16.

    Raises:
        StageFailed: the merger failed.
    """
    aside = folder.artifacts / f".model.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    merge = ["-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    interpreter.run([*merge, "--local_dir", str(final / "actor"), "--target_dir", str(aside)], "verl's model merger")
    if not any(aside.glob("*.safetensors")):
        raise StageFailed("verl's model merger wrote no weights", detail=interpreter.last_lines())
    for file in initial.iterdir():  # the merger writes the tokenizer anew, with another template
        if file.is_file() and (
            "token" in file.name or file.name in ("vocab.json", "merges.txt", "chat_template.jinja")
        ):
            shutil.copy2(file, aside / file.name)
    shutil.rmtree(folder.artifacts / "model", ignore_errors=True)
    aside.rename(folder.artifacts / "model")
