"""`cogtui ls`: one row for each stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from cogtui.cli.console.alignment import align_columns
from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.formatting import format_progress
from jobs.recipe.labels import label_text
from jobs.state.reader import STATES, StageState, stage_states
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, InvalidInput, NotFound
from pipelines.files import read_json


def list_stages(workspace: Workspace, *, experiment: str | None, states: Sequence[str], as_json: bool) -> None:
    """Print the stages of a workspace.

    Raises:
        InvalidInput: no such state. NotFound: no such workspace or experiment.
    """
    workspace.require()
    wrong = [state for state in states if state not in STATES]
    if wrong:
        raise InvalidInput(f"there is no state {wrong[0]!r}", remedy=f"States: {', '.join(STATES)}.")
    warnings: list[str] = []
    owners, members = _experiments(workspace, warnings)
    if experiment is not None and experiment not in members:
        raise NotFound(f"no experiment {experiment!r} in {workspace.path}", remedy=f"There are: {', '.join(members)}.")
    found = stage_states(workspace, members[experiment] if experiment is not None else None)
    rows = [state for state in found.values() if not states or state.state in states]
    if as_json:
        emit_json([_record(state, owners) for state in rows], warnings)
        return
    for warning in warnings:
        narrate(f"warning: {warning}")
    if not rows:
        narrate(f"no stages in {workspace.path}" if not found else "no stage is in that state")
        return
    for line in _table(rows, owners):
        emit(line)


def _experiments(workspace: Workspace, warnings: list[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the newest experiment of each stage, and the stages of each experiment's newest start.

    It reads only the cells of each snapshot, because parsing all of it is slow.
    """
    owners: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    # file names sort by time
    for path in sorted(workspace.experiments.glob("*/[!.]*.json"), key=lambda path: path.name):
        try:
            snapshot = read_json(path)
            keys = dict.fromkeys(str(key) for cell in snapshot["cells"] for key in cell["stages"].values())
        except (CogtuiError, OSError, AttributeError, KeyError, TypeError) as error:
            warnings.append(f"{path} is not an experiment snapshot: {error}")
            continue
        members[path.parent.name] = list(keys)
        owners.update(dict.fromkeys(keys, path.parent.name))
    return owners, members


def _record(state: StageState, owners: Mapping[str, str]) -> dict[str, Any]:
    return {
        "key": state.key,
        "kind": state.kind,
        "name": state.name,
        "experiment": owners.get(state.key),
        "cell": dict(state.labels),
        "state": state.state,
        "reason": state.reason,
        "progress": None if state.progress is None else state.progress.model_dump(),
    }


def _table(rows: Sequence[StageState], owners: Mapping[str, str]) -> list[str]:
    header = ("KEY", "STATE", "EXPERIMENT", "STAGE", "CELL", "PROGRESS", "REASON")
    table = [header]
    for state in rows:
        table.append(
            (
                state.key,
                state.state + (" (stalled)" if state.stalled else ""),
                owners.get(state.key, "-"),
                state.name or state.kind,
                label_text(state.labels) or "-",
                format_progress(state.progress) or "-",
                state.reason,
            )
        )
    return align_columns(table)
