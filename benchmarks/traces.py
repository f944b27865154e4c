"""Speed of the index, beside the budgets: `python -m benchmarks.traces --rollouts 1000000`.

Writes a workspace of that many rollouts with all judgements (5.2 GB at a million) into a temporary folder, or uses
the one of `--workspace`, builds its index, and asks it what the screens ask. Times are medians; queries in CPU time of
the asking thread, ingest in wall time with the CPU time of both processes beside it. Exit code 1: a budget is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.traces_data import generate
from cogtui.store import END, Cursor, Page, Query, RolloutRow, Sort, Store, open_store
from cogtui.store.db.connection import ensure_index
from cogtui.store.db.fts_index import FtsIndex, create_fts
from cogtui.store.db.location import locate_index
from cogtui.store.db.schema import BULK_INDEXES, migrate
from cogtui.store.filter.parser import parse
from cogtui.store.ingest.writer import IndexWriter
from jobs.workspace import Workspace

RUNS = 5
INGEST_BUDGET = 15_000
SHARE_BUDGET = 0.5
RSS_BUDGET_MB = 150


class Report:
    """Prints figures beside their budgets and remembers whether one was missed."""

    def __init__(self) -> None:
        self.met = True

    def line(self, name: str, figure: str, budget: str = "", met: bool = True) -> None:
        """One figure."""
        self.met &= met
        print(f"{name:<64} {figure:>16}   {budget}{'' if met else '   MISSED'}", flush=True)

    def query(self, name: str, ask: Callable[[], object], budget_ms: float | None = None) -> None:
        """The median time of a question."""
        times = []
        for _ in range(RUNS):
            started = time.thread_time()
            ask()
            times.append((time.thread_time() - started) * 1e3)
        median = statistics.median(times)
        budget = "" if budget_ms is None else f"< {budget_ms:g} ms"
        self.line(name, f"{median:.1f} ms", budget, budget_ms is None or median < budget_ms)


def ingest(report: Report, workspace: Workspace) -> None:
    """Builds the index from nothing."""
    shutil.rmtree(workspace.path / "index", ignore_errors=True)
    writer = IndexWriter(ensure_index(locate_index(workspace)), workspace)
    writer.take()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, started = time.process_time(), time.monotonic()
    shown = 0.0
    for _ in writer.round():
        shown = shown or time.monotonic() - started
    wall = time.monotonic() - started
    cpu = time.process_time() - cpu
    later = resource.getrusage(resource.RUSAGE_CHILDREN)
    beside = later.ru_utime + later.ru_stime - children.ru_utime - children.ru_stime
    writer.close()
    with open_store(workspace) as store:
        rollouts = store.coverage().rollouts
        size = sum(path.stat().st_size for path in (workspace.path / "index").iterdir())
    report.line("first rows to be seen after", f"{shown:.2f} s", "< 1 s", shown < 1)
    rate = rollouts / wall
    report.line(
        f"ingest of {rollouts:,} rollouts with 4 judgements each",
        f"{rate:,.0f} /s",
        f"> {INGEST_BUDGET:,} /s",
        rate > INGEST_BUDGET,
    )
    report.line("  CPU of the writing and of the parsing process", f"{cpu:.0f} + {beside:.0f} s")
    report.line("  index on disk", f"{size / 1e6:,.0f} MB")
    rows, words = bare_times(workspace)
    bare = 1e6 / (rows + words)
    report.line("  a bare executemany of the same rows and words", f"{bare:,.0f} /s")
    report.line("    its rows and their sort indexes, its words", f"{rows:.0f} + {words:.0f} us")
    share = rate / bare
    report.line("  ingest in shares of that", f"{share:.2f}", f"> {SHARE_BUDGET}", share > SHARE_BUDGET)


def bare_times(
    workspace: Workspace, sample: int = 50_000, *, clock: Callable[[], float] = time.monotonic
) -> tuple[float, float]:
    """Microseconds a rollout where rows that are ready are only inserted, in one process: rows, and words."""
    with open_store(workspace) as store:
        db = store._db
        tables = {
            table: db.execute(f"SELECT * FROM {table} WHERE serial <= ? ORDER BY serial", (sample,)).fetchall()
            for table in ("rollout", "record", "rollout_judgement", "span_distance")
        }
        reader = store._details()
        texts = [(row[0], reader.completion(row[0])) for row in tables["rollout"]]
    with tempfile.TemporaryDirectory(dir=workspace.path) as folder:
        path = Path(folder) / "bare.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
        create_fts(path, "WAL")
        words = FtsIndex(path)
        for name in BULK_INDEXES:
            connection.execute(f"DROP INDEX {name}")
        spent = [0.0, 0.0]
        for at in range(0, len(texts), 8000):
            started = clock()
            connection.execute("BEGIN")
            for table, rows in tables.items():
                part = rows[at : at + 8000]
                if part:
                    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(part[0]))})", part)
            connection.execute("COMMIT")
            spent[0] += clock() - started
            started = clock()
            words.add("", texts[at : at + 8000], texts[min(at + 8000, len(texts)) - 1][0])
            spent[1] += clock() - started
        started = clock()
        for statement in BULK_INDEXES.values():
            connection.execute(statement)
        spent[0] += clock() - started
        words.close()
        connection.close()
    return spent[0] * 1e6 / len(texts), spent[1] * 1e6 / len(texts)


def questions(report: Report, store: Store) -> None:
    """What the list, the filter and the trace ask."""

    def page(
        text: str = "", sort: Sort | None = None, *, after: Cursor | None = None, before: Cursor | None = None
    ) -> Callable[[], Page[RolloutRow]]:
        query = Query(parse(text), sort or Sort())
        return lambda: store.page(query, after, before=before)

    def anew(ask: Callable[[], object]) -> Callable[[], object]:
        def asked() -> object:
            store._results.clear()  # else it would remember
            return ask()

        return asked

    middle = middle_of(store)
    report.query("first page", page(), 50)
    report.query("next page in the middle", page(after=middle), 50)
    report.query("page before", page(before=middle), 50)
    report.query("jump to the end", page(before=END), 50)
    for sort in (Sort("reward", True), Sort("backtracking", True), Sort("length"), Sort("problem")):
        report.query(f"sort by {sort.field}, first page", page(sort=sort), 50)
    report.query("sort by condition, first page", page(sort=Sort("condition")))
    filtered = "condition:all_strategies correct:true backtracking>=2"
    for name, sort in (("step", Sort()), ("backtracking", Sort("backtracking", True)), ("length", Sort("length"))):
        report.query(f"{filtered}, by {name}", page(filtered, sort), 100)
    report.query("  how many those are", anew(lambda: store.count(Query(parse(filtered)))))
    report.query("reward<1 backtracking>=9 (few), by step", page("reward<1 backtracking>=9"), 100)
    report.query("  nothing at all: step>100000, by backtracking", page("step>100000", Sort("backtracking")), 100)
    for text in ('text:"try a different pair"', 'text:"Working backwards from 50"', "text:4711", "text:nowhere"):
        report.query(f"{text}, first page", page(text), 50)
    for text in (
        'text:"a different pair" condition:dots',
        "verification->backtracking<80",
        "backward_chaining->subgoal<3",
        "condition:dots subgoal->subgoal<100",
    ):
        report.query(f"{text}, first page", page(text), 100)
    report.query("position of the middle row", lambda: store.position(Query(), middle))
    uid = store.page(Query(), middle, limit=1).rows[0].id
    report.query("one rollout whole, with spans", lambda: store.rollout(uid), 50)
    report.query("the same problem over all steps and conditions", lambda: store.same_problem(uid))
    report.query("problems, first page", lambda: store.problems(Query()))
    report.query("problems by mean reward, the first page", anew(lambda: store.problems(Query(), sort="mean")))
    report.query("  another page, or another order", lambda: store.problems(Query(), sort="mean"))
    report.query("histogram of backtracking", lambda: store.histogram(Query(), "backtracking"))
    report.query("curves over all", lambda: store.per_step())
    report.query("curves of correct rollouts", lambda: store.per_step(parse("correct:true")))


def middle_of(store: Store) -> Cursor:
    """The cursor of a row in the middle of the list."""
    steps = store.histogram(Query(), "step", bins=2).bins
    row = store.page(Query(parse(f"step>={int(steps[0].high)}")), limit=1).rows[0]
    return row.cursor


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def in_a_process_of_its_own(report: Report, workspace: Workspace) -> None:
    """Memory after a look at everything, measured without what the ingest left behind."""
    import subprocess

    script = (
        "import sys; from pathlib import Path; from benchmarks.traces import *;"
        "store = open_store(Workspace(Path(sys.argv[1])), readonly=True);"
        "quiet = Report(); quiet.line = lambda *given: None;"
        "questions(quiet, store); print(memory_mb())"
    )
    found = float(
        subprocess.run(
            [sys.executable, "-c", script, str(workspace.path)], capture_output=True, text=True, check=True
        ).stdout
    )
    report.line("memory after all of these", f"{found:.0f} MB", f"< {RSS_BUDGET_MB} MB", found < RSS_BUDGET_MB)


@contextlib.contextmanager
def workspace_of(given: Path | None, rollouts: int) -> Iterator[Workspace]:
    """The workspace to measure on; a temporary one is deleted afterwards."""
    if given is not None and given.exists():
        yield Workspace(given)
        return
    with contextlib.ExitStack() as stack:
        folder = given or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "workspace"
        workspace = Workspace(folder)
        started = time.monotonic()
        generate(workspace, rollouts)
        print(f"{rollouts:,} rollouts written in {time.monotonic() - started:.0f} s")
        yield workspace


def main() -> int:
    """Runs all; 1 if a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--workspace", type=Path, help="kept; made if it is not there")
    parser.add_argument("--keep-index", action="store_true", help="only ask, do not build the index anew")
    given = parser.parse_args()
    report = Report()
    with workspace_of(given.workspace, given.rollouts) as workspace:
        if not given.keep_index:
            ingest(report, workspace)
        with open_store(workspace) as store:
            questions(report, store)
        in_a_process_of_its_own(report, workspace)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
