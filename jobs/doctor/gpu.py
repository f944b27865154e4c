"""Checks whether a Python interpreter has the packages of requirements-gpu.txt, which GPU stages need."""

import json
from collections.abc import Mapping
from typing import Final, Literal

LOCK: Final = {"torch": "2.13.0", "transformers": "5.17.0", "trl": "1.16.0", "vllm": "0.31.0", "accelerate": "1.15.0"}
"""The main versions of requirements-gpu.txt; a test compares the two."""

PROBE: Final = """
import json, sys
from importlib import metadata
import pipelines
found = {}
for name in NAMES:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps({"python": sys.version.split()[0], "packages": found}))
""".replace("NAMES", repr(tuple(LOCK)))
"""Program that prints the versions `read_probe` reads. It imports nothing heavy, so it cannot say whether torch sees a
GPU; only a node that has one can."""

_NEEDS: Final = {
    "torch": "no training stage runs with it",
    "transformers": "no training stage runs with it",
    "trl": "prime, and ppo with algorithm grpo, do not run with it",
    "accelerate": "prime, and ppo with algorithm grpo, do not run with it",
    "vllm": "stages with engine vllm fail with it",
}


def read_probe(said: str) -> tuple[str, dict[str, str | None]]:
    """Return the versions of Python and of the packages (None: not installed), from the output of the probe.

    Raises:
        ValueError: the output is not that of the probe.
    """
    found = json.loads(said)
    return str(found["python"]), dict(found["packages"])


def check_versions(packages: Mapping[str, str | None]) -> tuple[Literal["ok", "missing"], str, str]:
    """Return status, detail and consequence of an environment with these versions."""
    absent = [name for name in LOCK if packages.get(name) is None]
    if absent:
        degrades = "; ".join(dict.fromkeys(_NEEDS[name] for name in absent))
        return "missing", f"not installed: {', '.join(absent)} (docs/gpu.md)", degrades
    # A local version (2.13.0+cu130) is a build of the same release.
    other = [name for name, wanted in LOCK.items() if str(packages[name]).partition("+")[0] != wanted]
    detail = ", ".join(f"{name} {packages[name]}" for name in LOCK)
    if other:
        detail += f"; {', '.join(f'{name} {LOCK[name]}' for name in other)} in requirements-gpu.txt"
    return "ok", detail, ""
