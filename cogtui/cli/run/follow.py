"""Watches a run until none of its stages is active."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cogtui.cli.run.display.base import RunDisplay, clock
from jobs.planning.types import StageInstance
from jobs.state.types import StageState
from jobs.workspace import Workspace

POLL_S: Final = 0.4
_SETTLE_S: Final = 20.0
"""Seconds a preempted or unknown state may last before it counts as the end: a requeue takes some."""
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
    """Show the states until no stage is active; return the last ones by key.

    Stages in state `unknown` or `preempted` are watched while others are active and for 20 s more, because the
    scheduler may start them again.

    Args:
        workspace: of the stages.
        stages: to watch.
        display: receives every reading; started and stopped here.
        cluster: `local` or `slurm`; if the agent of a local queue died, a new one is started.
        now: seconds on a monotonic clock.
        sleep: waits for a number of seconds.
    """
    from jobs.attempts.agent_link import ensure_agent
    from jobs.state.reader import StateReader

    reader = StateReader(workspace, watching=True)
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
