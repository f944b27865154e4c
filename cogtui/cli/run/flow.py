"""The steps of `cogtui run`."""

import time
from collections.abc import Collection, Iterable, Sequence

import typer

from cogtui.cli.console.output import ExitCode, emit, emit_error, emit_json, narrate
from cogtui.cli.run.alerts.alerts import AlertingDisplay, RunAlerts
from cogtui.cli.run.assertions import parse_assertion
from cogtui.cli.run.check import check_fields, check_names
from cogtui.cli.run.display import DisplayName, make_display
from cogtui.cli.run.ending import end_run, report_interruption, run_data
from cogtui.cli.run.reports.files import RunReports
from cogtui.cli.run.reports.outcome import RunOutcome
from cogtui.cli.run.request import RunRequest, opening_command
from cogtui.cli.run.summary import cell_results, finished_stages
from cogtui.settings import NOTIFY_COMMAND, NOTIFY_WEBHOOK, resolve_settings
from jobs.planning.left_behind import find_left_behind
from jobs.planning.plan import make_plan
from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.bundled import find_recipe
from jobs.recipe.load import load_recipe
from jobs.recipe.source import suggest
from jobs.state.reader import stage_states
from jobs.state.types import Submission
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.text_safety import one_line


def run_recipe(request: RunRequest) -> None:
    """Plan a recipe, start its stages, follow them, and print the summary.

    Raises:
        CogtuiError: by the exit codes of docs/cli.md; StageFailed if a stage is not done, AssertionFailed if an
            assertion is false. typer.Exit with 130 after Ctrl-C.
    """
    assertions = [parse_assertion(text) for text in request.assertions]
    _refuse_without_results(request)
    workspace = Workspace.locate(request.workspace)
    recipe = load_recipe(find_recipe(request.recipe), request.overrides)
    plan = make_plan(recipe, workspace)
    for assertion in assertions:
        check_names(assertion, recipe.stages, [cell.labels for cell in plan.cells])
    stages = chosen_stages(plan, request.only)
    force = keys_of(plan, request.force, "--force")
    if not force <= {stage.key for stage in stages}:
        raise InvalidInput("--force names a stage that --only excludes", remedy="Name it in --only too.")
    if assertions:
        known = cell_results(plan, finished_stages([stage for stage in stages if stage.key not in force], workspace))
        for assertion in assertions:
            check_fields(assertion, known)
    reports = RunReports.prepare(request.junit, github_summary=request.github_summary)
    alerts = _make_alerts(request)
    if request.dry_run:
        _dry_run(request, plan, stages, workspace, force)
        return
    outcome = RunOutcome(plan, stages, workspace, request.assertions)
    if request.detach:
        outcome.submissions = _submit(request, plan, stages, workspace, force)
        _detached(request, outcome)
        return
    began = time.monotonic()
    try:
        outcome.submissions = _submit(request, plan, stages, workspace, force)
        _follow(request, outcome, alerts, began)
        end_run(request, outcome, assertions)
    except BrokenPipeError:  # nobody reads what is printed, which is no error of the run
        raise
    except Exception as error:
        outcome.error = error if isinstance(error, CogtuiError) else CogtuiError(f"{type(error).__name__}: {error}")
        raise
    except KeyboardInterrupt:
        outcome.interrupted = True
        report_interruption(request, workspace)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    finally:
        outcome.elapsed_s = time.monotonic() - began
        _report(outcome, reports, alerts)


def _refuse_without_results(request: RunRequest) -> None:
    """Refuse options that need results, if nothing waits for them."""
    needing = {
        "--assert": bool(request.assertions),
        "--junit": request.junit is not None,
        "--github-summary": request.github_summary,
    }
    for option, given in needing.items():
        if given and request.detach:
            raise InvalidInput(
                f"{option} needs results, and --detach does not wait for them", remedy="Remove one of the two."
            )


def _make_alerts(request: RunRequest) -> RunAlerts | None:
    if not request.notify:
        return None
    options = {NOTIFY_COMMAND: request.notify_command, NOTIFY_WEBHOOK: request.webhook}
    return RunAlerts(resolve_settings({name: value for name, value in options.items() if value is not None}))


