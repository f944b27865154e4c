"""`cogtui prune [EXPERIMENT]`: says what the checkpoints of finished stages take, and with --yes removes them."""

from typing import Any

from cogtui.cli.console.output import emit, emit_json, emit_table, narrate
from cogtui.cli.jobs.list import members_of
from jobs.prune import PrunePlan, plan_prune, prune
from jobs.recipe.labels import label_text
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from pipelines.wording import count_of


def prune_stages(workspace: Workspace, experiment: str | None, *, yes: bool, as_json: bool) -> None:
    """Print what can be removed, and remove it with `yes`.

    Raises:
        NotFound: no such workspace or experiment. MissingRequirement: something could not be removed.
    """
    workspace.require()
    plan = plan_prune(workspace, None if experiment is None else members_of(workspace, experiment))
    removed, failures = _remove(workspace, plan) if yes else ([], [])
    if as_json and not failures:
        emit_json(_record(plan, removed, yes=yes))
    elif not as_json:
        _print(plan, removed, yes=yes)
    if failures:
        raise MissingRequirement(
            f"the checkpoints of {count_of(len(failures), 'stage')} could not be removed",
            detail="\n".join(failures),
            remedy="Fix the permissions and run the same command again; what was removed stays removed.",
        )


def _remove(workspace: Workspace, plan: PrunePlan) -> tuple[list[str], list[str]]:
    """Remove what was planned; return the keys that are done, and a line for each that failed."""
    removed, failures = [], []
    for stage in plan.stages:
        try:
            if prune(workspace, stage):
                removed.append(stage.key)
        except OSError as error:
            failures.append(f"{stage.key}: {error.strerror}: {error.filename}")
    return removed, failures


def _record(plan: PrunePlan, removed: list[str], *, yes: bool) -> dict[str, Any]:
    return {
        "removed": yes,
        "bytes": sum(stage.size for stage in plan.stages if not yes or stage.key in removed),
        "stages": [
            {
                "key": stage.key,
                "name": stage.name,
                "cell": dict(stage.labels),
                "checkpoints": stage.checkpoints,
                "bytes": stage.size,
                "removed": stage.key in removed,
            }
            for stage in plan.stages
        ],
        "left": [
            {"key": stage.key, "name": stage.name, "bytes": stage.size, "reason": stage.reason} for stage in plan.left
        ],
    }


def _print(plan: PrunePlan, removed: list[str], *, yes: bool) -> None:
    shown = [stage for stage in plan.stages if not yes or stage.key in removed]
    if shown:
        rows = [
            (stage.key, stage.name, label_text(stage.labels), str(stage.checkpoints), format_size(stage.size))
            for stage in shown
        ]
        emit_table([("KEY", "STAGE", "CELL", "CHECKPOINTS", "SIZE"), *rows], right={3, 4})
    for left in plan.left:
        narrate(f"left: {left.key} ({format_size(left.size)}) is {left.reason}")
    for stage in plan.stages:
        if yes and stage.key not in removed:
            narrate(f"left: {stage.key} was started again, pruned by another command, or could not be removed")
    total = format_size(sum(stage.size for stage in shown))
    if not shown:
        narrate("no finished stage has checkpoints: nothing to remove")
    elif yes:
        emit(f"{total} freed; models, data, rollouts and results stay")
    else:
        emit(f"{total} can be freed; nothing was removed")
        narrate("--yes removes these checkpoints; models, data, rollouts and results stay")


def format_size(count: int) -> str:
    """Format bytes as `74 GB`, `3.1 MB` or `12 kB`."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1000:.3g} kB"
