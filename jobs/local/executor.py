"""submitit's local executor without its controller: the agent is the parent, the worker its own session.

The controller of submitit polls 24 times a second, drops exit codes, and dies with the terminal that
started it. What is kept is what local and Slurm share: the pickle, and the entry point that runs it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.attempts import records as attempts
from jobs.worker.entry import StageRun
from pipelines.__main__ import ATTEMPT_VARIABLE

_JOB_ID = "local"  # names submitit's files; each attempt has its own folder


def start_worker(attempt: Path, *, gpus: str | None, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Starts the worker of an attempt in its own session, without a terminal; returns its process.

    Args:
        attempt: the attempt folder; submitit's files and `worker.log` go there.
        gpus: what CUDA_VISIBLE_DEVICES is to be; empty hides them all, None leaves it alone.
        environment: the rest of its environment.

    Raises:
        OSError: the process could not be started, or the disk is full.
    """
    from submitit.local.local import LocalExecutor, LocalJob

    started: list[subprocess.Popen[bytes]] = []

    class Executor(LocalExecutor):  # type: ignore[misc]  # submitit's types are not followed
        def _submit_command(self, command: str) -> Any:
            with (attempt / attempts.WORKER_LOG).open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-u", "-m", "submitit.core._submit", str(attempt)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=attempt,
                    env=_worker_environment(attempt, gpus, environment),
                    start_new_session=True,
                )
            started.append(process)
            return LocalJob(folder=attempt, job_id=_JOB_ID, process=process, tasks=[0])

    executor = Executor(attempt)
    executor._throttling = 0.0
    executor.submit(StageRun(os.path.realpath(attempt)))
    return started[0]


def _worker_environment(attempt: Path, gpus: str | None, base: Mapping[str, str]) -> dict[str, str]:
    visible = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}
    return {
        **base,
        **visible,
        "PYTHONSAFEPATH": "1",
        "SUBMITIT_EXECUTOR": "local",
        "SUBMITIT_LOCAL_JOB_ID": _JOB_ID,
        "SUBMITIT_LOCAL_NTASKS": "1",
        "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
        "SUBMITIT_LOCAL_NODEID": "0",
        "SUBMITIT_LOCAL_GLOBALID": "0",
        "SUBMITIT_LOCAL_LOCALID": "0",
        ATTEMPT_VARIABLE: os.path.realpath(attempt),
    }
