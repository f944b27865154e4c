"""What the app costs: first paint, memory, keys, and bytes to the terminal in a real pty of 120 x 40.

`python -m benchmarks.app [WORKSPACE]`. With a workspace of `benchmarks.traces_data` it measures at that size;
without one it makes a small workspace in a temporary folder.
"""

import asyncio
import fcntl
import math
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from textual.geometry import Size

from cogtui.app.main import make_app
from cogtui.app.screenshots import settle
from cogtui.store import Store, open_store
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.folder import StageInfo
from pipelines.records import Rollout, countdown_fields, rollout_id

SIZE = (120, 40)
Row = tuple[str, str, str]


class Terminal:
    """The app in a pty; counts what it writes."""

    def __init__(self, workspace: Path) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        command = [str(Path(sys.executable).with_name("cogtui")), "--workspace", str(workspace)]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def read(self, seconds: float, *, until_quiet: float | None = None) -> int:
        """Bytes written within so many seconds, or until nothing came for `until_quiet`."""
        count, end, last = 0, time.monotonic() + seconds, time.monotonic()
        while (now := time.monotonic()) < end and (until_quiet is None or now - last < until_quiet):
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    count += len(os.read(self.master, 1 << 16))
                except OSError:
                    return count  # it has left
                last = time.monotonic()
        return count

    def first_paint(self) -> int:
        """Waits for the first screen and for what is read for it; bytes until then."""
        select.select([self.master], [], [], 60)
        return self.read(60.0, until_quiet=4.0)

    def memory_mb(self) -> float:
        """Resident memory of the app's process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def key(self, text: str) -> int:
        """Bytes that a key leads to."""
        os.write(self.master, text.encode())
        return self.read(5.0, until_quiet=0.4)

    def close(self) -> float:
        """Quits; returns how long that took."""
        start = time.monotonic()
        os.write(self.master, b"q")
        while self.process.poll() is None and time.monotonic() < start + 10:
            self.read(0.05)
        self.process.kill()
        os.close(self.master)
        return time.monotonic() - start


def bytes_to_terminal(workspace: Path, log: Path | None) -> list[Row]:
    """Idle, moving and following, in bytes."""
    rows: list[Row] = []
    terminal = Terminal(workspace)
    first = terminal.first_paint()
    rows.append(("start, to the first quiet moment", f"{first / 1000:.1f} KB", ""))
    for mode, name in (("1", "Experiments"), ("2", "Jobs"), ("3", "Traces")):
        terminal.key(mode)
        terminal.read(60.0, until_quiet=4.0)
        rows.append((f"idle for 5 s in {name}", f"{terminal.read(5.0)} bytes", "0"))
    rows.append(("cursor down in Traces", f"{terminal.key('j')} bytes", ""))
    rows.append(("page down in Traces", f"{terminal.key(chr(6)) / 1000:.1f} KB", ""))
    if log is not None:
        terminal.key("2")
        terminal.key("l")
        terminal.read(60.0, until_quiet=4.0)
        rows.append(("idle for 5 s in a log", f"{terminal.read(5.0)} bytes", "0"))
        with log.open("a") as stream:
            count, start = 0, time.monotonic()
            for number in range(50):
                stream.write("".join(f"step {number} line {n} loss 0.123 reward 0.456\n" for n in range(5)))
                stream.flush()
                count += terminal.read(0.1)
            rate = count / (time.monotonic() - start)
        rows.append(("following 50 lines/s of log", f"{rate / 1000:.1f} KB/s", "20 KB/s"))
    rows.append(("peak memory", f"{terminal.memory_mb():.0f} MB", "150 MB"))
    rows.append(("quit", f"{terminal.close():.2f} s", ""))
    return rows


_EMPTY = "from textual.app import App\nmake = App"
_OURS = (
    "from pathlib import Path\nfrom cogtui.app.main import make_app\nfrom jobs.workspace import Workspace\n"
    "make = lambda: make_app(Workspace(Path({workspace!r})))"
)
_PAINT = """
import asyncio, time, textual.app
display, painted, filled = textual.app.App._display, [], []
def note(self, screen, update):
    ours = hasattr(self, "context")
    if not painted and (not ours or screen.query("TopBar")):
        painted.append(time.process_time())
    if not filled and (not ours or screen.query("#matrix-panel, StartPage")):
        filled.append(time.process_time())
    display(self, screen, update)
textual.app.App._display = note
async def main():
    async with make().run_test(size=(120, 40)):
        while not filled:
            await asyncio.sleep(0.05)
        print(painted[0], filled[0])
