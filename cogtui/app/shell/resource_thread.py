"""A thread that owns a slow resource (the store, a log file) and runs functions on it one at a time.

The event loop never waits for a disk: it awaits a future while keys and repaints continue. The thread is a daemon, so a
file system that hangs cannot keep the app from quitting.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[Any], Any]]


class ResourceThread(Generic[T]):
    """Runs functions on one resource in one thread, in the order of the calls.

    Args:
        name: of the thread.
        make: makes the resource, in the thread, when it is first needed; made again after it raised.
        close: takes the resource down, in the thread.
    """

    def __init__(self, name: str, make: Callable[[], T], close: Callable[[T], object] | None = None) -> None:
        self._name = name
        self._make = make
        self._close = close
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[T], R]) -> R:
        """Run a function and return its result. A call that is cancelled before its turn is not run.

        Raises:
            Exception: whatever the function, or the making of the resource, raised.
        """
        return await self.submit(function)

    def submit(self, function: Callable[[T], R]) -> "asyncio.Future[R]":
        """Run a function even if nobody awaits the returned future."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._jobs.put((loop, future, function))
        return future

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread after the current function; wait for at most `timeout_s`."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        resource: list[T] = []
        while (job := self._jobs.get()) is not None:
            loop, future, function = job
            if future.cancelled():
                continue
            try:
                if not resource:
                    resource.append(self._make())
                answer = function(resource[0])
            except Exception as error:
                self._deliver(loop, future, None, error)
            else:
                self._deliver(loop, future, answer, None)
        if resource and self._close is not None:
            with contextlib.suppress(Exception):
                self._close(resource[0])

    @staticmethod
    def _deliver(
        loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", answer: Any, error: Exception | None
    ) -> None:
        def settle() -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle)
