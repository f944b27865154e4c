"""Speed of jobs beside the budgets: submitting, one look at 500 Slurm jobs, `ls --json`, a 1 GB log, an idle agent.

`python -m benchmarks.jobs`. The Slurm figures come from a real cluster that it starts with `.ci/slurm-up`;
without Slurm they are left out, and it says so. A budget that is missed makes the exit code 1.
"""

import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jobs.attempts.agent_lock import AgentLock
from jobs.logs.reader import LogFile
from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.slurm import client as slurm
from jobs.state.reader import StateReader
from jobs.submit.cancel import cancel
from jobs.submit.launch import submit
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.folder import StageInfo

ROOT = Path(__file__).resolve().parent.parent
SUBMISSIONS = 100
LISTED = 500
SLURM_JOBS = 500
LOG_BYTES = 2**30
IDLE_S = 20.0

missed: list[str] = []


def figure(name: str, value: float, unit: str, budget: float | None = None) -> None:
    """Prints a figure; a budget is an upper limit."""
    limit = "" if budget is None else f"   budget {budget:g} {unit}"
    over = budget is not None and value > budget
    if over:
        missed.append(name)
    print(f"{name:<62} {value:10.3f} {unit}{limit}{'   MISSED' if over else ''}")


def stages(workspace: Workspace, number: int, resources: Resources) -> list[StageInstance]:
    """Stages with folders, none of which has anything to do but sleep."""
    workspace.create()
    made = []
    for index in range(number):
        key = f"problems-{index:012x}"
        instance = StageInstance(
            key=key, kind="problems", name="problems", config={}, key_fields={}, resources=resources
        )
        folder = workspace.stages / key
        folder.mkdir()
        info = StageInfo(kind="problems", key=key, config={}, name="problems", labels={"seed": index})
        write_json(folder / "stage.json", info.model_dump(mode="json"))
        made.append(instance)
    return made


def local_submission(folder: Path) -> None:
    """Queues 100 stages, the first of which holds the only core."""
    os.environ["COGTUI_LOCAL_CPUS"] = "1"
    sleeper = folder / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    workspace = Workspace(folder / "local")
    made = stages(workspace, LISTED, Resources(python=sleeper))
    start = time.perf_counter()
    submit(workspace, made[:SUBMISSIONS])
    figure(f"submit {SUBMISSIONS} stages, local", time.perf_counter() - start, "s", 2.0)
    submit(workspace, made[SUBMISSIONS:])
    agent = None
    while agent is None:
        time.sleep(0.1)
        agent = AgentLock(workspace).holder()
    time.sleep(3.0)
    before = _cpu_seconds(agent.process.pid)
    time.sleep(IDLE_S)
    used = _cpu_seconds(agent.process.pid) - before
    figure(f"agent with one job running and {LISTED - 1} queued, CPU in {IDLE_S:g} s", used, "s")
    start = time.perf_counter()
    cancel(workspace, [stage.key for stage in made], grace_s=1.0)
    figure(f"cancel {LISTED} stages, local", time.perf_counter() - start, "s")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def cluster() -> Iterator[bool]:
    """A real Slurm; False where it is not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if any(shutil.which(name, path=path) is None for name in ("slurmctld", "slurmd", "sbatch", "munged")):
        yield False
        return
    folder = tempfile.mkdtemp(prefix="cogtui-slurm-")  # its own: munge wants it readable from the root on
    up = subprocess.run([ROOT / ".ci/slurm-up", folder], check=True, stdout=subprocess.PIPE, text=True)
    os.environ["SLURM_CONF"] = up.stdout.strip().splitlines()[-1].removeprefix("export SLURM_CONF=")
    try:
        yield True
    finally:
        subprocess.run([ROOT / ".ci/slurm-down", folder, "--delete"], check=True)


def on_slurm(folder: Path) -> None:
    """Submits held jobs, and looks at 500 of them."""
    held = Resources(sbatch={"hold": True})
    workspace = Workspace(folder / "slurm")
    made = stages(workspace, SLURM_JOBS, held)
    start = time.perf_counter()
    submit(workspace, made[:SUBMISSIONS], cluster="slurm")
    figure(f"submit {SUBMISSIONS} stages, Slurm", time.perf_counter() - start, "s", 2.0)
    submit(workspace, made[SUBMISSIONS:], cluster="slurm")
    calls: list[tuple[str, float]] = []
    asked = slurm.run_command

    def timed(arguments: list[str], *, timeout_s: float | None = None) -> str:
        begun = time.perf_counter()
        try:
            return asked(arguments, timeout_s=timeout_s)
        finally:
            calls.append((arguments[0], time.perf_counter() - begun))

    slurm.run_command = timed
    try:
        own, outside = [], []
        reader = StateReader(workspace, scheduler_every_s=0.0)
        for _ in range(6):
            calls.clear()
            start = time.process_time()  # our own processor time: squeue's is another process's
            found = reader.read()
            own.append(time.process_time() - start)
            assert len(found) == SLURM_JOBS
            assert all(state.state == "queued" for state in found.values())
            assert [name for name, _ in calls] == ["squeue"], calls
            outside.append(calls[0][1])
    finally:
        slurm.run_command = asked
    figure(f"first look at {SLURM_JOBS} Slurm jobs, own CPU beside one squeue", own[0] * 1000, "ms", 100.0)
    figure(f"each later look at {SLURM_JOBS} Slurm jobs, own CPU", statistics.median(own[1:]) * 1000, "ms", 100.0)
    figure("  the squeue itself, wall", statistics.median(outside) * 1000, "ms")
    subprocess.run(["scancel", "--me"], check=True)


def list_stages(folder: Path) -> None:
    """`cogtui ls --json` as a whole process, with its byte code cached as an installed package has it, and without."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    cached = {**bare, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    uncached = {**bare, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder / "nothing")}
    _list_once(folder, cached)
    name = f"cogtui ls --json, {LISTED} stages, CPU"
    figure(name, statistics.median(_list_once(folder, cached) for _ in range(7)), "s", 0.30)
    figure("  the same where nothing may cache its byte code", _list_once(folder, uncached), "s")


