"""`cogtui run --dry-run`: the action for each stage, and how it differs from finished stages."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.labels import label_text
from jobs.state.types import RETRYABLE, StageState
from jobs.workspace import Workspace
from pipelines.stages import stage_kind
from pipelines.text_safety import one_line


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """The action for a stage, and the reason."""

    verb: str
    """`reused`, `new`, `continued`, `retried`, `forced`, `claimed` (under way already) or `left` (needs --retry)."""
    reason: str

    @property
    def starts(self) -> bool:
        """Whether it would be submitted."""
        return self.verb in ("new", "continued", "retried", "forced")


def plan_lines(
    plan: RecipePlan,
    stages: Sequence[StageInstance],
    actions: Mapping[str, PlannedAction],
    commands: Mapping[str, str],
    scripts: Mapping[str, str],
) -> list[str]:
    """Return the plan as text: the action for each stage, its key, and the reason.

    Args:
        plan: the whole plan.
        stages: the part of it to run.
        actions: by key; see `actions_of`.
        commands: by key, the command line of the stage.
        scripts: by key, the script for the scheduler.
    """
    counts = Counter(actions[stage.key].verb for stage in stages)
    total = ", ".join(f"{count} {verb}" for verb, count in counts.items())
    cells = "1 cell" if len(plan.cells) == 1 else f"{len(plan.cells)} cells"
    lines = [f"{plan.name}: {cells}, {len(stages)} stages: {total}"]
    for stage in stages:
        action = actions[stage.key]
        lines += [
            "",
            f"{action.verb:<9}  {stage.key}  {stage.title}",
            f"           why: {one_line(action.reason, 500)}",
        ]
        if stage.inputs:
            lines.append(f"           needs: {', '.join(stage.inputs)}")
        cost = _cost(stage) if action.starts else None
        if cost is not None:
            lines.append(f"           costs: {cost}")
        if stage.key in commands:
            lines.append(f"           runs: {commands[stage.key]}")
        if stage.key in scripts:
            lines += ["", *scripts[stage.key].rstrip("\n").split("\n")]  # not indented, so that it can be copied
    return lines


def _cost(stage: StageInstance) -> str | None:
    return stage_kind(stage.kind).cost_of(stage.config)


def actions_of(
    plan: RecipePlan, stages: Sequence[StageInstance], workspace: Workspace, *, retry: bool, force: Collection[str]
) -> dict[str, PlannedAction]:
    """Return the action for each stage, by the rules of `submit`.

    Raises:
        InvalidInput: a forced stage is active.
    """
    from jobs.state.reader import stage_states
    from jobs.submit.choice import choose

    keys = dict.fromkeys(key for stage in stages for key in (*stage.inputs, stage.key))
    known = stage_states(workspace, keys)
    states = {key: known.get(key) or _planned(plan.instance(key)) for key in keys}
    actions = {}
    for choice in choose(stages, states, retry=retry, force=force):
        stage = choice.instance
        why = plan.reuse[stage.key].reason(stage.kind)
        if choice.action != "submitted":
            actions[stage.key] = PlannedAction(choice.action, choice.reason or why)
        elif stage.key in force:
            actions[stage.key] = PlannedAction("forced", "requested with --force; its old files are moved aside")
        elif choice.state.state in RETRYABLE:
            actions[stage.key] = PlannedAction("retried", choice.reason or f"it is {choice.state.state}")
        elif plan.reuse[stage.key].status == "started":
            actions[stage.key] = PlannedAction("continued", choice.reason or f"it is {choice.state.state}")
        else:
            actions[stage.key] = PlannedAction("new", why)
    return actions


def _planned(stage: StageInstance) -> StageState:
    """Return the state of a stage without a folder."""
    return StageState(
        key=stage.key,
        kind=stage.kind,
        name=stage.name,
        labels=stage.labels,
        state="planned",
        evidence="none",
        age_s=None,
    )


def plan_data(
    plan: RecipePlan,
    stages: Iterable[StageInstance],
    actions: Mapping[str, PlannedAction],
    commands: Mapping[str, str],
    scripts: Mapping[str, str],
) -> dict[str, Any]:
    """Return the plan as data for JSON."""
    return {
        "experiment": plan.name,
        "recipe": str(plan.recipe_path),
        "cells": [{"labels": cell.labels, "stages": cell.stages} for cell in plan.cells],
        "stages": [
            {
                "key": stage.key,
                "kind": stage.kind,
                "name": stage.name,
                "labels": stage.labels,
                "cells": [label_text(plan.cells[index].labels) for index in stage.cells],
                "inputs": list(stage.inputs),
                "action": actions[stage.key].verb,
                "reason": actions[stage.key].reason,
                "nearest": plan.reuse[stage.key].nearest,
                "differences": [
                    {"field": difference.field, "here": difference.here, "there": difference.there}
                    for difference in plan.reuse[stage.key].differences
                ],
                "config": stage.config,
                "cost": _cost(stage) if actions[stage.key].starts else None,
                "command": commands.get(stage.key),
                "script": scripts.get(stage.key),
                "resources": stage.resources.model_dump(mode="json", exclude_defaults=True),
            }
            for stage in stages
        ],
    }
