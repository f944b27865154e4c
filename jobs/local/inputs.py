"""Decides whether the inputs of a queued job are finished, pending or failed."""

from collections.abc import Collection
from dataclasses import dataclass

from jobs.attempts.tickets import Ticket
from jobs.state.types import blocking_reason
from jobs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class InputsState:
    """The state of a job's inputs."""

    text: str = ""
    """The inputs that the job waits for, or why it is blocked; empty if all inputs are done."""
    blocked: bool = False
    outside: bool = False
    """Whether the job waits for an input outside this queue."""


def inputs_of(workspace: Workspace, ticket: Ticket, live: Collection[str]) -> InputsState:
    """Return the state of the inputs of a ticket.

    Args:
        workspace: of the stages.
        ticket: the job.
        live: keys that are running or queued here.
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
