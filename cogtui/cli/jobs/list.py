"""`cogtui ls`: one row for each stage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cogtui.cli.console.layout import columns_that_fit, output_width
from cogtui.cli.console.output import emit_json, emit_table, narrate
from jobs.formatting import format_progress
from jobs.recipe.labels import label_text
from jobs.state.reader import STATES, StageState, stage_states
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, InvalidInput, NotFound
from pipelines.files import read_json
from pipelines.text_safety import one_line

if TYPE_CHECKING:  # imported where there are notes only
    from jobs.planning.experiment_notes import NotesOnExperiment


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
    notes = _notes(workspace)
    if as_json:
        emit_json([_record(state, owners) for state in rows], warnings)
        return
    for warning in warnings:
        narrate(f"warning: {warning}")
    if not rows:
        narrate(f"no stages in {workspace.path}" if not found else "no stage is in that state")
        return
    _print_table(rows, owners)
    for name in dict.fromkeys(owners[state.key] for state in rows if state.key in owners):
        if name in notes:
            tags = "".join(f" #{tag}" for tag in notes[name].tags)
            narrate(f"{name}:{tags} {one_line(notes[name].note)}".rstrip())


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


def members_of(workspace: Workspace, experiment: str) -> list[str]:
    """Return the stages of the newest start of an experiment.

    Raises:
        NotFound: there is none of that name.
    """
    _, members = _experiments(workspace, [])
    if experiment not in members:
        raise NotFound(f"no experiment {experiment!r} in {workspace.path}", remedy=f"There are: {', '.join(members)}.")
    return members[experiment]


def _notes(workspace: Workspace) -> "Mapping[str, NotesOnExperiment]":
    """Return what people wrote on experiments; imports nothing where nobody did."""
    if not (workspace.path / "experiment-notes").is_dir():
        return {}
    from jobs.planning.experiment_notes import read_experiment_notes

    return read_experiment_notes(workspace)


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


_HEAD: Final = ("KEY", "STATE", "EXPERIMENT", "STAGE", "CELL", "PROGRESS", "REASON")
_EXPERIMENT: Final = _HEAD.index("EXPERIMENT")
_STAGE: Final = _HEAD.index("STAGE")
_REASON: Final = _HEAD.index("REASON")


def _print_table(rows: Sequence[StageState], owners: Mapping[str, str]) -> None:
    """Print a row for each stage.

    On a narrow terminal, what is the same everywhere or follows from the key is left out, then the names of labels,
    and reasons stand below their rows.
    """
    width = output_width()
    table = [_HEAD, *(_row(state, owners, label_text(state.labels)) for state in rows)]
    experiments = {row[_EXPERIMENT] for row in table[1:]}
    drop = [_STAGE] if all(state.key.startswith(f"{state.name or state.kind}-") for state in rows) else []
    drop += [_EXPERIMENT] if len(experiments) == 1 else []
    kept = columns_that_fit([row[:_REASON] for row in table], drop, width)
    if width is not None and len(kept) == len(_HEAD) - 1 - len(drop):
        values = [" ".join(map(str, state.labels.values())) for state in rows]
        table = [_HEAD, *(_row(state, owners, short) for state, short in zip(rows, values, strict=True))]
        kept = columns_that_fit([row[:_REASON] for row in table], drop, width)
    emit_table([[row[column] for column in (*kept, _REASON)] for row in table], layout="stack")
    if _EXPERIMENT not in kept:
        narrate(f"experiment: {experiments.pop()}")


def _row(state: StageState, owners: Mapping[str, str], cell: str) -> tuple[str, ...]:
    return (
        state.key,
        state.state + (" (stalled)" if state.stalled else ""),
        owners.get(state.key, "-"),
        state.name or state.kind,
        cell or "-",
        format_progress(state.progress) or "-",
        state.reason,
    )
