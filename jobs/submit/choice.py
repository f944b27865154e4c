"""Decides which stages to start, and why not the others."""

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.planning.types import StageInstance
from jobs.state.types import CONTINUABLE, StageState, blocking_reason
from pipelines.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class StageChoice:
    """The action for one stage."""

    instance: StageInstance
    action: Literal["submitted", "reused", "claimed", "left"]
    state: StageState
    reason: str = ""


def choose(
    instances: Sequence[StageInstance],
    states: Mapping[str, StageState],
    *,
    retry: bool,
    force: Collection[str],
) -> list[StageChoice]:
    """Decide for each stage, in order, because a decision depends on those for its inputs.

    Args:
        instances: the stages, each after its inputs.
        states: their states and those of all their inputs.
        retry: also start failed, cancelled and blocked stages.
        force: keys or recipe names of stages to start although they are done.

    Raises:
        InvalidInput: a forced stage is active, or there is no such stage.
    """
    unknown = set(force) - {name for instance in instances for name in (instance.key, instance.name)}
    if unknown:
        raise InvalidInput(
            f"there is no stage {', '.join(sorted(unknown))} to force",
            remedy=f"Stages: {', '.join(dict.fromkeys(instance.name for instance in instances))}.",
        )
    coming: set[str] = set()
    choices = []
    for instance in instances:
        forced = instance.key in force or instance.name in force
        choice = _choose(instance, states, coming, retry=retry, forced=forced)
        if choice.action != "left":
            coming.add(instance.key)
        choices.append(choice)
    return choices


def _choose(
    instance: StageInstance, states: Mapping[str, StageState], coming: set[str], *, retry: bool, forced: bool
) -> StageChoice:
    state = states[instance.key]
    if state.active:
        if forced:
            raise InvalidInput(
                f"{instance.key} is {state.state}, so it cannot be forced",
                remedy=f"First: cogtui cancel {instance.key}",
            )
        return StageChoice(instance, "claimed", state, state.reason)
    if state.state == "done" and not forced:
        return StageChoice(instance, "reused", state)
    if state.state == "unknown":
        return StageChoice(instance, "left", state, f"its state is unknown: {state.reason}")
    for key in instance.inputs:
        upstream = states.get(key)
        if key in coming or (upstream is not None and (upstream.state == "done" or upstream.active)):
            continue
        cause = "" if upstream is None else blocking_reason(upstream) or f"its input {key} is {upstream.state}"
        return StageChoice(instance, "left", state, cause or f"its input {key} was never started")
    # a blocked stage waits only for its inputs, which are now done or active
    if state.state in CONTINUABLE or state.state == "blocked" or forced or retry or _killed(state):
        return StageChoice(instance, "submitted", state, state.reason)
    return StageChoice(instance, "left", state, state.reason or f"it is {state.state}")


def _killed(state: StageState) -> bool:
    """Whether it was killed by SIGKILL from outside: it is continued like a lost stage, without --retry."""
    attempt = state.attempt
    return state.state == "failed" and attempt is not None and attempt.signal == signal.SIGKILL
