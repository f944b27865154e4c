"""Compares mathematical answers in a process of its own (`latex_worker`), with limits on length, time and memory."""

import atexit
import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from functools import lru_cache
from typing import Final

from pipelines.errors import MissingRequirement, StageFailed

LONGEST_ANSWER: Final = 300
"""Characters. Parsing takes time that grows faster than the text."""
_TIMEOUT_S: Final = 60.0
"""A comparison ends after seconds of CPU (`latex_worker`); this limit is for a machine that stalls."""
_START_S: Final = 120.0


def require_math_verify() -> None:
    """Raise `MissingRequirement` where math-verify is not installed for this Python."""
    if importlib.util.find_spec("math_verify") is None:
        raise MissingRequirement(
            "comparing mathematical answers needs math-verify, not installed for this Python",
            remedy="Install the extra: pip install 'cogtui[tasks]'",
        )


class LatexComparer:
    """A process that compares answers. It starts with the first comparison and is killed when one takes too long."""

    def __init__(self, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def equal(self, gold: str, answer: str) -> bool | None:
        """Return whether an answer equals the gold answer; None where it is too long or cannot be read in time.

        Raises:
            MissingRequirement: math-verify is not installed.
            StageFailed: the process cannot be started.
        """
        if len(answer) > LONGEST_ANSWER or "$" in answer:
            return None
        with self._lock:
            if self._process is None or self._owner != os.getpid():
                self._start()
            request = json.dumps({"gold": gold, "answer": answer}).encode() + b"\n"
            reply = self._exchange(request, self._timeout_s)
            return None if reply is None else reply.get("equal")

    def close(self) -> None:
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _start(self) -> None:
        require_math_verify()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipelines.tasks.latex_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # signals of a terminal or scheduler are for the stage, which then closes our pipe
            start_new_session=True,
        )
        self._owner = os.getpid()
        if self._exchange(b"", _START_S) is None:
            raise StageFailed("the process that compares answers with math-verify does not start")

    def _exchange(self, request: bytes, timeout_s: float) -> dict[str, bool | None] | None:
        """Send a request and return the reply; without one, end the process and return None."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        line = b""
        try:
            if request:
                process.stdin.write(request)
                process.stdin.flush()
            end = time.monotonic() + timeout_s
            while not line.endswith(b"\n"):
                ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
                piece = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
                if not piece:
                    self.close()
                    return None
                line += piece
            reply = json.loads(line)
        except (OSError, ValueError):
            self.close()
            return None
        return reply if isinstance(reply, dict) else None


_COMPARER: Final = LatexComparer()
atexit.register(_COMPARER.close)


@lru_cache(maxsize=4096)
def is_equal(gold: str, answer: str) -> bool | None:
    """Return what `LatexComparer.equal` returns; equal questions are asked once."""
    return _COMPARER.equal(gold, answer)
