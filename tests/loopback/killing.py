"""A stage that asks the server, run by processes of its own that are killed at will."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from pipelines.folder import StageFolder
from tests.loopback.state import State

_PATIENCE_S: Final = 600.0


class KilledStage:
    """A prepared stage whose provider's key is the server's."""

    def __init__(self, folder: StageFolder, state: State, provider: str) -> None:
        self.folder = folder
        self._environment = {**os.environ, f"{provider.upper()}_API_KEY": state.key, "OMP_NUM_THREADS": "1"}

    def start(self) -> "subprocess.Popen[str]":
        """A process that works on it."""
        command = [sys.executable, "-m", "pipelines", "--folder", str(self.folder.path)]
        with (self.folder.path / "stderr.log").open("a") as log:
            return subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True)

    def kill_when(self, ripe: Callable[[], bool]) -> None:
        """Starts it, and kills it with -9 as soon as the server has seen enough."""
        process = self.start()
        limit = time.monotonic() + _PATIENCE_S
        try:
            while not ripe():
                assert process.poll() is None, f"it ended before it was to be killed: {self._said()}"
                assert time.monotonic() < limit
                time.sleep(0.002)  # the server has no other way to tell; not a wait for time to pass
        finally:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert process.stdout is not None
            process.stdout.close()

    def finish(self) -> dict[str, Any]:
        """Lets it come to its end; its result."""
        process = self.start()
        out, _ = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == 0, self._said()
        result: dict[str, Any] = json.loads(out)
        return result

    def _said(self) -> str:
        return (self.folder.path / "stderr.log").read_text()
