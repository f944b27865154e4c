"""Starts the worker of a local attempt in its own session, as a child of the agent."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jobs import submitit_adapter
from jobs.attempts import records as attempts
from jobs.attempts.agent_link import AGENT_GPUS, VISIBLE_GPUS
from jobs.worker.entry import StageRun
from pipelines.folder import ATTEMPT_VARIABLE


def start_worker(attempt: Path, *, gpus: str | None, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start the worker of an attempt in its own session, without a terminal; return its process.

    Args:
        attempt: the attempt folder, for submitit's files and `worker.log`.
        gpus: value of CUDA_VISIBLE_DEVICES; empty hides all GPUs, None leaves the variable as it is.
        environment: the rest of its environment.

    Raises:
        OSError: the process cannot be started, or the disk is full.
    """

    def start() -> "subprocess.Popen[bytes]":
        with (attempt / attempts.WORKER_LOG).open("ab") as log:
            return subprocess.Popen(
                submitit_adapter.local_command(attempt),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=attempt,
                env=_worker_environment(attempt, gpus, environment),
                start_new_session=True,
            )

    return submitit_adapter.submit_local(attempt, StageRun(os.path.realpath(attempt)), start)


def _worker_environment(attempt: Path, gpus: str | None, base: Mapping[str, str]) -> dict[str, str]:
    visible = {} if gpus is None else {VISIBLE_GPUS: gpus}
    if VISIBLE_GPUS in os.environ:
        visible[AGENT_GPUS] = os.environ[VISIBLE_GPUS]
    return {
        **base,
        **visible,
        "PYTHONSAFEPATH": "1",
        **submitit_adapter.local_environment(),
        ATTEMPT_VARIABLE: os.path.realpath(attempt),
    }
