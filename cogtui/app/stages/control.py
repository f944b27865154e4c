"""Functions that act on stages; the command line calls the same ones."""

from collections.abc import Callable, Sequence

from jobs.workspace import Workspace

ActOnStages = Callable[[Workspace, Sequence[str]], list[str]]
"""Acts on stages by key; returns the keys it acted on."""


def cancel_stages(workspace: Workspace, keys: Sequence[str]) -> list[str]:
    """Cancel stages and their dependents; return when they have ended."""
    from jobs.submit.cancel import cancel

    return [done.key for done in cancel(workspace, keys) if done.state.state != done.was.state]


def list_dependents(workspace: Workspace, keys: Sequence[str]) -> list[str]:
    """Return the stages that a cancellation would cancel too."""
    from jobs.submit.cancel import dependents

    return list(dependents(workspace, keys))


def retry_stages(workspace: Workspace, keys: Sequence[str], changes: Sequence[str] = ()) -> list[str]:
    """Start stages again with their unfinished inputs, with what their last attempt had, but for some changes."""
    from jobs.submit import retry

    return retry.retry_stages(workspace, keys, changes)


def list_retried(workspace: Workspace, keys: Sequence[str]) -> list[str]:
    """Return the stages that `retry_stages` would start, inputs first."""
    from jobs.submit import retry

    return retry.stages_to_start(workspace, keys)


def stages_with_rollouts(workspace: Workspace, key: str) -> list[str]:
    """Return the stages with the rollouts of this one: itself, or for a judge the stages it judged."""
    from pipelines.streams import stream_files

    folder = workspace.folder(key)
    if stream_files(folder.path, "rollouts"):
        return [key]
    return [name for name in folder.info().inputs if stream_files(workspace.folder(name).path, "rollouts")]
