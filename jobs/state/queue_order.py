"""The order in which stages will run: those that run, then those that wait, inputs before what needs them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from jobs.state.types import StageState


class QueuePlace(NamedTuple):
    """The place of a stage in the queue."""

    number: int
    """From 1."""
    after: int | None
    """Place of the last of its unfinished inputs that are in the queue; None if it waits for none."""


def queue_order(
    states: Mapping[str, StageState],
    inputs: Mapping[str, Collection[str]],
    local: Sequence[str] = (),
    priorities: Mapping[str, int] | None = None,
) -> dict[str, QueuePlace]:
    """Return the places of running and queued stages, by key, in order.

    Queued stages whose inputs are done come first, in the order of their queue; the others after their inputs. The
    order is a forecast: schedulers start a small job early where it fits.

    Args:
        states: of all stages.
        inputs: keys of the inputs of queued stages, as far as known.
        local: keys of local stages in the order of their tickets.
        priorities: of waiting Slurm jobs, by job id.
    """
    running = [state for state in states.values() if state.state in ("running", "resuming")]
    running.sort(key=lambda state: (_started(state), state.key))
    waiting = [state for state in states.values() if state.state == "queued"]
    tickets = {key: place for place, key in enumerate(local)}
    ranks = priorities or {}

    def rank(state: StageState) -> tuple[int, float, float, str]:
        attempt = state.attempt
        if attempt is None:
            return 1, 0.0, 0.0, state.key
        number = attempt.job_id or ""
        place = tickets.get(state.key, len(tickets)) if attempt.cluster == "local" else -ranks.get(number, 0)
        return 0, place, attempt.submitted, f"{number:0>12}"

    levels = _levels({state.key for state in waiting}, inputs)
    waiting.sort(key=lambda state: (levels[state.key], rank(state)))
    places: dict[str, QueuePlace] = {}
    for state in (*running, *waiting):
        before = [places[name].number for name in inputs.get(state.key, ()) if name in places]
        after = max(before, default=None) if state.state == "queued" else None
        places[state.key] = QueuePlace(len(places) + 1, after)
    return places


def _started(state: StageState) -> float:
    attempt = state.attempt
    if attempt is None:
        return 0.0
    return attempt.runs[-1].started if attempt.runs else attempt.submitted


def _levels(waiting: Collection[str], inputs: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Return for each waiting stage how long its longest chain of waiting inputs is."""
    levels: dict[str, int] = {}
    path: set[str] = set()
    """Stages whose inputs are being visited: meeting one of them again is a cycle, which no plan contains."""
    for first in waiting:
        stack = [first]
        while stack:  # no recursion: a chain may be long
            key = stack[-1]
            needed = [name for name in inputs.get(key, ()) if name in waiting]
            open_inputs = [name for name in needed if name not in levels and name not in path and name != key]
            if key in levels:  # also needed by another stage of the stack, and visited for that one
                stack.pop()
            elif open_inputs:
                path.add(key)
                stack.extend(open_inputs)
            else:
                levels[key] = 1 + max((levels.get(name, -1) for name in needed), default=-1)
                path.discard(key)
                stack.pop()
    return levels
