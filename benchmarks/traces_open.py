"""What `cogtui open` costs on a large file: `python -m benchmarks.traces_open --megabytes 350`.

Writes a plain JSONL file of rollouts (prompt, response, step, reward) that no format of ours describes, opens it with
an empty cache in a process of its own, and measures when its first rows can be shown, when all are read, and that
reading that was cancelled goes on where it stopped. Times are wall times. Exit code 1: the budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.traces_data import write_text

FIRST_ROWS_S = 1.0

_OPEN = """
import json, sys, time
started = time.monotonic()
from pathlib import Path
from cogtui.store import Query
from cogtui.store.importing.opening import open_files
from cogtui.store.values.types import Sort
opened = open_files([Path(sys.argv[1])])
with opened.store() as store:
    shown = len(store.page(Query(sort=Sort("step", descending=True))).rows)
    first = time.monotonic() - started
    rows = store.coverage().rollouts
    while sys.argv[2] == "all" and not (opened.done() and opened.progress().done == store.coverage().rollouts):
        time.sleep(0.1)
    whole = time.monotonic() - started
    asked = time.monotonic()
    opened.cancel()
    cancelled = time.monotonic() - asked
    print(json.dumps({"shown": shown, "rows": rows, "first": first, "whole": whole, "cancel": cancelled,
                      "rollouts": store.coverage().rollouts}))
"""


def write_plain(path: Path, megabytes: int) -> int:
    """Writes a file of about that size; returns how many rows."""
    rng = random.Random(megabytes)
    texts = [write_text(rng) for _ in range(2000)]
    rows = 0
    with path.open("w", encoding="ascii") as stream:
        while stream.tell() < megabytes * 1e6:
            for _ in range(1000):
                numbers, target, text, _ = rng.choice(texts)
                prompt = f"Using the numbers {numbers}, create an equation that equals {target}."
                row = {"prompt": prompt, "response": text, "step": rows // 512, "reward": rng.choice((0.0, 0.1, 1.0))}
                stream.write(json.dumps(row) + "\n")
                rows += 1
    return rows


def opened(path: Path, until: str) -> dict[str, float]:
    """Opens a file in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _OPEN, str(path), until], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def line(name: str, figure: str, budget: str = "", met: bool = True) -> None:
    """Prints a figure beside its budget."""
    print(f"  {name:<50} {figure:>12}   {budget}{'' if met else '   MISSED'}", flush=True)


def main() -> int:
    """Prints a table; 1 if the budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=350)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollouts.jsonl"
        rows = write_plain(path, given.megabytes)
        os.environ["COGTUI_CACHE"] = str(Path(folder) / "cache")
        print(f"cogtui open on {path.stat().st_size / 1e6:.0f} MB of plain JSONL, {rows:,} rows")
        first = opened(path, "first")
        met = first["first"] < FIRST_ROWS_S and first["shown"] > 0
        line(f"process start to {first['shown']:.0f} rows on the first page", f"{first['first']:.2f} s", "< 1 s", met)
        line("cancelled in", f"{first['cancel']:.2f} s")
        again = opened(path, "all")
        line("opened again: rows that were there already", f"{again['rows']:,.0f}")
        line("all rows read and indexed after", f"{again['whole']:.1f} s")
        whole = again["rollouts"] == rows
        line("rows in the end", f"{again['rollouts']:,.0f}", f"{rows:,}", whole)
    return 0 if met and whole else 1


if __name__ == "__main__":
    sys.exit(main())
