"""Submits the stages of a lab from a process of its own, then waits for ever: something to kill."""

import sys
import time
from pathlib import Path

from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.submit.launch import submit
from jobs.workspace import Workspace


def main(workspace: str, python: str, start: str) -> None:
    """Waits until the file `start` exists, submits every stage of the workspace, says so, and sleeps."""
    place = Workspace(Path(workspace))
    instances = []
    for key in place.keys():  # noqa: SIM118 - a method, not a mapping
        info = place.folder(key).info()
        instances.append(
            StageInstance(
                key=key,
                kind=info.kind,
                name=info.name,
                config=info.config,
                key_fields={},
                inputs=info.inputs,
                resources=Resources.model_validate({"python": python}),
            )
        )
    done: set[str] = set()
    ordered = []
    while instances:  # inputs first
        ready = [instance for instance in instances if set(instance.inputs) <= done]
        ordered += ready
        done |= {instance.key for instance in ready}
        instances = [instance for instance in instances if instance.key not in done]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not Path(start).exists():
        time.sleep(0.001)
    found = submit(place, ordered, cluster="slurm" if "--slurm" in sys.argv else "local")
    sys.stdout.write(" ".join(item.action for item in found) + "\n")
    sys.stdout.flush()
    if "--leave" not in sys.argv:
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
