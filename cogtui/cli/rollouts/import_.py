"""Imports rollout files of other programs."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cogtui.cli.console.output import emit, emit_json, narrate
from cogtui.cli.rollouts.import_preview import print_previews
from cogtui.store import open_store
from cogtui.store.importing.hub import fetch_hub_paths
from cogtui.store.importing.judging import JudgeChoice
from cogtui.store.importing.plan import ImportPlan, plan_import
from cogtui.store.importing.preview import previews
from cogtui.store.importing.run import ImportState, refuse_if_nothing_was_read, run_import
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.wording import count_of


def import_files(
    workspace: Workspace,
    paths: Sequence[Path],
    *,
    chosen: str,
    mapping: Sequence[str],
    labels: Sequence[str],
    judge: JudgeChoice,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import files and print the result; with `dry_run`, print how they would be read."""
    paths = fetch_hub_paths(paths, narrate)
    plan = plan_import(paths, chosen=chosen, mapping=pairs(mapping, "--map"), labels=read_labels(labels))
    if not as_json:
        for line in plan.lines():
            narrate(line)
    if dry_run:
        if as_json:
            shown = [{"path": str(file.place), **preview.as_json()} for file, preview in previews(plan)]
            emit_json({**_plan_dict(plan), "first_rows": shown})
        else:
            print_previews(plan)
        return
    state = finish(run_import(plan, workspace, judge=judge))
    refuse_if_nothing_was_read(state, workspace)
    with open_store(workspace) as store:
        coverage = store.ingest()
    warnings = [f"{file.path}: {count_of(file.bad, 'row')} could not be read" for file in state.files if file.bad]
    if as_json:
        files = [one.as_json() for one in state.files]
        judging = state.judging.as_json()
        emit_json(
            {**_plan_dict(plan), "rows": state.rows, "bad": state.bad, "files": files, "judging": judging}, warnings
        )
        return
    for file in state.files:
        for named in file.named[:10]:
            narrate(f"{file.path}: {named}")
        for remark in file.remarks():
            narrate(f"{file.path}: {remark}")
    for warning in warnings:
        narrate(f"warning: {warning}")
    if state.judging.skipped:
        narrate(f"not judged: {state.judging.skipped}")
    elif state.judging.judge:
        narrate(f"{count_of(state.judging.rollouts, 'rollout')} judged by {state.judging.judge}")
    emit(plan.key)
    indexed = f"the index has {count_of(coverage.rollouts, 'rollout')}"
    narrate(f"{count_of(state.rows, 'row')} from {count_of(len(state.files), 'file')}; {indexed}")


def finish(steps: Iterator[ImportState]) -> ImportState:
    """Run an import to its end."""
    (last,) = deque(steps, maxlen=1)
    return last


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """Parse `["a=b"]` into `{"a": "b"}`.

    Raises:
        InvalidInput: an item has no `=`.
    """
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidInput(f"{option} takes NAME=VALUE, not {pair!r}")
        found[name] = value
    return found


def read_labels(given: Iterable[str]) -> dict[str, str | int]:
    """Return labels from the command line; whole numbers become integers."""
    return {
        name: int(value) if value.isascii() and value.isdecimal() else value
        for name, value in pairs(given, "--label").items()
    }


def _plan_dict(plan: ImportPlan) -> dict[str, object]:
    return {
        "key": plan.key,
        "labels": dict(plan.labels),
        "read_as": [
            {
                "path": str(file.place),
                "format": file.format,
                **({"rows": file.rows_key} if file.rows_key else {}),
                "columns": {name: list(columns) for name, columns in file.columns.fields.items()},
            }
            for file in plan.files
        ],
        "left_out": [{"path": str(file.path), "reason": file.reason} for file in plan.left_out],
    }