def _list_once(folder: Path, environment: dict[str, str]) -> float:
    """CPU seconds of one run."""
    code = "from cogtui.cli.main import run; run()"
    command = [sys.executable, "-c", code, "ls", "--json", "-w", str(folder / "local")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def big_log(folder: Path) -> None:
    """Opens a 1 GB log at its end, in a process of its own."""
    path = folder / "big.log"
    line = b"step 1234 | reward 0.431 | kl 0.0021 | a line of an ordinary length for a training log\n"
    block = line * (2**20 // len(line))
    with path.open("wb") as stream:
        while stream.tell() < LOG_BYTES:
            stream.write(block)
        stream.write(b"ValueError: the only error\nthe last line\n")
    code = (
        "import resource, time\nfrom pathlib import Path\nfrom jobs.logs.reader import LogFile\n"
        f"start = time.perf_counter()\nchunk = LogFile(Path({str(path)!r})).end()\n"
        "spent = time.perf_counter() - start\nassert chunk.lines[-1].text == 'the last line'\n"
        "print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    spent, memory = map(float, done.stdout.split())
    figure("open a 1 GB log at its end", spent, "s", 0.2)
    figure("  memory of the whole process", memory, "MB", 60.0)
    figure("find the first error of a 1 GB log, at its very end", timed_once(LogFile(path).first_error), "s")
    path.unlink()


def timed_once(work: Callable[[], object]) -> float:
    """Wall time of one run, in seconds."""
    start = time.perf_counter()
    assert work() is not None
    return time.perf_counter() - start


def main() -> int:
    """Prints all figures."""
    with tempfile.TemporaryDirectory(prefix="cogtui-bench-") as name:
        folder = Path(name)
        local_submission(folder)
        list_stages(folder)
        big_log(folder)
        with cluster() as there:
            if there:
                on_slurm(folder)
            else:
                print("no Slurm here: its figures are left out")
    if missed:
        print(f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
