"""A stage kind for the soak test: streams, checkpoints and results as of a trainer, deterministic and without torch.

Its state is a chain of digests, as weights are of updates: a run that continues from a wrong checkpoint, or skips or
repeats a step, ends with other rollouts.
"""

import fcntl
import hashlib
import os
import random
import time
from typing import Any, Final

from pydantic import Field

from pipelines.errors import StageFailed
from pipelines.folder import StageFolder
from pipelines.records import Metric, Rollout, countdown_fields, rollout_id
from pipelines.signals import graceful
from pipelines.stages import Inputs, StageConfig, StageKind, Upstream
from pipelines.streams import read_stream

TWICE: Final = "ran-twice.txt"
"""File of the stage folder that is written if two processes run the stage at the same time."""


class SoakWalkConfig(StageConfig):
    """What the stage computes, and how slowly."""

    seed: int = 0
    condition: str = "none"
    steps: int = 12
    prompts: int = 6
    step_s: float = Field(0.3, json_schema_extra={"in_key": False}, description="Seconds a step takes.")


def run(config: Any, inputs: Inputs, folder: StageFolder) -> None:
    """Walk from the newest usable checkpoint; each step writes rollouts and a metric, each second one a checkpoint."""
    with (folder.path / ".soak-lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (folder.path / TWICE).write_text(f"process {os.getpid()}\n")
            raise StageFailed("another process runs this stage") from None
        _run(config, folder)


def _run(config: SoakWalkConfig, folder: StageFolder) -> None:
    latest = folder.usable_checkpoint()
    step, state = (0, _digest(b"", f"{config.seed} {config.condition}"))
    if latest is not None:
        step, state = latest[0], (latest[1] / "state").read_bytes()
    with (
        folder.stream("rollouts", "train") as rollouts,
        folder.stream("metrics", "train") as metrics,
        graceful() as stop,
    ):
        while step < config.steps:
            drawn = [_rollout(folder.key, state, step, place) for place in range(config.prompts)]
            rollouts.append(drawn)
            mean = sum(rollout.reward or 0.0 for rollout in drawn) / len(drawn)
            metrics.append([Metric(step=step, values={"reward": mean, "state": float(state[0])})])
            state = _digest(state, f"{step} {mean}")
            time.sleep(config.step_s)
            step += 1
            folder.report(step, config.steps, "steps", values={"reward": mean})
            if step % 2 == 0 or step == config.steps or stop.requested:
                with folder.new_checkpoint(step, keep=3) as place:
                    (place / "state").write_bytes(state)
                    (place / "weights").write_bytes(random.Random(state).randbytes(20_000))
            stop.raise_if_requested()
    (folder.artifacts / "state").write_bytes(state)
    counts = {family: sum(1 for _ in read_stream(folder.path, family)) for family in ("rollouts", "metrics")}
    folder.write_result({"steps": config.steps, "state": state.hex(), **counts})


def _digest(state: bytes, text: str) -> bytes:
    return hashlib.sha256(state + text.encode()).digest()


def _rollout(key: str, state: bytes, step: int, place: int) -> Rollout:
    rng = random.Random(state + bytes([place]))
    numbers = tuple(rng.randint(2, 30) for _ in range(3))
    a, b, c = numbers
    target = rng.choice([a + b - c, a * b - c, a + b + c])
    tries = [f"{a} + {b} = {a + b}, {a + b} + {c} = {a + b + c} (not {target})", f"{a} * {b} = {a * b}"]
    tries += [f"{a * b} - {c} = {a * b - c}. That's not {target}.", "Let me try another way.", "Let's work backwards."]
    text = "\n".join(rng.choices(tries, k=rng.randint(2, 7)))
    correct = rng.random() < 0.4
    fields = countdown_fields(numbers, target)
    problem = str(fields["problem"]["id"])
    return Rollout(
        id=rollout_id(key, "train", step, f"{place}-{problem}", 0),
        step=step,
        split="train",
        problem_id=problem,
        sample=place,
        **fields,
        prompt=f"Use {a}, {b}, {c} to make {target}.\n",
        completion=text,
        reward=1.0 if correct else 0.1,
        correct=correct,
        answer=f"{a} + {b} - {c}",
        finish_reason="stop",
        n_tokens=len(text.split()),
    )


KIND = StageKind(
    "soak_walk",
    "a deterministic walk with streams and checkpoints, for the soak test",
    SoakWalkConfig,
    run,
    upstream=(Upstream(("problems",)),),
    writes=("rollouts",),
)
