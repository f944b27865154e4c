"""Every screen at every size: nothing crashes at 20 × 5, and everything is drawn again when there is room."""

import pytest

from cogtui.app.application import CogtuiApp
from cogtui.app.screenshots import STEPS
from cogtui.app.widgets.bars import TopBar
from jobs.planning.cell import Cell
from pipelines.records import Metric
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import AppPilot, press, running, settle, until
from tests.app.test_traces import SPANS, TEXT

SMALL = ((20, 5), (40, 12), (1, 1), (250, 70), (80, 24))


@pytest.fixture
def full(small: Builder) -> Builder:
    """A workspace that fills every screen: rollouts of two steps with spans, metrics, results."""
    cells = []
    for seed in (1, 2):
        folder = small.stage("ppo", f"e{seed}", {"condition": "none", "seed": seed})
        for step in (0, 10):
            small.rollouts(folder, [TEXT, "words"], step=step, spans=[SPANS], stream=f"s{step}")
        with folder.stream("metrics", "eval") as writer:
            writer.append(Metric(step=step, values={"accuracy": 0.1 + step / 100}) for step in (0, 10))
        small.attempt(folder, stdout="a line\n")
        cells.append(Cell(labels={"condition": "none", "seed": seed}, stages={"ppo": folder.key}))
    small.experiment("full", cells, MOMENT + 5)
    return small


async def resize_through(app: CogtuiApp, pilot: AppPilot) -> None:
    """Resize to each size and press the keys that move, then return to a usual one."""
    for width, height in SMALL:
        await pilot.resize_terminal(width, height)
        await settle(pilot)
        await press(pilot, "down", "right", "tab", "up")
    await pilot.resize_terminal(100, 30)
    await settle(pilot)


@pytest.mark.parametrize("name", [*STEPS, "annotate", "problems", "histogram", "launch", "start"])
async def test_a_terminal_of_any_size_crashes_no_screen(name: str, full: Builder, builder: Builder) -> None:
    builder = full
    if name == "start":
        for folder in builder.workspace.experiments.iterdir():
            for file in folder.iterdir():
                file.unlink()
    keys = {"annotate": ("3", "enter", "a"), "problems": ("3", "b"), "histogram": ("3", "h"), "launch": ("N", "enter")}
    async with running(builder.workspace, (100, 30)) as (app, pilot):
        if name in STEPS:
            await STEPS[name](app, pilot)
        else:
            await press(pilot, *keys.get(name, ()))
        await resize_through(app, pilot)
        bars = list(app.screen.query(TopBar))
        await until(pilot, lambda: all(bar.size.width == 100 for bar in bars))
        assert all("cogtui" in bar.render_line(0).text for bar in bars)
