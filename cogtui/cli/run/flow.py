"""The steps of `cogtui run`."""

import shlex
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import typer

from cogtui.cli.console.output import ExitCode, emit, emit_error, emit_json, narrate
from cogtui.cli.run.assertions import parse_assertion
from cogtui.cli.run.check import AssertionCheck, check_assertion, check_names
from cogtui.cli.run.display import DisplayName, make_display
from cogtui.cli.run.summary import FinishedStage, cell_results, finished_stages, summary_lines
from jobs.planning.plan import make_plan
from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.bundled import find_recipe
from jobs.recipe.load import load_recipe
from jobs.recipe.source import suggest
from jobs.state.types import RETRYABLE, StageState, Submission
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, Interrupted, InvalidInput, StageFailed
from pipelines.text_safety import one_line
from pipelines.wording import not_done


class AssertionFailed(CogtuiError):
    """An `--assert` is false."""

    code: ClassVar[str] = "assertion_failed"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments of `cogtui run`."""

    recipe: Path
    workspace: Path | None = None
    cluster: Literal["local", "slurm"] = "local"
    dry_run: bool = False
    only: tuple[str, ...] = ()
    retry: bool = False
    force: tuple[str, ...] = ()
    detach: bool = False
    overrides: tuple[str, ...] = ()
    assertions: tuple[str, ...] = ()
    display: DisplayName | None = None
    tables: bool = False
    as_json: bool = False


def run_recipe(request: RunRequest) -> None:
    """Plan a recipe, start its stages, follow them, and print the summary.

    Raises:
        CogtuiError: by the exit codes of docs/cli.md; StageFailed if a stage is not done, AssertionFailed if an
            assertion is false. typer.Exit with 130 after Ctrl-C.
    """
    began = time.monotonic()
    assertions = [parse_assertion(text) for text in request.assertions]
    if assertions and request.detach:
        raise InvalidInput(
            "--assert needs results, and --detach does not wait for them", remedy="Remove one of the two."
        )
    workspace = Workspace.locate(request.workspace)
    recipe = load_recipe(find_recipe(request.recipe), request.overrides)
    plan = make_plan(recipe, workspace)
    for assertion in assertions:
        check_names(assertion, recipe.stages, [cell.labels for cell in plan.cells])
    stages = chosen_stages(plan, request.only)
    force = keys_of(plan, request.force, "--force")
    if not force <= {stage.key for stage in stages}:
        raise InvalidInput("--force names a stage that --only excludes", remedy="Name it in --only too.")
    if request.dry_run:
        _dry_run(request, plan, stages, workspace, force)
        return
    submissions = _submit(request, plan, stages, workspace, force)
    if request.detach:
        _detached(request, plan, stages, workspace, submissions)
        return
    try:
        states = _follow(request, stages, workspace)
    except KeyboardInterrupt:
        _interrupted(request, workspace)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    finished = finished_stages(stages, workspace)
    reused = sum(submission.action == "reused" for submission in submissions)
    if not request.as_json and reused == len(stages) and not request.tables:
        count = "its stage was" if len(stages) == 1 else f"all {len(stages)} stages were"
        place = "" if workspace == Workspace.locate() else f" --workspace {_place(workspace)}"
        emit(f"{plan.name}: {count} done before this run; nothing was started")
        emit(f"What came out: cogtui compare {plan.name}{place}")
    elif not request.as_json:
        print_summary(request, plan, workspace, summary_lines(plan, finished, reused, time.monotonic() - began))
    _raise_if_unfinished(stages, states, finished)
    checks = [one for assertion in assertions for one in check_assertion(assertion, cell_results(plan, finished))]
    _report_checks(checks, request)
    if request.as_json:
        elapsed = time.monotonic() - began
        emit_json(_data(request, plan, stages, workspace, submissions, finished, checks, elapsed))
    else:
        if reused < len(stages):
            emit()
        emit(f"Browse it with: {_command(workspace)}")


def print_summary(request: RunRequest, plan: RecipePlan, workspace: Workspace, lines: Sequence[str]) -> None:
    """Print the result in words where there is a primed and an unprimed condition, else, or with `--tables`, tables."""
    from cogtui.analysis.experiment_summary import summarise_experiment
    from cogtui.cli.compare.show import comparison_lines, sentence_lines

    summary = summarise_experiment(plan.name, plan.cells, workspace, recipe=plan.recipe_text)
    words = sentence_lines(summary)
    if words and not request.tables:
        left_out = [f"warning: {warning}" for warning in summary.warnings]
        place = "" if workspace == Workspace.locate() else f" --workspace {_place(workspace)}"
        more = f"All tables, and each claim with its interval: cogtui compare {plan.name}{place}"
        lines = [lines[0], *(line for line in lines if line.startswith("warning: ")), *left_out, "", *words, "", more]
    elif sum(bool(group.finished) for group in summary.groups) > 1:
        lines = [*lines, "", *comparison_lines(summary)]
    for line in lines:
        emit(line)


def chosen_stages(plan: RecipePlan, only: Sequence[str]) -> list[StageInstance]:
    """Return the instances of the named stages with their inputs; all instances if none is named."""
    wanted = keys_of(plan, only, "--only") if only else {stage.key for stage in plan.stages}
    for stage in reversed(plan.stages):  # each comes after what it needs
        if stage.key in wanted:
            wanted.update(stage.inputs)
    return [stage for stage in plan.stages if stage.key in wanted]


def keys_of(plan: RecipePlan, names: Iterable[str], option: str) -> set[str]:
    """Return the keys of all instances of the named stages.

    Raises:
        InvalidInput: no such stage in any cell; names the nearest.
    """
    known: dict[str, set[str]] = {}
    for cell in plan.cells:
        for name, key in cell.stages.items():
            known.setdefault(name, set()).add(key)
    found: set[str] = set()
    for name in names:
        if name not in known:
            raise InvalidInput(f"{option} {name}: the recipe has no such stage", remedy=suggest(name, known, "Stages"))
        found |= known[name]
    return found


def _dry_run(
    request: RunRequest, plan: RecipePlan, stages: Sequence[StageInstance], workspace: Workspace, force: Collection[str]
) -> None:
    from cogtui.cli.run.dry_run import plan_data, plan_lines
    from jobs.submit.actions import actions_of
    from jobs.submit.preflight import preflight, problem_line

    actions = actions_of(plan, stages, workspace, retry=request.retry, force=force)
    starting = [stage for stage in stages if actions[stage.key].starts]
    commands = _previewed([stage for stage in starting if stage.resources.nodes == 1], "local", workspace)
    scripts = _previewed(starting, "slurm", workspace) if request.cluster == "slurm" else {}
    problems = preflight(starting, request.cluster, workspace)
    if request.as_json:
        missing = [{"stages": list(one.stages), "summary": one.summary, "remedy": one.remedy} for one in problems]
        emit_json(plan_data(plan, stages, actions, commands, scripts) | {"missing": missing})
        return
    for line in plan_lines(plan, stages, actions, commands, scripts):
        emit(line)
    for problem in problems:
        narrate(f"missing: {problem_line(problem)}")
        narrate(f"  {problem.remedy}")


def _previewed(stages: Sequence[StageInstance], cluster: str, workspace: Workspace) -> dict[str, str]:
    from jobs.submit.launch import preview

    return dict(zip([stage.key for stage in stages], preview(stages, cluster, workspace), strict=True))


def _submit(
    request: RunRequest, plan: RecipePlan, stages: Sequence[StageInstance], workspace: Workspace, force: Collection[str]
) -> list[Submission]:
    from jobs.submit.start import start_stages

    submissions = start_stages(workspace, stages, cluster=request.cluster, retry=request.retry, force=force, plan=plan)
    titles = {stage.key: stage.title for stage in stages}
    for submission in submissions:
        if submission.action == "left":
            reason = f": {one_line(submission.reason, 160)}" if submission.reason else ""
            narrate(f"{titles[submission.key]} is {submission.state}{reason}; start it again with --retry")
    return submissions


def _follow(request: RunRequest, stages: Sequence[StageInstance], workspace: Workspace) -> dict[str, StageState]:
    from cogtui.cli.run.follow import follow

    name: DisplayName | None = "none" if request.as_json and request.display is None else request.display
    display = make_display(name, lambda key: workspace.folder(key).path)
    return follow(workspace, stages, display, cluster=request.cluster)


def _detached(
    request: RunRequest,
    plan: RecipePlan,
    stages: Sequence[StageInstance],
    workspace: Workspace,
    submissions: Sequence[Submission],
) -> None:
    if request.as_json:
        emit_json(_data(request, plan, stages, workspace, submissions, [], [], None))
        return
    counts: dict[str, int] = {}
    for submission in submissions:
        counts[submission.action] = counts.get(submission.action, 0) + 1
    emit(f"{plan.name}: {', '.join(f'{count} {action}' for action, count in counts.items())}")
    emit(f"Watch it with: {_command(workspace)}")


def _raise_if_unfinished(
    stages: Sequence[StageInstance], states: dict[str, StageState], finished: Sequence[FinishedStage]
) -> None:
    done = {one.stage.key for one in finished}
    lines = []
    first = ""
    for stage in stages:
        if stage.key in done:
            continue
        state = states.get(stage.key)
        reason = f": {one_line(state.reason, 160)}" if state and state.reason else ""
        lines.append(f"{state.state if state else 'missing'}  {stage.title} ({stage.key}){reason}")
        if state and state.remedy and not first:
            first = one_line(state.remedy, 240)
    if lines:
        retry = any(state.state in RETRYABLE for state in states.values())
        again = "Run the same command with --retry." if retry else "Run the same command again."
        raise StageFailed(
            not_done(len(lines), len(stages), "stage"),
            detail="\n".join(lines),
            remedy=first if "--retry" in first or "cogtui retry" in first else f"{first}\n{again}".lstrip(),
        )


def _report_checks(checks: Sequence[AssertionCheck], request: RunRequest) -> None:
    broken = [one for one in checks if not one.holds]
    if broken:
        raise AssertionFailed(
            f"{len(broken)} of {len(checks)} assertions are false",
            detail="\n".join(f"{one.assertion}\n  {one}" for one in broken),
        )
    if not request.as_json:
        for one in checks:
            emit(f"true: {one.assertion}  ({one})")


def _data(
    request: RunRequest,
    plan: RecipePlan,
    stages: Sequence[StageInstance],
    workspace: Workspace,
    submissions: Sequence[Submission],
    finished: Sequence[FinishedStage],
    checks: Sequence[AssertionCheck],
    elapsed_s: float | None,
) -> dict[str, Any]:
    actions = {submission.key: submission for submission in submissions}
    results = {one.stage.key: one.result for one in finished}
    return {
        "experiment": plan.name,
        "workspace": str(workspace.path),
        "cluster": request.cluster,
        "elapsed_s": elapsed_s,
        "cells": [{"labels": cell.labels, "stages": cell.stages} for cell in plan.cells],
        "stages": [
            {
                "key": stage.key,
                "kind": stage.kind,
                "name": stage.name,
                "labels": stage.labels,
                "state": "done" if stage.key in results else actions[stage.key].state,
                "action": actions[stage.key].action,
                "job_id": actions[stage.key].job_id,
                "result": results.get(stage.key),
            }
            for stage in stages
        ],
        "assertions": [
            {"assertion": one.assertion, "cell": one.cell, "holds": one.holds, "values": one.values} for one in checks
        ],
    }


def _interrupted(request: RunRequest, workspace: Workspace) -> None:
    place = ["--workspace", str(request.workspace)] if request.workspace else []
    settings = [part for override in request.overrides for part in ("--set", override)]
    only = [part for name in request.only for part in ("--only", name)]
    cluster = [] if request.cluster == "local" else ["--cluster", request.cluster]
    again = shlex.join(["cogtui", "run", str(request.recipe), *place, *cluster, *only, *settings])
    error = Interrupted(
        "interrupted; the jobs keep running",
        remedy=f"Watch them with: {_command(workspace)}\nCome back with: {again}\nEnd them with: cogtui cancel KEY",
    )
    if request.as_json:
        emit_error(error, as_json=True)
        return
    for line in str(error).splitlines():
        narrate(line)


def _command(workspace: Workspace) -> str:
    """Return the shortest command that opens this workspace from the current directory."""
    if workspace == Workspace.locate():
        return "cogtui"
    return f"cogtui --workspace {_place(workspace)}"


def _place(workspace: Workspace) -> str:
    """Return the folder of a workspace, relative to the current directory where it lies in it."""
    path = workspace.path
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
