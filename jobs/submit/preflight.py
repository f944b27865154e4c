"""Checks what all stages of a run need before the first one starts: a stage that cannot run fails a run at once.

Checked are packages (in the Python of each stage), keys, models in folders and in the hub's cache, interpreters, GPUs
of this machine, partitions of Slurm, and free disk.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from jobs.local.slots import Machine
from jobs.planning.types import StageInstance
from jobs.slurm import client as slurm
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from pipelines.files import expand_user
from pipelines.hub_cache import cached_snapshot, hub_cache, is_offline, missing_files
from pipelines.stages.builtin import IMPORT, find_kind
from pipelines.stages.needs import StageNeed, stage_needs
from pipelines.stages.settings import with_settings
from pipelines.text_safety import one_line

LEAST_FREE_BYTES: Final = 100 * 2**20
_PYTHON_TIMEOUT_S: Final = 60.0
_PROBE: Final = """
import importlib.util, json, sys
import pipelines
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


class PreflightProblem(NamedTuple):
    """Something that stages need and that is missing here."""

    stages: tuple[str, ...]
    """Names of the stages, as in the recipe."""
    summary: str
    remedy: str


def require_preflight(stages: Sequence[StageInstance], cluster: str, workspace: Workspace) -> None:
    """Check what stages need.

    Args:
        stages: those that would start.
        cluster: `local` or `slurm`.
        workspace: they would run in.

    Raises:
        MissingRequirement: something is missing; the detail has a line for each problem.
    """
    problems = preflight(stages, cluster, workspace)
    if problems:
        names = list(dict.fromkeys(name for problem in problems for name in problem.stages))
        raise MissingRequirement(
            f"{', '.join(names[:6]) or 'the stages'} cannot run here; nothing was started",
            detail="\n".join(problem_line(problem) for problem in problems),
            remedy="\n".join(dict.fromkeys(problem.remedy for problem in problems)),
        )


def problem_line(problem: PreflightProblem) -> str:
    """Return a problem on one line: the stages, and what is missing."""
    return one_line(f"{', '.join(problem.stages)}: {problem.summary}" if problem.stages else problem.summary, 300)


def preflight(stages: Sequence[StageInstance], cluster: str, workspace: Workspace) -> list[PreflightProblem]:
    """Return what is missing for stages that would start; nothing is written and nothing heavy imported."""
    if not stages:
        return []
    found: dict[tuple[str, str], list[str]] = {}
    for stage in stages:
        for summary, remedy in _stage_problems(stage, cluster):
            found.setdefault((summary, remedy), []).append(stage.name)
    for stage, summary, remedy in _package_problems(stages, cluster):
        found.setdefault((summary, remedy), []).append(stage.name)
    problems = [
        PreflightProblem(tuple(dict.fromkeys(names)), summary, remedy) for (summary, remedy), names in found.items()
    ]
    return [*problems, *_partition_problems(stages, cluster), *_disk_problems(workspace)]


def _stage_problems(stage: StageInstance, cluster: str) -> Iterator[tuple[str, str]]:
    resources = stage.resources
    if cluster == "local":
        if resources.python is not None and not os.access(resources.python, os.X_OK):
            yield f"there is no Python at {resources.python}", "Fix `python` in [resources] of the recipe."
        have = len(Machine.here().gpus) if resources.gpus else 0
        if resources.gpus > have:
            yield (
                f"asks for {resources.gpus} GPUs, this machine has {have}",
                "Use --cluster slurm, or change [resources] of the recipe.",
            )
    if resources.python is None and find_kind(stage.kind) is None:
        yield f"there is no stage kind {stage.kind!r} here", "Install the plug-in that brings it; see cogtui doctor."
    for need in _needs(stage):
        if need.sort == "key" and not (os.environ.get(need.name) or resources.environment.get(need.name)):
            yield f"{need.name} is not set", need.remedy
        if need.sort == "path" and not expand_user(Path(need.name)).exists():
            yield f"{need.name} does not exist", need.remedy
        if need.sort == "model":
            missing = _missing_of_model(need.name, {**os.environ, **resources.environment})
            if missing:
                yield missing, need.remedy


