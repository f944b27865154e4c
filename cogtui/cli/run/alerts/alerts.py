"""Sends the notifications of a run: collects warnings while it runs, and says how it ended."""

import atexit
import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from cogtui.cli.console.output import narrate
from cogtui.cli.run.alerts.channels import notify_terminal, post_webhook, run_command
from cogtui.cli.run.alerts.message import AlertMessage
from cogtui.cli.run.display.base import RunDisplay
from cogtui.settings import (
    NOTIFY_COMMAND,
    NOTIFY_EVENTS,
    NOTIFY_TERMINAL,
    NOTIFY_WEBHOOK,
    SettingValue,
)
from jobs.planning.types import StageInstance
from jobs.state.types import StageState, StateName
from pipelines.errors import InvalidInput
from pipelines.text_safety import one_line
from pipelines.wording import count_of

LONGEST_WAIT_S: Final = 10.0
"""Seconds that the program waits for deliveries after everything else is done."""
_WARNING_EVERY_S: Final = 60.0
_MOST_LINES: Final = 20
_BROKEN: Final[frozenset[StateName]] = frozenset({"failed", "timeout", "lost"})


class RunAlerts:
    """Delivers the notifications of one run in threads of their own.

    Args:
        settings: see `resolve_settings`.
        now: seconds on a monotonic clock.

    Raises:
        InvalidInput: the command of `--notify-command` does not exist.
    """

    def __init__(self, settings: Mapping[str, SettingValue], now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        command = settings[NOTIFY_COMMAND]
        self._command = cast("tuple[str, ...]", command.value or ())
        self._webhook = cast("str", settings[NOTIFY_WEBHOOK].value or "")
        self._terminal = settings[NOTIFY_TERMINAL].value is True
        self._events = cast("tuple[str, ...]", settings[NOTIFY_EVENTS].value)
        self._threads: list[threading.Thread] = []
        self._problems: list[str] = []
        self._lock = threading.Lock()
        self._warned = float("-inf")
        if self._command and shutil.which(self._command[0]) is None:
            problem = f"there is no command {self._command[0]!r} to notify with"
            if command.origin == "option":
                raise InvalidInput(f"{command.place}: {problem}", remedy="Check its name and PATH.")
            narrate(f"warning: {command.place}: {problem}")
            self._command = ()

    def warn(self, message: AlertMessage) -> bool:
        """Send a warning; return whether it was sent, which happens at most once a minute."""
        if "warning" not in self._events or self._now() - self._warned < _WARNING_EVERY_S:
            return False
        self._warned = self._now()
        self._send(message)
        return True

    def end(self, message: AlertMessage) -> None:
        """Say how the run ended; deliveries end by themselves, or when the program does."""
        if "end" not in self._events:
            return
        self._send(message)
        if self._threads:
            atexit.register(self.wait)

    def wait(self, longest_s: float = LONGEST_WAIT_S) -> None:
        """Wait for deliveries for a limited time, and print on stderr which did not arrive. Never raises."""
        atexit.unregister(self.wait)
        deadline = time.monotonic() + longest_s
        with contextlib.suppress(KeyboardInterrupt, OSError, ValueError):
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            with self._lock:
                problems, self._problems = self._problems, []
            late = sum(thread.is_alive() for thread in self._threads)
            if late:
                problems.append(f"{count_of(late, 'message')} not delivered after {longest_s:.0f} s")
            for problem in dict.fromkeys(problems):
                narrate(f"warning: notification: {problem}")
        self._threads.clear()

    def _send(self, message: AlertMessage) -> None:
        if self._terminal:
            notify_terminal(message)
        if self._command:
            self._deliver(lambda: run_command(self._command, message))
        if self._webhook:
            deadline = time.monotonic() + LONGEST_WAIT_S
            self._deliver(lambda: post_webhook(self._webhook, message, deadline))

    def _deliver(self, deliver: Callable[[], str | None]) -> None:
        def work() -> None:
            try:
                problem = deliver()
            except Exception as error:  # an alert must never end a run
                problem = f"not delivered ({type(error).__name__})"
            if problem:
                with self._lock:
                    self._problems.append(problem)

        thread = threading.Thread(target=work, daemon=True)  # a daemon, or a server that drips bytes holds up the exit
        with contextlib.suppress(RuntimeError):  # no more threads are allowed
            thread.start()
            self._threads.append(thread)


class AlertingDisplay:
    """A display that also warns of stages that failed, or finished with warnings, while others go on.

    Args:
        display: what shows the progress.
        alerts: receives the warnings.
        describe: makes a message of lines.
        warnings_of: returns the warnings in the result of a finished stage, by its key.
    """

    def __init__(
        self,
        display: RunDisplay,
        alerts: RunAlerts,
        describe: Callable[[Sequence[str]], AlertMessage],
        warnings_of: Callable[[str], Sequence[str]],
    ) -> None:
        self._display = display
        self._alerts = alerts
        self._describe = describe
        self._warnings_of = warnings_of
        self._titles: dict[str, str] = {}
        self._settled: set[str] = set()
        self._pending: list[str] = []

    def start(self, stages: Sequence[StageInstance], states: Mapping[str, StageState]) -> None:
        """Start the display; what ended before this run is not warned of."""
        self._titles = {stage.key: stage.title for stage in stages}
        self._settled = {key for key, state in states.items() if state.state == "done" or state.state in _BROKEN}
        self._display.start(stages, states)

    def update(self, states: Mapping[str, StageState]) -> None:
        """Update the display, and warn of what is new."""
        self._display.update(states)
        for key, title in self._titles.items():
            state = states.get(key)
            if state is None or key in self._settled:
                continue
            if state.state in _BROKEN:
                reason = f": {one_line(state.reason, 160)}" if state.reason else ""
                self._pending.append(f"{title} {state.state}{reason}")
                self._settled.add(key)
            elif state.state == "done":
                self._pending += [f"{title}: {one_line(text, 160)}" for text in self._warnings_of(key)]
                self._settled.add(key)
        going_on = any(state.active for state in states.values())  # or the message about the end follows at once
        if self._pending and going_on and self._alerts.warn(self._describe(self._pending[:_MOST_LINES])):
            self._pending.clear()

    def stop(self) -> None:
        """Stop the display."""
        self._display.stop()
