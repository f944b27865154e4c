"""What importing a large verl dump costs: `python -m benchmarks.imports [ROWS]`, by default 200,000 rows of Countdown.

The whole of `cogtui import --judge none` (reading, converting, indexing) beside a bare executemany of the same rows and
words into SQLite; when the first rows can be read; and what the judges of `--judge` take, each in rollouts a second.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from benchmarks.traces import bare_times
from benchmarks.traces_data import write_text
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.run import run_import
from jobs.workspace import Workspace
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.registry import make_judge
from pipelines.streams import read_rollouts

ROWS = 200_000
SHARE_BUDGET = 0.25
_JUDGED = 1000


def write_dump(path: Path, rows: int) -> None:
    """Write a dump as verl's trainer writes rollouts."""
    rng = random.Random(rows)
    texts = [write_text(rng) for _ in range(2000)]
    with path.open("w", encoding="ascii") as stream:
        for row in range(rows):
            numbers, target, text, _ = rng.choice(texts)
            prompt = (
                "A conversation between User and Assistant.\nUser: Using the numbers"
                f" {list(numbers)}, create an equation that equals {target}.\nAssistant: Let me solve this.\n"
            )
            record = {
                "input": prompt,
                "output": text,
                "gts": {"numbers": list(numbers), "target": target},
                "score": rng.choice([0.0, 0.1, 1.0]),
                "step": row // 512,
            }
            stream.write(json.dumps(record) + "\n")


def import_rates(dump: Path, workspace: Path, rows: int) -> tuple[float, float]:
    """Rows a second of the whole command: by wall time, and by CPU time of all its processes."""
    command = [sys.executable, "-m", "cogtui", "import", str(dump), "--judge", "none", "--workspace", str(workspace)]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return rows / wall, rows / cpu


def first_rows_s(dump: Path, workspace: Workspace) -> float:
    """Seconds until the first rows of an import are in a stream file, from where an open app takes them."""
    started = time.monotonic()
    steps = run_import(plan_import([dump]), workspace)
    next(steps)
    seconds = time.monotonic() - started
    steps.close()
    return seconds


def judge_rate(name: str, stage: Path) -> float:
    """Rollouts a second that a judge reads, by CPU time of this process."""
    judge = make_judge(name)
    tasks = [JudgeTask(one.id, one.task, one.problem, one.completion) for one in islice(read_rollouts(stage), _JUDGED)]
    for _ in judge.judge(iter(tasks[:1]), stage):
        pass  # loads what it needs
    started = time.process_time()
    count = sum(1 for _ in judge.judge(iter(tasks), stage))
    return count / (time.process_time() - started)


def main(rows: int = ROWS) -> int:
    """Print the figures; return 1 if the import is slower than its budget."""
    with tempfile.TemporaryDirectory(prefix="cogtui-bench-") as name:
        place = Path(name)
        dump = place / "step_1.jsonl"
        write_dump(dump, rows)
        print(
            f"first of {rows:,} rows readable after {first_rows_s(dump, Workspace(place / 'first')):.2f} s", flush=True
        )
        by_wall, by_cpu = import_rates(dump, place / "ws", rows)
        print(f"import: {by_wall:,.0f} rows/s, {by_cpu:,.0f} by CPU time", flush=True)
        # by CPU time, which another program on the machine does not change
        bare = 1e6 / sum(bare_times(Workspace(place / "ws"), min(rows, 50_000), clock=time.process_time))
        share = by_cpu / bare
        print(f"bare executemany, by CPU time: {bare:,.0f} rows/s; share {share:.2f}   budget {SHARE_BUDGET}")
        (stage,) = (place / "ws" / "stages").iterdir()
        for judge in ("rules", "prose"):
            print(f"judge {judge}: {judge_rate(judge, stage):,.0f} rollouts per CPU second", flush=True)
    return 0 if share >= SHARE_BUDGET else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
