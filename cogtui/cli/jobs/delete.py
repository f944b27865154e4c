"""`cogtui delete [EXPERIMENT...]`: moves experiments to the trash, restores them, empties the trash."""

import sys
from collections.abc import Sequence
from datetime import datetime

import typer

from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.submit.deletion import (
    Deletion,
    delete_experiment,
    describe_deletion,
    empty_trash,
    plan_deletion,
    restore_deleted,
    trashed_experiments,
)
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.wording import count_of


def delete_experiments(
    workspace: Workspace, names: Sequence[str], *, undo: bool, empty: bool, yes: bool, as_json: bool
) -> None:
    """Delete experiments, restore them, empty the trash, or list what is in it.

    Raises:
        NotFound: no such workspace or experiment. InvalidInput: a stage is active, or there is no terminal to ask on.
        MissingRequirement: the workspace cannot be written.
    """
    workspace.require()
    if undo and empty:
        raise InvalidInput("--undo and --empty-trash exclude each other", remedy="Give one of them.")
    if undo:
        restored = [restore_deleted(workspace, name) for name in names] or [restore_deleted(workspace)]
        _show("restored", [(one.name, list(one.keys)) for one in restored], as_json)
    elif empty:
        entries = [
            one.experiment for one in trashed_experiments(workspace) if not names or one.experiment.name in names
        ]
        if entries and not yes:
            _ask([f"{one.name}: {count_of(len(one.keys), 'stage')}, for good" for one in entries])
        gone = empty_trash(workspace, names)
        _show("gone", [(one.name, list(one.keys)) for one in gone], as_json)
    elif names:
        _delete([plan_deletion(workspace, name) for name in dict.fromkeys(names)], workspace, yes=yes, as_json=as_json)
    else:
        _list(workspace, as_json)


def _delete(plans: Sequence[Deletion], workspace: Workspace, *, yes: bool, as_json: bool) -> None:
    for plan in plans:
        if plan.active:
            raise InvalidInput(
                f"{plan.name} is not deleted: {count_of(len(plan.active), 'stage')} of it run or wait to run",
                detail=", ".join(plan.active[:8]),
                remedy=f"Cancel them first: cogtui cancel {' '.join(plan.active[:3])}",
            )
    if not yes:
        _ask([line for plan in plans for line in (plan.name, *(f"  {text}" for text in describe_deletion(plan)))])
    done = []
    for plan in plans:
        folder = delete_experiment(workspace, plan)
        done.append((plan, folder))
    if as_json:
        emit_json(
            [
                {"experiment": plan.name, "stages": list(plan.keys), "kept": dict(plan.kept), "trash": str(folder)}
                for plan, folder in done
            ]
        )
        return
    for plan, _ in done:
        emit(f"{plan.name}  {count_of(len(plan.keys), 'stage')} moved to the trash, {len(plan.kept):,} kept")
        narrate(f"cogtui delete --undo {plan.name} brings it back; cogtui delete --empty-trash frees the space")


def _list(workspace: Workspace, as_json: bool) -> None:
    entries = trashed_experiments(workspace)
    if as_json:
        emit_json([{**one.experiment.model_dump(), "trash": str(one.folder)} for one in entries])
        return
    for one in entries:
        when = datetime.fromtimestamp(one.experiment.time).astimezone()
        emit(f"{one.experiment.name}  {count_of(len(one.experiment.keys), 'stage')}, deleted {when:%Y-%m-%d %H:%M}")
    if not entries:
        narrate("the trash is empty; cogtui delete EXPERIMENT moves one there")


def _show(what: str, found: Sequence[tuple[str, list[str]]], as_json: bool) -> None:
    if as_json:
        emit_json([{"experiment": name, "stages": keys, "state": what} for name, keys in found])
        return
    for name, keys in found:
        emit(f"{name}  {count_of(len(keys), 'stage')}, {what}")
    if not found:
        narrate("nothing of that name is in the trash")


def _ask(lines: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "this would delete, and there is no terminal to confirm on", detail="\n".join(lines), remedy="Give --yes."
        )
    for line in lines:
        narrate(line)
    typer.confirm("Go on?", abort=True, err=True)
