"""Ending processes step by step: a polite signal, patience, a firmer one."""

from collections.abc import Callable

from jobs.attempts import processes as process


class SignalEscalation:
    """Signals with the patience after each, in seconds; the last is repeated. Signal 0 only waits."""

    def __init__(self, *steps: tuple[int, float]) -> None:
        self._steps = list(steps)
        self.next_at = 0.0
        """When the next step is due, on the monotonic clock."""

    def step(self, members: Callable[[], list[int]], now: float) -> None:
        """Sends what is due now, to whoever is a member now."""
        if now < self.next_at:
            return
        number, patience = self._steps[0]
        if len(self._steps) > 1:
            self._steps.pop(0)
        if number:
            process.send_signal(members(), number)
        self.next_at = now + max(0.0, patience)
