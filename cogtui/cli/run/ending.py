"""The end of `cogtui run`: what it prints, the errors it ends with, and its data for `--json`."""

from collections.abc import Sequence
from typing import Any, ClassVar

from cogtui.cli.console.output import emit, emit_error, emit_json, emit_wrapped, narrate
from cogtui.cli.run.assertions import Assertion
from cogtui.cli.run.check import AssertionCheck, check_assertion
from cogtui.cli.run.reports.outcome import AssertionOutcome, RunOutcome
from cogtui.cli.run.request import RunRequest, comparing_command, opening_command
from cogtui.cli.run.summary import cell_results, summary_lines
from jobs.planning.types import RecipePlan
from jobs.state.types import RETRYABLE
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, Interrupted, InvalidInput, StageFailed
from pipelines.text_safety import one_line
from pipelines.wording import not_done


class AssertionFailed(CogtuiError):
    """An `--assert` is false."""

    code: ClassVar[str] = "assertion_failed"


def end_run(request: RunRequest, outcome: RunOutcome, assertions: Sequence[Assertion]) -> None:
    """Print what came out, and check the assertions.

    Raises:
        StageFailed: a stage is not done. AssertionFailed: an assertion is false.
        InvalidInput: an assertion cannot be evaluated.
    """
    plan, workspace = outcome.plan, outcome.workspace
    if not request.as_json and outcome.reused == len(outcome.stages) and not request.tables:
        count = "its stage was" if len(outcome.stages) == 1 else f"all {len(outcome.stages)} stages were"
        emit_wrapped(f"{plan.name}: {count} done before this run; nothing was started")
        emit(f"What came out: {comparing_command(plan.name, workspace)}")
    elif not request.as_json:
        lines = summary_lines(plan, outcome.finished, outcome.reused, outcome.elapsed_s)
        print_summary(request, plan, workspace, lines)
    _raise_if_unfinished(outcome)
    checks = _evaluate(outcome, assertions)
    _report_checks(checks, request)
    if request.as_json:
        emit_json(run_data(request, outcome, checks))
    else:
        if outcome.reused < len(outcome.stages):
            emit()
        emit(f"Browse it with: {opening_command(workspace)}")


def _evaluate(outcome: RunOutcome, assertions: Sequence[Assertion]) -> list[AssertionCheck]:
    """Evaluate all assertions, and then raise the first error, so that reports have the others too."""
    results = cell_results(outcome.plan, outcome.finished)
    checks: list[AssertionCheck] = []
    first: InvalidInput | None = None
    for assertion in assertions:
        try:
            found = check_assertion(assertion, results)
        except InvalidInput as error:
            outcome.assertions.append(AssertionOutcome(assertion.text, "error", message=error.summary))
            first = first or error
        else:
            outcome.assertions += [AssertionOutcome.of_check(check) for check in found]
            checks += found
    if first is not None:
        raise first
    return checks


def print_summary(request: RunRequest, plan: RecipePlan, workspace: Workspace, lines: Sequence[str]) -> None:
    """Print the result in words where there is a primed and an unprimed condition, else, or with `--tables`, tables."""
    from cogtui.analysis.experiment_summary import summarise_experiment
    from cogtui.cli.compare.show import comparison_lines, sentence_lines

    summary = summarise_experiment(plan.name, plan.cells, workspace, recipe=plan.recipe_text)
    words = sentence_lines(summary)
    more = f"All tables, and each claim with its interval: {comparing_command(plan.name, workspace)}"
    if words and not request.tables:
        left_out = [f"warning: {warning}" for warning in summary.warnings]
        lines = [lines[0], *(line for line in lines if line.startswith("warning: ")), *left_out, "", *words, "", more]
    elif sum(bool(group.finished) for group in summary.groups) > 1:
        lines = [*lines, "", *comparison_lines(summary)]
    for line in lines:
        if line == more:
            emit(line)  # a command, to be copied
        else:
            emit_wrapped(line, "  ")


def _raise_if_unfinished(outcome: RunOutcome) -> None:
    stages, states = outcome.stages, outcome.states
    done = {one.stage.key for one in outcome.finished}
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


def run_data(
    request: RunRequest, outcome: RunOutcome, checks: Sequence[AssertionCheck], *, detached: bool = False
) -> dict[str, Any]:
    """Return a run as data for `--json`."""
    plan = outcome.plan
    actions = {submission.key: submission for submission in outcome.submissions}
    results = {one.stage.key: one.result for one in outcome.finished}
    return {
        "experiment": plan.name,
        "workspace": str(outcome.workspace.path),
        "cluster": request.cluster,
        "elapsed_s": None if detached else outcome.elapsed_s,
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
            for stage in outcome.stages
        ],
        "assertions": [
            {"assertion": one.assertion, "cell": one.cell, "holds": one.holds, "values": one.values} for one in checks
        ],
    }


def report_interruption(request: RunRequest, workspace: Workspace) -> None:
    """Say after Ctrl-C that the jobs keep running, and how to come back to them."""
    error = Interrupted(
        "interrupted; the jobs keep running",
        remedy=f"Watch them with: {opening_command(workspace)}\nCome back with: {request.again()}\n"
        "End them with: cogtui cancel KEY",
    )
    if request.as_json:
        emit_error(error, as_json=True)
        return
    for line in str(error).splitlines():
        narrate(line)
