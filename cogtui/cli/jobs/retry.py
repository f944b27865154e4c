"""`cogtui retry [KEY...]`: starts stages again that failed, were cancelled or stopped."""

from collections.abc import Sequence

from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.state.reader import stage_states
from jobs.state.types import CONTINUABLE, RETRYABLE
from jobs.submit import retry
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput


def retry_stages(workspace: Workspace, prefixes: Sequence[str], changes: Sequence[str] = (), *, as_json: bool) -> None:
    """Start stages again and print which were started, among them inputs that had to be.

    Raises:
        NotFound: no such workspace or stage. InvalidInput: a prefix is ambiguous, the stage is not one to retry, or a
            change is refused.
        MissingRequirement: the cluster refuses, or the workspace cannot be written.
    """
    workspace.require()
    states = stage_states(workspace)
    if prefixes:
        keys = list(dict.fromkeys(workspace.find(prefix).path.name for prefix in prefixes))
        for key in keys:
            if states[key].state not in RETRYABLE | CONTINUABLE:
                raise InvalidInput(
                    f"{key} is {states[key].state}, so there is nothing to retry",
                    remedy="cogtui run RECIPE --force STAGE runs a finished stage again.",
                )
    else:
        keys = [key for key, state in states.items() if state.state in RETRYABLE | CONTINUABLE and state.attempts]
    started = retry.retry_stages(workspace, keys, changes) if keys else []
    if as_json:
        emit_json([{"key": key, "was": states[key].state} for key in started])
        return
    if not started:
        narrate("no stage is failed, cancelled or stopped: nothing to retry")
    for key in started:
        emit(f"{key}  {states[key].state} -> queued")
