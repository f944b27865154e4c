"""`cogtui archive [EXPERIMENT...]`: hides experiments from lists, or lists and restores hidden ones."""

from collections.abc import Sequence

from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.planning.archive import archive_experiment, archived_names, check_experiments, restore_experiment
from jobs.workspace import Workspace


def archive(workspace: Workspace, names: Sequence[str], *, undo: bool, as_json: bool) -> None:
    """Archive experiments, restore them, or list those archived.

    Raises:
        NotFound: no such workspace or experiment. MissingRequirement: the workspace cannot be written.
    """
    workspace.require()
    check_experiments(workspace, names)  # all of them first: an error must not leave half of it done
    for name in names:
        if undo:
            restore_experiment(workspace, name)
        else:
            archive_experiment(workspace, name)
    archived = archived_names(workspace)
    if as_json:
        emit_json({"archived": archived})
        return
    for name in names:
        emit(f"{name}  {'restored' if undo else 'archived; its stages and rollouts stay where they are'}")
    if not names:
        for name in archived:
            emit(name)
        if not archived:
            narrate("no experiment is archived")
