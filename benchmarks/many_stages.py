"""What a workspace of 2,001 stages costs: submitting it, opening the app, and the app when nothing moves.

`python -m benchmarks.many_stages`. Submission is a whole process with a queue that starts nothing; the app runs in a
real pty of 120 x 40, with the process that follows the files. On a busy machine look at the CPU times.
"""

import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # brings no type information

from benchmarks.app import Terminal
from jobs.attempts.processes import process_id
from jobs.attempts.records import ExitRecord, JobRecord, StartRecord, WorkerRun
from jobs.workspace import Workspace
from pipelines.files import write_json

SEEDS = 1000
IDLE_S = 20.0
_RECIPE = """\
name = "many"
seeds = {seeds}

[stages.problems]
kind = "problems"
train = 24
test = 12
sizes = [3]
number_range = [1, 20]
target_range = [1, 60]

[stages.priming_data]
kind = "priming_data"
needs = ["problems"]
condition = "backtracking_verification"
seed = "{{seed}}"
n = 60

[stages.judge]
kind = "judge"
needs = ["priming_data"]
"""
# The agent would start to work: the queue is filled and left alone.
_SUBMIT = (
    "import sys, jobs.submit.launch as launch\nlaunch.ensure_agent = lambda *_: None\n"
    "from cogtui.cli.main import run\nrun(sys.argv[1:])"
)


def submit(folder: Path) -> tuple[Workspace, float, float]:
    """Submit 2,001 stages; return their workspace, and the seconds and CPU seconds of the whole process."""
    recipe = folder / "many.toml"
    recipe.write_text(_RECIPE.format(seeds=list(range(SEEDS))))
    command = [sys.executable, "-c", _SUBMIT, "run", str(recipe), "--detach", "--workspace", str(folder / "ws")]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Workspace(folder / "ws"), time.perf_counter() - start, cpu


def finish_all(workspace: Workspace) -> None:
    """Write what finished stages leave: records of an attempt, metrics and a result."""
    me = process_id(os.getpid())
    hour = time.time() - 3600
    for folder in sorted(workspace.stages.iterdir()):
        attempt = folder / "attempts" / "001"
        job = JobRecord(key=folder.name, number=1, cluster="local", name=folder.name, submitted=hour, submitter=me)
        run = WorkerRun(number=1, host=me.host, started=hour)
        end = ExitRecord(run=1, host=me.host, time=hour + 60, code=0, why="done")
        records = {"job": job, "started": StartRecord(worker=me, child=me, run=run), "exit": end}
        for name, record in records.items():
            write_json(attempt / f"{name}.json", record.model_dump(), durable=False)
        write_json(attempt / "heartbeat.json", {"v": 1, "time": hour, "active": hour}, durable=False)
        (attempt / "stdout.log").write_text("step 1\n" * 20)
        (folder / "metrics-train-001.jsonl").write_text(
            "".join(
                f'{{"v":2,"stream":"metrics-train","seq":{n},"step":{n},"values":{{"loss":1}}}}\n' for n in range(5)
            )
        )
        write_json(folder / "result.json", {"n": 60}, durable=False)
        for path in sorted(folder.rglob("*"), reverse=True):
            os.utime(path, (hour, hour))
        os.utime(folder, (hour, hour))
    for path in (workspace.path / "queue").iterdir():
        path.unlink()
    for path in (workspace.stages, workspace.path / "queue", workspace.experiments, *workspace.experiments.iterdir()):
        os.utime(path, (hour, hour))


def first_content(terminal: Terminal) -> str:
    """Seconds, and CPU seconds of the app, from its start until the screen shows the state of a stage."""
    seen = b""
    while b"done" not in seen:
        if not select.select([terminal.master], [], [], 60)[0]:
            raise RuntimeError("the app shows nothing")
        seen += os.read(terminal.master, 1 << 16)
    seconds = time.monotonic() - terminal.started
    times = psutil.Process(terminal.process.pid).cpu_times()
    return f"{seconds:.2f} s, CPU {times.user + times.system:.2f} s"


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children so far."""
    processes = [psutil.Process(pid)]
    processes += processes[0].children(recursive=True)
    return float(sum(times.user + times.system for times in (process.cpu_times() for process in processes)))


def idle_share(terminal: Terminal) -> float:
    """Share of a core that the app and its follower use when nothing moves, once they have settled."""
    terminal.read(45.0, until_quiet=40.0)  # until each stage was looked at once more
    before = cpu_seconds(terminal.process.pid)
    began = time.monotonic()
    terminal.read(IDLE_S)
    return (cpu_seconds(terminal.process.pid) - before) / (time.monotonic() - began)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="cogtui-bench-") as name:
        workspace, seconds, cpu = submit(Path(name))
        print(f"submit {2 * SEEDS + 1} stages, local: {seconds:.2f} s, CPU {cpu:.2f} s   budget 5 s", flush=True)
        finish_all(workspace)
        first = Terminal(workspace.path)
        print(f"first content, index not built: {first_content(first)}   budget 1 s", flush=True)
        print(f"idle app and follower: {100 * idle_share(first):.2f} % of a core", flush=True)
        first.close()
        again = Terminal(workspace.path)
        print(f"first content, index built: {first_content(again)}   budget 1 s", flush=True)
        again.close()


if __name__ == "__main__":
    main()