def _missing_of_model(place: str, environment: Mapping[str, str]) -> str:
    """Return what a model of the hub lacks in the cache; empty if nothing, or if the stage may fetch it itself."""
    if is_offline(environment) is False:
        return ""
    name, _, revision = place.partition("@")
    snapshot = cached_snapshot(name, revision or None, environment)
    if snapshot is None:
        return f"the model {place} is not in the cache of the hub ({hub_cache(environment)})"
    missing = missing_files(snapshot)
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"the model {place} is not complete in the cache of the hub: no {missing[0]}{more}" if missing else ""


def slurm_notes(stages: Sequence[StageInstance]) -> list[str]:
    """Return what the stages leave to the defaults of Slurm, in words: clusters without defaults refuse such jobs."""
    notes = []
    for field in ("account", "partition"):
        names = dict.fromkeys(stage.name for stage in stages if getattr(stage.resources, field) is None)
        if names:
            notes.append(
                f"no {field} is set for {', '.join(names)}: Slurm takes your default one, if there is one; "
                f"set it with --set resources.default.{field}={field.upper()}"
            )
    return notes


def _needs(stage: StageInstance) -> Sequence[StageNeed]:
    """Return the needs of a stage; none that are known if only the stage's own Python has its kind."""
    kind = find_kind(stage.kind)
    if kind is None or kind is IMPORT or not stage.settings:
        return () if kind is None else tuple(stage_needs(kind, stage.config))
    return tuple(stage_needs(kind, with_settings(kind.config_model(), stage.config, stage.settings)))


def _package_problems(stages: Sequence[StageInstance], cluster: str) -> Iterator[tuple[StageInstance, str, str]]:
    """Iterate over missing packages; each other interpreter is asked once for all of them."""
    wanted: dict[Path | None, dict[str, list[tuple[StageInstance, StageNeed]]]] = {}
    for stage in stages:
        if cluster == "slurm" and stage.resources.setup:
            continue  # `module load` on the node may bring packages
        for need in _needs(stage):
            if need.sort == "package":
                wanted.setdefault(stage.resources.python, {}).setdefault(need.name, []).append((stage, need))
    for python, needs in wanted.items():
        missing = _missing_packages(python, list(needs), cluster)
        place = "this Python" if python is None else str(python)
        for name in missing:
            for stage, need in needs[name]:
                yield stage, f"needs {name}, not installed for {place}", need.remedy


def _missing_packages(python: Path | None, names: list[str], cluster: str) -> list[str]:
    if python is None:
        return [name for name in names if importlib.util.find_spec(name) is None]
    try:
        done = subprocess.run(
            [str(python), "-c", _PROBE, *names],
            capture_output=True,
            text=True,
            timeout=_PYTHON_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # modules in the current folder may be anybody's
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []  # it may exist on the nodes only, or not be a plain Python: the stage itself says so
    return [name for name in names if name in found]


def _partition_problems(stages: Sequence[StageInstance], cluster: str) -> list[PreflightProblem]:
    asked: dict[str, list[str]] = {}
    for stage in stages:
        for name in (stage.resources.partition or "").split(","):
            if name:
                asked.setdefault(name, []).append(stage.name)
    if cluster != "slurm" or not asked:
        return []
    try:
        known = {line.strip() for line in slurm.run_command(["sinfo", "-h", "-a", "-o", "%R"]).splitlines()}
    except slurm.SlurmCommandError:
        return []  # sbatch says it
    return [
        PreflightProblem(
            tuple(dict.fromkeys(names)),
            f"Slurm has no partition {name}",
            f"Partitions: {', '.join(sorted(known))}.",
        )
        for name, names in asked.items()
        if name not in known
    ]


def _disk_problems(workspace: Workspace) -> list[PreflightProblem]:
    place = next((path for path in (workspace.path, *workspace.path.parents) if path.is_dir()), None)
    if place is None:
        return []
    free = shutil.disk_usage(place).free
    if free >= LEAST_FREE_BYTES:
        return []
    summary = f"the disk of {workspace.path} has {free / 2**20:.0f} MiB free"
    return [PreflightProblem((), summary, f"Free at least {LEAST_FREE_BYTES >> 20} MiB.")]
