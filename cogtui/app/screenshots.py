"""Export of each screen as SVG: `python -m cogtui.app.screenshots WORKSPACE OUTDIR`."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from cogtui.app.application import CogtuiApp
from cogtui.app.main import make_app
from cogtui.app.rendering.text import printable_line
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.store import Store, open_store
from jobs.state.types import StageState
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError

SIZE: Final = (110, 32)
Step = Callable[[CogtuiApp, Pilot[None]], Awaitable[bool]]
"""Brings the app to a screen; returns False if the workspace has nothing to show there."""


async def experiments(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show the overview, or the start page of an empty workspace."""
    app.action_mode("Experiments")
    await settle(app, pilot)
    return True


async def results(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show the tables and claims of the experiment."""
    app.action_mode("Experiments")
    await settle(app, pilot)
    if not app.context.snapshot.experiments:
        return False
    await pilot.press("c")
    await settle(app, pilot)
    return True


async def jobs(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show the table of stages."""
    app.action_mode("Jobs")
    await settle(app, pilot)
    return bool(app.context.snapshot.states)


async def log(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show the log of a running stage, else of a failed one, else of the last one done."""
    from cogtui.app.stages.log_screen import LogScreen

    found = sorted(app.context.snapshot.states.values(), key=_screenshot_order)
    if not found or not found[0].attempts:
        return False
    app.push_screen(LogScreen("Jobs", found[0].key, failed=found[0].state == "failed"))
    await settle(app, pilot)
    return True


async def traces(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show the list of rollouts."""
    app.action_mode("Traces")
    await settle(app, pilot)
    return isinstance(app.screen, TracesScreen) and bool(app.screen.total)


async def trace(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show a solved rollout with several behaviours, else any with behaviours, at its first span."""
    app.action_mode("Traces")
    await settle(app, pilot)
    screen = app.screen
    if not isinstance(screen, TracesScreen):
        return False
    from cogtui.app.shell.list_query import ListQuery
    from cogtui.store import Sort

    solved = "correct:true kind:ppo verification>=1 backtracking>=1"
    for wanted in (f"{solved} tokens<70", solved, "verification>=1 OR backtracking>=1", ""):
        screen.change(ListQuery(typed=wanted, sort=Sort("backtracking", descending=True)))
        await settle(app, pilot)
        if screen.total:
            break
    if not screen.total:
        return False
    screen.view.focus()
    await pilot.press("enter")
    await settle(app, pilot)
    await pilot.press("]", "]")
    await settle(app, pilot)
    return True


async def compare(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show the same problem at the first and at the last step of a run."""
    from cogtui.app.shell.list_query import ListQuery
    from cogtui.app.traces.compare.screen import CompareScreen
    from cogtui.store import Sort

    app.action_mode("Traces")
    await settle(app, pilot)
    app.action_mode("Traces")  # from the reader back to the list
    screen = app.screen
    if not isinstance(screen, TracesScreen):
        return False
    for wanted in ("kind:ppo split:test backtracking>=1", "kind:ppo", ""):
        screen.change(ListQuery(typed=wanted, sort=Sort("step", descending=True)))
        await settle(app, pilot)
        if screen.total:
            break
    screen.view.focus()
    await pilot.press("d")
    await settle(app, pilot)
    return isinstance(app.screen, CompareScreen)


async def curves(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show accuracy over steps."""
    from cogtui.app.curves.screen import CurvesScreen

    app.action_mode("Curves")
    await settle(app, pilot)
    return isinstance(app.screen, CurvesScreen) and bool(app.screen.grid.charts)


async def judges(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show a comparison of two judges that judged the same traces."""
    from cogtui.app.judges.screen import JudgesScreen

    app.action_mode("Judges")
    await settle(app, pilot)
    found = app.screen.found if isinstance(app.screen, JudgesScreen) else None
    return found is not None and any(found.agreement.compared.values())


async def help_screen(app: CogtuiApp, pilot: Pilot[None]) -> bool:
    """Show help over the current screen."""
    app.action_help()
    await settle(app, pilot)
    return True


STEPS: Final[dict[str, Step]] = {
    "1-experiments": experiments,
    "1-compare": results,
    "2-jobs": jobs,
    "2-log": log,
    "3-traces": traces,
    "3-trace": trace,
    "3-compare": compare,
    "4-curves": curves,
    "5-judges": judges,
    "help": help_screen,
}


def _screenshot_order(stage: StageState) -> tuple[bool, bool, bool, float]:
    submitted = stage.attempt.submitted if stage.attempt is not None else 0.0
    return not stage.attempts, stage.state not in ("running", "resuming"), stage.state != "failed", -submitted


async def settle(app: CogtuiApp, pilot: Pilot[None]) -> None:
    """Wait until no worker is running and its messages are handled."""
    quiet = 0
    while quiet < 3:
        await pilot.pause()
        running = [worker for worker in app.workers if not worker.is_finished]
        quiet = 0 if running else quiet + 1
        for worker in running:
            with contextlib.suppress(WorkerCancelled):  # replaced by a newer worker of its group
                await worker.wait()


async def export(
    workspace: Workspace, out: Path, size: tuple[int, int] = SIZE, *, steps: Mapping[str, Step] = STEPS
) -> list[Path]:
    """Write an SVG of each screen that the workspace can fill; return the paths in the order of the modes.

    Args:
        workspace: with an experiment, if the screens are to be filled.
        out: folder, created if missing.
        size: columns and rows.
        steps: the screens to show, one after the other.

    Raises:
        OSError: `out` cannot be written.
    """

    def opener() -> Store:
        store = open_store(workspace)
        store.ingest()
        return store

    out.mkdir(parents=True, exist_ok=True)
    app = make_app(workspace, title=workspace.path.name, opener=opener)
    written = []
    async with app.run_test(size=size) as pilot:
        while not app.context.snapshot.read:
            app.poll()
            await settle(app, pilot)
        for name, step in steps.items():
            if await step(app, pilot):
                path = out / f"{name}.svg"
                path.write_text(app.export_screenshot(title="cogtui", simplify=True), encoding="utf-8")
                written.append(path)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Export the screens and print the paths of the files."""
    parser = argparse.ArgumentParser(prog="python -m cogtui.app.screenshots", description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("outdir", type=Path)
    parser.add_argument("--size", default="{}x{}".format(*SIZE), help="columns x rows")
    chosen = parser.parse_args(arguments)
    os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}  # whatever terminal this is started from
    columns, _, rows = chosen.size.partition("x")
    try:
        written = asyncio.run(export(Workspace.locate(chosen.workspace), chosen.outdir, (int(columns), int(rows))))
    except (CogtuiError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for path in written:
        sys.stdout.write(f"{printable_line(str(path))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
