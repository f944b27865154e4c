"""How the screens that matter look, on fixed data. Everything else is asserted on data elsewhere.

After a change that is meant: `pytest tests/app/test_snapshots.py --snapshot-update`, then look at the SVGs.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import cast

import pytest

from cogtui.app.annotation.screen import AnnotateScreen
from cogtui.app.application import CogtuiApp
from cogtui.app.judges.screen import JudgesScreen
from cogtui.app.main import make_app
from cogtui.app.shell.resource_thread import ResourceThread
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.stages.log_screen import LogScreen
from jobs.planning.cell import Cell
from jobs.planning.experiments import Experiment
from jobs.state.types import StageState, StateName
from pipelines.folder import Progress
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import AppPilot, indexed, press, settle, until
from tests.app.test_compare import EARLY
from tests.app.test_traces import SPANS, TEXT

Compare = Callable[..., bool]
CONDITIONS = ("none", "all_strategies", "only_backtracking", "negative_control")
STATES: dict[tuple[str, int], StateName] = {
    ("ppo", 0): "done", ("ppo", 1): "running", ("ppo", 2): "resuming", ("prime", 3): "failed", ("ppo", 3): "blocked",
    ("judge", 0): "done", ("judge", 1): "queued", ("judge", 2): "queued", ("judge", 3): "blocked",
}  # fmt: skip


class FixedReader:
    """Reads the same snapshot again and again."""

    def __init__(self) -> None:
        cells = []
        states = {}
        for seed, condition in enumerate(CONDITIONS):
            stages = {"problems": "problems-000000000001"}
            stages |= {name: f"{name}-00000000000{seed}" for name in ("prime", "ppo", "judge")}
            cells.append(Cell(labels={"condition": condition, "seed": 1}, stages=stages))
            for name, key in stages.items():
                state = STATES.get((name, seed), "done")
                failed = state == "failed"
                states[key] = StageState(
                    key=key, kind=name, name=name, labels={"condition": condition, "seed": 1}, state=state,
                    evidence="exit.json" if failed else "heartbeat", age_s=None,
                    reason="torch.OutOfMemoryError: tried to allocate 2.00 GiB" if failed else "",
                    remedy="Use a smaller micro_batch, then run the recipe again with --retry." if failed else "",
                    progress=Progress(done=40 + seed, total=100, unit="steps", values={"reward": 0.31}, time=MOMENT),
                )  # fmt: skip
        experiment = Experiment(name="mini", time=MOMENT, recipe_path="r", recipe="", cells=tuple(cells))
        self.snapshot = WorkspaceSnapshot((experiment,), MappingProxyType(states), (), MOMENT)

    def read(self) -> WorkspaceSnapshot:
        """The snapshot."""
        return self.snapshot


@pytest.fixture
def app(builder: Builder) -> CogtuiApp:
    """The app over a fixed snapshot and a fixed index."""
    folder = builder.stage("ppo", "c1", {"condition": "all_strategies", "seed": 1})
    builder.attempt(folder, stdout="".join(f"step {n:3}  reward {n / 50:.2f}\n" for n in range(30)))
    for step in (0, 10):
        texts = [TEXT, *(f"plain words {n} at {step}" for n in range(30))]
        builder.rollouts(folder, texts, step=step, spans=[SPANS], stream=f"s{step}")
    made = make_app(builder.workspace, title="workspace", opener=indexed(builder.workspace))
    made.context.snapshots = ResourceThread("fixed", FixedReader)  # type: ignore[arg-type]
    return made


def keys(*names: str) -> Callable[[AppPilot], object]:
    async def run_before(pilot: AppPilot) -> None:
        app = cast("CogtuiApp", pilot.app)
        await until(pilot, lambda: app.context.snapshot.read)
        await press(pilot, *names)

    return run_before


def test_matrix(app: CogtuiApp, snap_compare: Compare) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("down", "down", "down", "right"))


def test_log(app: CogtuiApp, snap_compare: Compare) -> None:
    async def run_before(pilot: AppPilot) -> None:
        await settle(pilot)
        app.push_screen(LogScreen("Jobs", "ppo-0000000000c1"))
        await settle(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=run_before)


def test_trace_list(app: CogtuiApp, snap_compare: Compare) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("3", "down"))


def test_trace(app: CogtuiApp, snap_compare: Compare) -> None:
    steps = keys("3", "slash", *"subgoal>=1", "enter", "enter", "]", "b", "i")
    assert snap_compare(app, terminal_size=(100, 28), run_before=steps)


def test_compare(builder: Builder, snap_compare: Compare) -> None:
    folder = builder.stage("ppo", "c1", {"condition": "all_strategies", "seed": 1})
    builder.rollouts(folder, [EARLY], step=0, stream="s0")
    builder.rollouts(folder, [TEXT], step=40, spans=[SPANS], stream="s40")
    made = make_app(builder.workspace, title="workspace", opener=indexed(builder.workspace))

    async def run_before(pilot: AppPilot) -> None:
        await settle(pilot)
        await press(pilot, "3", "d", "d")

    assert snap_compare(made, terminal_size=(120, 20), run_before=run_before)


def test_problems(app: CogtuiApp, snap_compare: Compare) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("3", "b", "S", "down"))


def test_search(app: CogtuiApp, snap_compare: Compare) -> None:
    steps = keys("3", "slash", *'text:"at 10" OR text:again', "enter", "down")
    assert snap_compare(app, terminal_size=(80, 24), run_before=steps)


def test_filter_error(app: CogtuiApp, snap_compare: Compare) -> None:
    steps = keys("3", "slash", *"step>=3 correkt:no", "enter")
    assert snap_compare(app, terminal_size=(80, 24), run_before=steps)


def test_help(app: CogtuiApp, snap_compare: Compare) -> None:
    assert snap_compare(app, terminal_size=(80, 30), run_before=keys("3", "enter", "question_mark"))


def test_annotate(app: CogtuiApp, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cogtui.app.annotation.screen.identity", lambda: "ann@laptop")
    steps = keys("3", "slash", *"subgoal>=1", "enter", "enter", "a", "J", "enter", "enter", "x", "e", "o", "w", "i")

    async def run_before(pilot: AppPilot) -> None:
        await steps(pilot)  # type: ignore[misc]
        screen = pilot.app.screen
        assert isinstance(screen, AnnotateScreen)
        await until(pilot, lambda: not screen.writing)  # "saved", on a slow disk too

    assert snap_compare(app, terminal_size=(100, 28), run_before=run_before)


def test_judges(app: CogtuiApp, snap_compare: Compare) -> None:
    steps = keys("5")

    async def run_before(pilot: AppPilot) -> None:
        await steps(pilot)  # type: ignore[misc]
        screen = pilot.app.screen
        assert isinstance(screen, JudgesScreen)
        await until(pilot, lambda: screen.found is not None)

    assert snap_compare(app, terminal_size=(120, 36), run_before=run_before)
