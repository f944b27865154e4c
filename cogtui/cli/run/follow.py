"""Watches a run until nothing of it is under way any more."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cogtui.cli.run.display.base import RunDisplay, clock
from jobs.planning.types import StageInstance
from jobs.state.types import StageState
from jobs.workspace import Workspace

POLL_S: Final = 0.4
_SETTLE_S: Final = 20.0
"""How long a stopped or unclear state may last before it counts as the end: a requeue takes its time."""
_AGENT_S: Final = 5.0


def follow(
    workspace: Workspace,
    stages: Sequence[StageInstance],
    display: RunDisplay,
    *,
    cluster: str,
    now: Callable[[], float] = clock,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, StageState]:
    """Show the states until every stage has come to rest; return the last ones by key.

    A stage whose state is `unknown` is waited for as long as others are under way, and some seconds more;
    so is a preempted one, which the scheduler may bring back.

    Args:
        workspace: where the stages are.
        stages: what to watch.
        display: takes every reading; started and stopped here.
        cluster: `local` or `slurm`; a local queue without its agent gets a new one.
        now: seconds on a monotonic clock.
        sleep: waits some seconds.
    """
    from jobs.attempts.agent_link import ensure_agent
    from jobs.state.reader import StateReader

    reader = StateReader(workspace)
    keys = [stage.key for stage in stages]
    states = reader.read(keys)
    active_at = agent_at = now()
    display.start(stages, states)
    try:
        while True:
            if any(state.active for state in states.values()):
                active_at = now()
            elif not _may_come_back(states) or now() - active_at > _SETTLE_S:
                return states
            if cluster == "local" and now() - agent_at > _AGENT_S:
                agent_at = now()
                ensure_agent(workspace)
            sleep(POLL_S)
            states = reader.read(keys)
            display.update(states)
    finally:
        display.stop()


def _may_come_back(states: Mapping[str, StageState]) -> bool:
    return any(state.state in ("unknown", "preempted") for state in states.values())