def _report(outcome: RunOutcome, reports: RunReports, alerts: RunAlerts | None) -> None:
    """Write the reports and send the notification.

    Raises:
        typer.Exit: a report could not be written, and the run itself has no error.
    """
    problem = reports.write(outcome)
    if alerts is not None and outcome.reused < len(outcome.stages):
        alerts.end(outcome.message())
    if problem is not None:
        emit_error(problem, as_json=False)  # the envelope of the run may be printed already
        if outcome.ok:
            raise typer.Exit(ExitCode.MISSING)


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
    from jobs.planning.memory import memory_notes
    from jobs.submit.actions import actions_of
    from jobs.submit.preflight import preflight, problem_line, slurm_notes

    actions = actions_of(plan, stages, workspace, retry=request.retry, force=force)
    starting = [stage for stage in stages if actions[stage.key].starts]
    commands = _previewed([stage for stage in starting if stage.resources.nodes == 1], "local", workspace)
    scripts = _previewed(starting, "slurm", workspace) if request.cluster == "slurm" else {}
    problems = preflight(starting, request.cluster, workspace)
    warnings = [found.warning() for found in find_left_behind(plan, workspace)]
    notes = [
        *(slurm_notes(starting) if request.cluster == "slurm" else []),
        *memory_notes(plan, starting, workspace),
    ]
    if request.as_json:
        missing = [{"stages": list(one.stages), "summary": one.summary, "remedy": one.remedy} for one in problems]
        data = plan_data(plan, stages, actions, commands, scripts) | {"missing": missing, "notes": notes}
        emit_json(data, warnings)
        return
    for line in plan_lines(plan, stages, actions, commands, scripts):
        emit(line)
    for warning in warnings:
        narrate(f"warning: {warning}")
    for problem in problems:
        narrate(f"missing: {problem_line(problem)}")
        narrate(f"  {problem.remedy}")
    for note in notes:
        narrate(f"note: {note}")


def _previewed(stages: Sequence[StageInstance], cluster: str, workspace: Workspace) -> dict[str, str]:
    from jobs.submit.launch import preview

    return dict(zip([stage.key for stage in stages], preview(stages, cluster, workspace), strict=True))


def _submit(
    request: RunRequest, plan: RecipePlan, stages: Sequence[StageInstance], workspace: Workspace, force: Collection[str]
) -> list[Submission]:
    from jobs.submit.start import start_stages

    for found in find_left_behind(plan, workspace):
        narrate(f"warning: {found.warning()}")
    submissions = start_stages(workspace, stages, cluster=request.cluster, retry=request.retry, force=force, plan=plan)
    titles = {stage.key: stage.title for stage in stages}
    for submission in submissions:
        if submission.action == "left":
            reason = f": {one_line(submission.reason, 160)}" if submission.reason else ""
            narrate(f"{titles[submission.key]} is {submission.state}{reason}; start it again with --retry")
    return submissions


def _follow(request: RunRequest, outcome: RunOutcome, alerts: RunAlerts | None, began: float) -> None:
    """Show the progress until no stage is active; the outcome then has states and results, also after Ctrl-C."""
    from cogtui.cli.run.follow import follow

    workspace, stages = outcome.workspace, outcome.stages
    name: DisplayName | None = "none" if request.as_json and request.display is None else request.display
    display = make_display(name, lambda key: workspace.folder(key).path)
    if alerts is not None:
        display = AlertingDisplay(display, alerts, outcome.warning, lambda key: _warnings_of(workspace, key))
    try:
        outcome.states = follow(workspace, stages, display, cluster=request.cluster)
    except KeyboardInterrupt:
        outcome.states = stage_states(workspace, [stage.key for stage in stages])
        raise
    finally:
        outcome.finished = finished_stages(stages, workspace)
        outcome.elapsed_s = time.monotonic() - began


def _warnings_of(workspace: Workspace, key: str) -> list[str]:
    """Return the warnings in the result of a stage; none where it cannot be read."""
    try:
        found = (workspace.folder(key).result() or {}).get("warnings") or []
    except (CogtuiError, OSError):
        return []
    return [str(warning) for warning in found] if isinstance(found, list) else []


def _detached(request: RunRequest, outcome: RunOutcome) -> None:
    if request.as_json:
        emit_json(run_data(request, outcome, [], detached=True))
        return
    counts: dict[str, int] = {}
    for submission in outcome.submissions:
        counts[submission.action] = counts.get(submission.action, 0) + 1
    emit(f"{outcome.plan.name}: {', '.join(f'{count} {action}' for action, count in counts.items())}")
    emit(f"Watch it with: {opening_command(outcome.workspace)}")
