"""Whether a queued job's inputs are there, still on their way, or never coming."""

from collections.abc import Collection
from dataclasses import dataclass

from jobs.attempts.tickets import Ticket
from jobs.state.types import blocking_reason
from jobs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class InputsState:
    """What a job's inputs are like now."""

    text: str = ""
    """What it waits for or why it is blocked; empty when all inputs are done."""
    blocked: bool = False
    outside: bool = False
    """It waits for something that this queue does not run."""


def inputs_of(workspace: Workspace, ticket: Ticket, live: Collection[str]) -> InputsState:
    """Looks at the inputs of a ticket.

    Args:
        workspace: where they are.
        ticket: the job.
        live: keys that this queue runs or holds.
    """
    missing = [key for key in ticket.inputs if not (workspace.stages / key / "result.json").exists()]
    coming = [key for key in missing if key in live]
    outside = False
    for key in missing:
        if key in live:
            continue
        from jobs.state.reader import stage_states

        state = stage_states(workspace, [key])[key]
        if state.state == "done":
            continue
        if cause := blocking_reason(state):
            return InputsState(cause, blocked=True)
        outside = True
        coming.append(key)
    return InputsState(f"waits for {', '.join(coming)}" if coming else "", outside=outside)
