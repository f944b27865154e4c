"""Ends processes by stronger and stronger signals."""

from collections.abc import Callable

from jobs.attempts import processes as process


class SignalEscalation:
    """Sends signals in order, each followed by a wait in seconds; repeats the last. Signal 0 only waits."""

    def __init__(self, *steps: tuple[int, float]) -> None:
        self._steps = list(steps)
        self.next_at = 0.0
        """When the next signal is due, on the monotonic clock."""

    def step(self, members: Callable[[], list[int]], now: float) -> None:
        """Send the signal that is due to the processes that `members` returns."""
        if now < self.next_at:
            return
        number, patience = self._steps[0]
        if len(self._steps) > 1:
            self._steps.pop(0)
        if number:
            process.send_signal(members(), number)
        self.next_at = now + max(0.0, patience)
