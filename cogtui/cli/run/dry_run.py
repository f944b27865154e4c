"""`cogtui run --dry-run`: the action for each stage, and how it differs from finished stages."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cogtui.cli.console.layout import output_width, wrap_words
from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.labels import label_text
from jobs.submit.actions import PlannedAction
from pipelines.stages import stage_kind
from pipelines.text_safety import one_line
from pipelines.wording import count_of


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
    width = output_width()
    counts = Counter(actions[stage.key].verb for stage in stages)
    total = ", ".join(f"{count} {verb}" for verb, count in counts.items())
    cells = count_of(len(plan.cells), "cell")
    lines = [f"{plan.name}: {cells}, {count_of(len(stages), 'stage')}: {total}"]
    for stage in stages:
        action = actions[stage.key]
        lines += [
            "",
            *wrap_words(f"{action.verb:<9}  {stage.key}  {stage.title}", width, " " * 11),
            *wrap_words(f"           why: {one_line(action.reason, 500)}", width, "  "),
        ]
        if stage.inputs:
            lines += wrap_words(f"           needs: {', '.join(stage.inputs)}", width, "  ")
        cost = _cost(stage) if action.starts else None
        if cost is not None:
            lines += wrap_words(f"           costs: {cost}", width, "  ")
        if stage.key in commands:  # not wrapped, so that it can be copied
            lines.append(f"           runs: {commands[stage.key]}")
        if stage.key in scripts:
            lines += ["", *scripts[stage.key].rstrip("\n").split("\n")]  # not indented, so that it can be copied
    return lines


def _cost(stage: StageInstance) -> str | None:
    return stage_kind(stage.kind).cost_of(stage.config)


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
                "settings": stage.settings or {},
                "cost": _cost(stage) if actions[stage.key].starts else None,
                "command": commands.get(stage.key),
                "script": scripts.get(stage.key),
                "resources": stage.resources.model_dump(mode="json", exclude_defaults=True),
            }
            for stage in stages
        ],
    }