asyncio.run(main())
"""


def cpu_to_first_paint(*codes: str) -> list[tuple[float, float]]:
    """CPU seconds of a process from its start to the first screen, and to the first that shows the workspace.

    For each code the least of eight, taken in turn.
    """
    costs: list[list[tuple[float, float]]] = [[] for _ in codes]
    for _ in range(8):
        for code, cost in zip(codes, costs, strict=True):
            done = subprocess.run([sys.executable, "-c", code + _PAINT], capture_output=True, text=True, check=True)
            first, content = map(float, done.stdout.split())
            cost.append((first, content))
    return [(min(first for first, _ in cost), min(content for _, content in cost)) for cost in costs]


_MANY = """\
name = "many-{number:02d}"
seeds = {seeds}

[matrix]
condition = ["backtracking_verification", "all_strategies"]

[stages.problems]
kind = "problems"
train = 24
test = {test}
sizes = [3]
number_range = [1, 20]
target_range = [1, 60]

[stages.priming_data]
kind = "priming_data"
needs = ["problems"]
condition = "{{condition}}"
seed = "{{seed}}"
n = 60
"""


def many_experiments(folder: Path, experiments: int = 50, cells: int = 40) -> Workspace:
    """Make a workspace of finished experiments with two conditions each."""
    from benchmarks.many_stages import finish_all  # which imports this module
    from jobs.planning.experiments import record_experiment
    from jobs.planning.plan import make_plan, materialise
    from jobs.recipe.load import load_recipe

    workspace = Workspace(folder / "many")
    workspace.create()
    (workspace.path / "queue").mkdir()
    for number in range(experiments):
        recipe = folder / f"many-{number:02d}.toml"
        recipe.write_text(_MANY.format(number=number, seeds=list(range(cells // 2)), test=12 + number))
        plan = make_plan(load_recipe(recipe), workspace)
        materialise(plan, workspace)
        record_experiment(plan, workspace)
    for stage in workspace.stages.iterdir():
        (stage / "attempts" / "001").mkdir(parents=True)
    finish_all(workspace)
    return workspace


def first_paint(workspace: Workspace, name: str) -> list[Row]:
    """CPU to the first paint and to the first content, beside an empty Textual app."""
    empty, ours = cpu_to_first_paint(_EMPTY, _OURS.format(workspace=str(workspace.path)))
    shares = [f"{mine:.3f} s = {mine / empty[0]:.2f} x an empty Textual app" for mine in ours]
    return [
        (f"process start to first paint, CPU, {name}", shares[0], "2 x"),
        (f"process start to first content, CPU, {name}", shares[1], ""),
    ]


def indexed(workspace: Workspace) -> Callable[[], Store]:
    """Opens the index as it is: following would be measured too."""
    return lambda: open_store(workspace)


async def keys(workspace: Workspace) -> list[Row]:
    """CPU of all threads per key until everything is painted, medians; what the waiting itself costs is taken off."""
    app = make_app(workspace, opener=indexed(workspace))
    rows: list[Row] = []
    async with app.run_test(size=SIZE) as pilot:
        await settle(app, pilot)
        app.action_mode("Traces")
        await settle(app, pilot)

        async def cost(*keys: str) -> float:
            start = time.process_time()
            await pilot.press(*keys)
            await settle(app, pilot)
            return time.process_time() - start

        async def measure(name: str, key: str, times: int, budget: str = "50 ms", back: str = "") -> None:
            waiting = statistics.median([await cost() for _ in range(9)])
            costs = []
            for _ in range(times):
                costs.append(await cost(key) - waiting)
                if back:
                    await cost(back)
            shown = f"{1000 * statistics.median(costs):.1f} ms, worst {1000 * max(costs):.0f}"
            rows.append((name, f"{shown}, least {1000 * min(costs):.0f}", budget))

        await measure("list: down", "down", 30)
        await measure("list: page down", "pagedown", 30)
        await measure("list: end", "end", 5, back="home")
        await measure("list: home", "home", 5, back="end")
        await cost("home")
        await measure("open a trace, the first time", "enter", 1)
        await cost("escape")
        await measure("open a trace", "enter", 9, back="escape")
        await cost("enter")
        await measure("trace: next rollout", "n", 20)
        await measure("trace: page down", "pagedown", 5)
        # Problems of the made workspace share ids but not numbers, so the two are picked by hand.
        await pilot.press("m", "n")
        await settle(app, pilot)
        await measure("compare: open", "d", 5, back="escape")
        await cost("d")
        if type(app.screen).__name__ != "CompareScreen":
            raise RuntimeError(f"d opened {type(app.screen).__name__}")
        await measure("compare: next difference", "d", 5)
        await measure("compare: swap, aligned anew", "x", 5)
        await pilot.press("escape", "escape")
        # These two read every row that passes, away from the event loop: no key waits for them.
        await measure("problems: open", "b", 3, "", back="escape")
        await cost("b")
        await measure("problems: down", "down", 30)
        await pilot.press("escape")
        await measure("histogram: open", "h", 3, "", back="escape")
        await cost("h")
        await measure("histogram: next column", "h", 3, "")
    return rows


def dashboard(charts: int = 12, lines: int = 4, points: int = 10_000) -> list[Row]:
    """CPU to draw a dashboard of long curves: at first, when the cursor moves, and when the size changes."""
    from cogtui.analysis.curves import Curve, CurvePoint
    from cogtui.app.curves.chart import ChartView, make_lines
    from cogtui.app.curves.chart_grid import Chart, ChartGrid

    class DrawnGrid(ChartGrid):
        """A grid without an app: drawn, not painted."""

        size = Size(160, 40)
        has_focus = False

        def refresh(self, *regions: object, **options: object) -> Self:
            return self

    names = [f"group {number}" for number in range(lines)]
    curves = [
        Curve(None, "", "kl", tuple(
            CurvePoint(step, math.sin(step / 900 + number) + 0.1 * math.sin(step * 7.7), None, None, 1, 1, 0)
            for step in range(points)
        ), name)
        for number, name in enumerate(names)
    ]  # fmt: skip
    drawn = [
        Chart(str(number), f"chart {number}", make_lines(curves, names, {}, ChartView())) for number in range(charts)
    ]
    for chart in drawn:
        for line in chart.lines:
            _ = line.segments, line.extent  # made once when data arrive, in the worker that reads them
    grid = DrawnGrid()
    rows: list[Row] = []

    def measure(name: str, times: int, prepare: Callable[[int], None]) -> None:
        costs = []
        for number in range(times):
            prepare(number)
            start = time.process_time()
            grid.show_charts(drawn, names[0], float(number), ChartView())
            costs.append(time.process_time() - start)
        shown = f"{1000 * statistics.median(costs):.1f} ms, worst {1000 * max(costs):.0f}"
        rows.append((name, shown, "50 ms"))

    what = f"{charts} charts x {lines} lines x {points:,} points"
    measure(f"{what}: size changed", 5, lambda number: setattr(grid, "size", Size(158 + number, 40)))
    measure(f"{what}: cursor moved", 20, lambda number: None)
    return rows


def small_workspace(folder: Path) -> tuple[Workspace, Path]:
    """A stage with 2,000 rollouts and a log."""
    workspace = Workspace(folder)
    workspace.create()
    key = "ppo-000000000001"
    stage = workspace.folder(key)
    stage.path.mkdir()
    info = StageInfo(kind="ppo", key=key, config={}, labels={"condition": "none", "seed": 1}, name="ppo", created=1.0)
    write_json(stage.path / "stage.json", info.model_dump(mode="json"))
    with stage.stream("rollouts", "train") as writer:
        writer.append(
            Rollout(
                id=rollout_id(key, "train", n // 100, f"p{n % 100}", 0), step=n // 100, split="train",
                problem_id=f"p{n % 100}", sample=0, **countdown_fields((3, 5, 4), 32),
                prompt="", reward=0.1, correct=False,
                completion="Let me try 3 + 5 = 8. That is not 32. " * 30, answer=None, finish_reason="stop", n_tokens=9,
            )
            for n in range(2000)
        )  # fmt: skip
    attempt = stage.path / "attempts" / "001"
    attempt.mkdir(parents=True)
    (attempt / "stdout.log").write_text("".join(f"line {n}\n" for n in range(1000)))
    with open_store(workspace) as store:
        store.ingest()
    return workspace, attempt / "stdout.log"


def main(given: Path | None = None) -> None:
    """Prints a table: what, measured, budget."""
    with tempfile.TemporaryDirectory() as temporary:
        workspace, log = small_workspace(Path(temporary) / "work")
        rows = bytes_to_terminal(workspace.path, log)
        measured = Workspace.locate(given) if given is not None else workspace
        rows += first_paint(measured, "here")
        rows += first_paint(many_experiments(Path(temporary)), "50 experiments of 40 cells")
        rows += asyncio.run(keys(measured))
        rows += dashboard()
        with open_store(measured) as store:
            print(f"the app over {store.coverage().rollouts:,} rollouts, {SIZE[0]} x {SIZE[1]}, {os.cpu_count()} cores")
        for name, value, budget in rows:
            print(f"  {name:52} {value:44} {f'budget {budget}' if budget else ''}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
