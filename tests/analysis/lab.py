"""Experiments that never ran: stage folders with the evaluations a test asks for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cogtui.analysis.outcomes import ConditionGroup, EvaluatedRun, group_runs
from jobs.planning.cell import Cell
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.folder import StageFolder
from pipelines.records import Metric

PROBLEMS = 40

Curve = Mapping[int, Mapping[str, float]]


def run(condition: str, seed: int | None, start: Mapping[str, float], end: Mapping[str, float]) -> EvaluatedRun:
    """A finished run of ten steps."""
    return EvaluatedRun(
        condition, condition, seed, f"ppo-{condition}{seed}", "ppo", {0: dict(start), 10: dict(end)}, 10
    )


def accuracies(condition: str, pairs: Sequence[tuple[float, float]]) -> list[EvaluatedRun]:
    """Runs of seeds 1, 2, … with accuracy at the start and the end, and no behaviours."""
    none: dict[str, float] = dict.fromkeys(BEHAVIORS, 0.0)
    return [
        run(condition, seed, {"accuracy": start, **none}, {"accuracy": end, **none})
        for seed, (start, end) in enumerate(pairs, start=1)
    ]


def groups(*runs: Sequence[EvaluatedRun]) -> list[ConditionGroup]:
    """Runs of several conditions as groups."""
    return group_runs([one for each in runs for one in each])


def write_ppo(workspace: Workspace, key: str, steps: int, curve: Curve, *, labels: Mapping[str, str | int]) -> None:
    """A ppo stage with these evaluations."""
    folder = StageFolder(workspace.stages / key)
    folder.path.mkdir(parents=True)
    info = {"kind": "ppo", "key": key, "config": {"steps": steps}, "labels": dict(labels), "name": "ppo"}
    (folder.path / "stage.json").write_text(json.dumps(info))
    with folder.stream("metrics", "eval") as stream:
        stream.append([Metric(step=step, values=dict(values)) for step, values in curve.items()])
    with folder.stream("metrics", "train") as stream:
        stream.append([Metric(step=0, values={"accuracy": 0.99})])  # of training problems: not to be taken


def write_run(
    workspace: Workspace, labels: Mapping[str, str | int], start: int, end: int, *, done: bool = True
) -> Cell:
    """A ppo stage of ten steps in which so many of 40 problems are solved at the start and at the end."""
    key = "ppo-" + "-".join(map(str, labels.values()))
    counts = dict.fromkeys(BEHAVIORS, 2.0 if labels.get("condition") != "none" else 0.0)
    solved = {0: start, **({10: end} if done else {})}
    write_ppo(
        workspace,
        key,
        10,
        {step: {"accuracy": right / PROBLEMS, "n": PROBLEMS, **counts} for step, right in solved.items()},
        labels=labels,
    )
    lines = [
        {"id": f"{step}-{place}", "step": step, "problem_id": f"p{place}", "correct": place < right, "answer": "1"}
        for step, right in solved.items()
        for place in range(PROBLEMS)
    ]
    (workspace.stages / key / "rollouts-eval-001.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return Cell(labels=dict(labels), stages={"ppo": key})


def write_sample(workspace: Workspace, key: str, split: str, values: Mapping[str, float]) -> None:
    """A sample stage with this evaluation."""
    folder = StageFolder(workspace.stages / key)
    folder.path.mkdir(parents=True)
    info = {"kind": "sample", "key": key, "config": {"split": split}, "name": "sample"}
    (folder.path / "stage.json").write_text(json.dumps(info))
    with folder.stream("metrics", split) as stream:
        stream.append([Metric(step=0, values=dict(values))])


def cell(key: str, condition: str, seed: int, **more: str) -> Cell:
    """A cell with one ppo stage, and others by name."""
    stages = {"problems": "problems-0", "ppo": key, **more}
    return Cell(labels={"condition": condition, "seed": seed}, stages=stages)


def experiment(workspace: Workspace, name: str, cells: Sequence[Cell], folder: Path | None = None) -> None:
    """The snapshot of a start."""
    path = folder or workspace.experiments / name
    path.mkdir(parents=True, exist_ok=True)
    record = {
        "name": name,
        "time": 1.0,
        "recipe_path": "mini.toml",
        "recipe": f'name = "{name}"\n# <script>alert(1)</script>\n',
        "cells": [one.model_dump(mode="json") for one in cells],
        "python": "3.11",
    }
    (path / "20260101T000000.000000Z.json").write_text(json.dumps(record))
