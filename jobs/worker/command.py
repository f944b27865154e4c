"""Command line and environment of the process that runs a stage."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobs import submitit_adapter
from jobs.attempts.records import JobRecord
from jobs.recipe.resources import Resources
from pipelines.folder import ATTEMPT_VARIABLE
from pipelines.hub_cache import OFFLINE_VARIABLE
from pipelines.shards import SHARD_VARIABLE
from pipelines.stages.builtin import find_kind
from pipelines.stages.settings import SETTINGS_VARIABLE

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_RENDEZVOUS_PORT: Final = 29400
_IGNORING_SIGNALS: Final = ("/bin/sh", "-c", 'trap "" INT TERM USR2; exec "$@"', "torchrun")
"""torchrun dies of SIGUSR2 and forwards SIGTERM a second time. Signals reach its processes directly: they agree on a
step, save and exit, and torchrun exits after them."""
_HANDLES: Final = "--signals-to-handle=SIGQUIT"


def stage_command(job: JobRecord, stage: Path, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the command of a stage: its Python, under torchrun if it asks for several processes or nodes.

    A stage that launches its processes itself is started alone on each node.
    """
    resources = Resources.model_validate(job.resources)
    python = str(resources.python or sys.executable)
    tail = ["-m", "pipelines", "--folder", str(stage)]
    if job.launches_itself or (resources.processes == 1 and resources.nodes == 1):
        return [python, *tail]
    launcher = [*_IGNORING_SIGNALS, python, "-m", "torch.distributed.run", f"--nproc-per-node={resources.processes}"]
    if resources.nodes == 1:
        return [*launcher, "--standalone", _HANDLES, *tail]
    first = submitit_adapter.first_node(environment["SLURM_JOB_NODELIST"])
    job_id = environment["SLURM_JOB_ID"]
    return [
        *launcher,
        f"--nnodes={resources.nodes}",
        f"--node-rank={environment['SLURM_NODEID']}",
        "--rdzv-backend=c10d",
        # jobs that share a node must not use the same port
        f"--rdzv-endpoint={first}:{_RENDEZVOUS_PORT + int(job_id) % 1000}",
        f"--rdzv-id={job_id}",
        _HANDLES,
        *tail,
    ]


def child_environment(job: JobRecord, attempt: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of the stage: the worker's, with threads, the recipe's variables and the attempt."""
    resources = Resources.model_validate(job.resources)
    threads = str(max(1, resources.cpus // resources.processes))
    environment = submitit_adapter.without_submitit_variables(base)
    environment.update(dict.fromkeys(THREAD_VARIABLES, threads))
    environment.update(
        PYTHONUNBUFFERED="1",  # so that logs can be followed
        PYTHONFAULTHANDLER="1",  # so that a segmentation fault leaves a traceback
        PYTHONSAFEPATH="1",  # a folder named `jobs` in the current directory must not shadow this package
    )
    if job.launches_itself and resources.nodes > 1:
        environment.update(  # as torchrun names them
            RANK=base["SLURM_NODEID"],
            WORLD_SIZE=str(resources.nodes),
            MASTER_ADDR=submitit_adapter.first_node(base["SLURM_JOB_NODELIST"]),
        )
    kind = find_kind(job.key.rpartition("-")[0])
    if kind is not None and "transformers" in kind.packages:
        # Nodes often have no internet, where each look-up would wait for a timeout; preflight found the model cached.
        environment.setdefault(OFFLINE_VARIABLE, "1")
    environment.update(resources.environment)
    environment[ATTEMPT_VARIABLE] = os.path.realpath(attempt)
    environment.pop(SHARD_VARIABLE, None)
    environment[SETTINGS_VARIABLE] = json.dumps(job.settings)
    if job.shard is not None:
        environment[SHARD_VARIABLE] = f"{job.shard}/{job.shards}"
    return environment


def preview_command(job: JobRecord, stage: Path) -> str:
    """Return the local command line of a stage with the variables set for it."""
    resources = Resources.model_validate(job.resources).model_copy(update={"nodes": 1})
    job = job.model_copy(update={"resources": resources.model_dump(mode="json")})
    threads = max(1, resources.cpus // resources.processes)
    variables = {**dict.fromkeys(THREAD_VARIABLES[:1], str(threads)), **resources.environment}
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return f"{settings} {shlex.join(stage_command(job, stage))}"
