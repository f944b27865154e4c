"""A stage kind for tests: real in every respect (signals, checkpoints, progress, result), controlled by its config.

It is a plug-in like any other: the metadata of its distribution is in `probe_plugin`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from pipelines.__main__ import main
from pipelines.folder import StageFolder
from pipelines.shards import current_shard
from pipelines.signals import graceful
from pipelines.stages import Inputs, StageConfig, StageKind, Upstream


class ProbeConfig(StageConfig):
    """What the stage does, step by step."""

    name: str = "probe"
    steps: int = 1
    step_s: float = 0.0
    until: str = Field("", description="A file to wait for after the last step: lets a test decide when it ends.")
    do: str = Field("", description="What to do after the last step, e.g. `exit 7`.")
    once: bool = Field(False, description="Do it in the first start only.")
    unless: str = Field("", description="A file that, once it is there, keeps a shard from doing it.")
    words: str = Field("", json_schema_extra={"in_key": False}, description="Goes into the result.")
    shards: int = Field(1, json_schema_extra={"in_key": False}, description="Tasks of a job array to share the work.")


def run(config: Any, inputs: Inputs, folder: StageFolder) -> None:
    """Takes a checkpoint a step, then does what it was told. With shards each does its part, the last run gathers."""
    shard = current_shard()
    if shard is not None:
        with (folder.path / f"shard-{shard.index}.txt").open("a") as stream:
            stream.write(f"{sum(shard.takes(item) for item in range(10))}\n")
        _wait(config.until)
        if config.do.split()[:2] == ["fail", str(shard.index)] and not Path(config.unless or "-").exists():
            raise ValueError("this part is bad")
        return
    if config.shards > 1:
        if config.do.endswith(" gather") and not (folder.path / "tried.txt").exists():
            (folder.path / "tried.txt").touch()
            raise ValueError("this cannot be gathered yet")
        parts = sorted(folder.path.glob("shard-*.txt"))
        folder.write_result(
            {"items": sum(int(part.read_text().splitlines()[-1]) for part in parts), "parts": len(parts)}
        )
        return
    latest = folder.usable_checkpoint()
    first = latest[0] if latest else 0
    with (folder.path / "starts.txt").open("a") as stream:
        stream.write(f"{first} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}\n")
    starts = len((folder.path / "starts.txt").read_text().splitlines())
    do = config.do if starts == 1 or not config.once else ""
    if do.startswith("early "):
        _do(do.removeprefix("early "), folder)
    with graceful() as stop:
        for step in range(first + 1, config.steps + 1):
            time.sleep(config.step_s)
            with folder.new_checkpoint(step) as place:
                (place / "weights").write_text(str(step))
            sys.stdout.write(f"step {step}\n")
            sys.stdout.flush()
            folder.report(step, config.steps, "steps")
            stop.raise_if_requested()
        while config.until and not Path(config.until).exists():
            time.sleep(0.02)
            stop.raise_if_requested()
    _do(do, folder)
    folder.write_result({"steps": config.steps, "starts": starts, "words": config.words})


def _wait(until: str) -> None:
    while until and not Path(until).exists():
        time.sleep(0.02)


def _do(what: str, folder: StageFolder) -> None:
    verb, _, argument = what.partition(" ")
    if verb == "exit":
        os._exit(int(argument))
    elif verb == "kill":
        os.kill(os.getpid(), int(argument))
        time.sleep(60)
    elif verb == "raise":
        raise ValueError(argument)
    elif verb == "deaf":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
    elif verb == "children":
        _leave_children(folder)
        time.sleep(600)
    elif verb == "fill":
        with (folder.path / "filler").open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(512))
    elif verb == "leave":
        _leave_children(folder)


def _leave_children(folder: StageFolder) -> None:
    """A child, a grandchild, one in its own session, and a daemon that forked twice: all deaf to polite signals."""
    nap = "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)"
    subprocess.Popen([sys.executable, "-c", nap])
    subprocess.Popen([sys.executable, "-c", nap], start_new_session=True)
    nested = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {nap!r}])\ntime.sleep(600)"
    subprocess.Popen([sys.executable, "-c", nested])
    forked = (
        f"import os\nif not os.fork():\n    os.setsid()\n    if not os.fork():\n        exec({nap!r})\n    os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", forked], check=True)
    (folder.path / "children.txt").write_text("there")


KIND = StageKind(
    "probe",
    "a stage for tests",
    "tests.jobs.probe:ProbeConfig",
    "tests.jobs.probe:run",
    (Upstream(("probe",), many=True),),
)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent / "probe_plugin"))
    sys.exit(main(sys.argv[3:]))  # after `-m pipelines`
