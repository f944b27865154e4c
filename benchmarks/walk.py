"""The walk through the app, from an empty folder to a report, by keys alone: recorded as SVG frames and one animation.

`python -m benchmarks.walk OUTDIR` runs the recipe `smoke` for real (two minutes on two quiet cores) in a temporary
folder, and writes `walk-NN-NAME.svg` and `walk.svg`. `tests/app/test_walk.py` asserts each place of this walk on data.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from textual.pilot import Pilot
from textual.widgets import Input

from cogtui.app.application import CogtuiApp
from cogtui.app.curves.screen import CurvesScreen
from cogtui.app.experiments.report_actions import ReportActions
from cogtui.app.experiments.results_screen import ResultsScreen
from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.experiments.start_page import RecipeList
from cogtui.app.launch.form_view import FormView
from cogtui.app.launch.screen import LaunchScreen
from cogtui.app.main import make_app
from cogtui.app.screenshots import settle
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.stages.log_view import LogView
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from jobs.state.types import ACTIVE
from jobs.workspace import Workspace

SIZE: Final = (120, 36)
NOTE: Final = "read again: the habits of its priming data"
_NOT_ANIMATED: Final = frozenset({"launch", "training", "folder"})
_POLL_S: Final = 0.2
_LOG_LINES: Final = 6
_WAIT_S: Final = 900.0
_SECONDS: Final = 2.2
"""How long the animation shows a frame."""
_KEYS: Final = {" ": "space", ",": "comma", ".": "full_stop", "-": "minus", "/": "slash"}
_RECTANGLE: Final = re.compile(r'<rect fill="([^"]+)" x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)"/>')

Seen = Callable[[str, str], None]
"""Is called at each place of the walk, with its name and what was pressed to come there."""


class Change(NamedTuple):
    """A parameter that the walk changes; fields are in the order of the form."""

    field: str
    value: str


class Walk:
    """Drives the app by keys; nothing else is called on it.

    Args:
        app: in a folder without a workspace.
        pilot: of the app.
        seen: is called at each place.
    """

    def __init__(self, app: CogtuiApp, pilot: Pilot[None], seen: Seen) -> None:
        self.app = app
        self.pilot = pilot
        self.seen = seen

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, each once the app has handled the one before."""
        for key in keys:
            await self.pilot.press(key)
            await settle(self.app, self.pilot)

    async def type(self, text: str) -> None:
        """Type a text in place of what the line has."""
        await self.press("end", *["backspace"] * len(self.app.screen.query_one(Input).value))
        await self.press(*(_KEYS.get(char, char) for char in text))

    async def until(self, true: Callable[[], Any], what: str) -> None:
        """Wait until something is true.

        Raises:
            TimeoutError: it did not come true.
        """
        deadline = time.monotonic() + _WAIT_S
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the walk waited {_WAIT_S:.0f} s for: {what}")
            self.app.poll()
            await settle(self.app, self.pilot)
            await asyncio.sleep(_POLL_S)  # two cores are training
        await settle(self.app, self.pilot)

    def states(self) -> dict[str, list[str]]:
        """Return the keys of the stages in each state."""
        found: dict[str, list[str]] = {}
        for key, state in self.app.context.snapshot.states.items():
            found.setdefault(state.state, []).append(key)
        return found

    async def launch(self, changes: Sequence[Change]) -> None:
        """Start page, launch screen, changed parameters, launch."""
        await self.until(lambda: self.app.screen.query(RecipeList), "the start page")
        self.seen("start", "cogtui")
        await self.press("enter")
        await self.until(lambda: isinstance(self.app.screen, LaunchScreen) and self.app.screen.preview, "the plan")
        self.seen("launch", "Enter")
        form = self.app.screen.query_one(FormView)
        for change in changes:
            for _ in range(form.line_count):
                if form.field is not None and form.field.name == change.field:
                    break
                await self.press("down")
            if form.field is not None and change.value in form.field.choices:
                await self._choose(form, change)
            else:
                await self.press("enter")
                await self.type(change.value)
                await self.press("enter")
        await self.until(lambda: isinstance(self.app.screen, LaunchScreen) and self.app.screen.preview, "the new plan")
        self.seen("changed", f"↓ Enter {changes[-1].value} Enter")
        await self.press("ctrl+l")

    async def _choose(self, form: FormView, change: Change) -> None:
        screen = self.app.screen
        assert isinstance(screen, LaunchScreen)
        assert form.field is not None
        for _ in form.field.choices:
            if screen.draft.value_of(change.field) == change.value:
                return
            await self.press("right")

    async def watch(self) -> None:
        """The live matrix, and the log of a stage that runs."""
        await self.until(
            lambda: isinstance(self.app.screen, ExperimentsScreen) and self.app.screen.has_stage_view, "the matrix"
        )
        screen = self.app.screen
        assert isinstance(screen, ExperimentsScreen)
        await self.until(lambda: self._running("base"), "the stage base runs")
        for _ in range(9):
            if screen.stage is not None and screen.stage.kind == "base":
                break
            await self.press("right")
        self.seen("matrix", "Ctrl+L")
        await self.press("l")
        await self.until(
            lambda: sum("step" in line for line in self._log_lines()) > _LOG_LINES or not self._running("base"),
            "a log with steps",
        )
        self.seen("log", "l")
        await self.press("escape")
        await self.until(lambda: self._is_halfway("ppo") or not self._active(), "PPO runs")
        self.seen("training", "Esc")
        await self.until(lambda: not self._active(), "all stages ended")
        await self.until(lambda: self.app.context.snapshot.figures, "final figures")
        self.seen("done", "")

    def _active(self) -> bool:
        return any(state.active or state.state in ACTIVE for state in self.app.context.snapshot.states.values())

    def _running(self, kind: str) -> bool:
        states = self.app.context.snapshot.states.values()
        return any(state.kind == kind and state.state == "running" for state in states)

    def _is_halfway(self, kind: str) -> bool:
        found = [one.progress for one in self.app.context.snapshot.states.values() if one.kind == kind]
        return any(one is not None and one.done >= one.total / 2 for one in found)

    def _log_lines(self) -> list[str]:
        screen = self.app.screen
        if not isinstance(screen, LogScreen):
            return []
        view = screen.query_one(LogView)
        return [view.line_text(line) for line in range(view.line_count)]

    async def read(self) -> None:
        """Curves, a point of the primed run, its rollouts, a trace, a note on it."""
        await self.press("4")
        screen = self.app.screen
        assert isinstance(screen, CurvesScreen)
        await self.until(lambda: screen.grid.charts, "charts")
        self.seen("curves", "4")
        await self.press("down", "left")
        self.seen("point", "↓ ←")
        await self.press("enter")
        await self.until(lambda: isinstance(self.app.screen, TracesScreen) and self.app.screen.total, "its rollouts")
        self.seen("rollouts", "Enter")
        await self.press("enter")
        await self.until(lambda: isinstance(self.app.screen, TraceScreen), "a trace")
        await self.press("right_square_bracket", "right_square_bracket")
        self.seen("trace", "Enter ]]")
        await self.press("w")
        await self.type(NOTE)
        self.seen("note", f"w {NOTE}")
        await self.press("enter")

    async def conclude(self) -> None:
        """Compare the conditions, and write the report."""
        await self.press("1", "c")
        await self.until(lambda: isinstance(self.app.screen, ResultsScreen) and self.app.screen.results, "the tables")
        self.seen("compare", "1 c")
        await self.press("R")
        self.seen("folder", "R")
        await self.press("enter")
        await self.until(lambda: isinstance(self.app.screen, ReportActions) and _reports(), "the report")
        self.seen("report", "Enter")


def _reports() -> list[Path]:
    return list(Path.cwd().glob("*-report/report.md"))


async def record(out: Path, change: Change) -> list[Path]:
    """Walk in the current folder, and write a frame at each place and the animation of all.

    Args:
        out: folder, created if missing.
        change: of one parameter.
    """
    out.mkdir(parents=True, exist_ok=True)
    workspace = Workspace.locate()
    app = make_app(workspace, title=workspace.path.name)
    frames: list[tuple[str, Path, str]] = []

    def seen(name: str, pressed: str) -> None:
        path = out / f"walk-{len(frames) + 1:02d}-{name}.svg"
        frame = app.export_screenshot(title=f"{pressed or 'a minute later'}", simplify=True)
        path.write_text(shorten(frame, "t-"), encoding="utf-8")
        frames.append((name, path, frame))
        print(path, flush=True)

    async with app.run_test(size=SIZE, notifications=True) as pilot:
        walk = Walk(app, pilot, seen)
        await walk.launch([change])
        await walk.watch()
        await walk.read()
        await walk.conclude()
    animation = out / "walk.svg"
    animation.write_text(animate([frame for name, _, frame in frames if name not in _NOT_ANIMATED]), encoding="utf-8")
    return [*(path for _, path, _ in frames), animation]


def shorten(frame: str, prefix: str) -> str:
    """Return a frame without fonts to download and with short names and merged backgrounds, less than half as large.

    Args:
        frame: an SVG as Textual exports it.
        prefix: of the names of its styles and clips, unique in the file it goes into.
    """
    for pattern in (r"@font-face \{.*?\}", r"<!--.*?-->", r'<clipPath id="terminal-\d+-line-\d+">.*?</clipPath>'):
        frame = re.sub(pattern, "", frame, flags=re.S)
    frame = re.sub(r' clip-path="url\(#terminal-\d+-line-\d+\)"', "", frame)
    frame = _merge_backgrounds(frame.replace(' shape-rendering="crispEdges"', ""))
    frame = re.sub(r"terminal-\d+-", prefix, frame)
    frame = frame.replace("<style>", "<style>rect{shape-rendering:crispEdges}", 1)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"\.0(?=[\"px ])", "", frame))


class _Background(NamedTuple):
    fill: str
    x: float
    y: str
    width: float
    height: str


def _merge_backgrounds(frame: str) -> str:
    """Draw neighbouring cells of one colour as one rectangle."""

    def merged(match: re.Match[str]) -> str:
        kept: list[_Background] = []
        for fill, x, y, width, height in _RECTANGLE.findall(match[0]):
            last = kept[-1] if kept else None
            if last is not None and (last.fill, last.y) == (fill, y) and abs(last.x + last.width - float(x)) < 1:
                kept[-1] = last._replace(width=float(x) + float(width) - last.x)
            else:
                kept.append(_Background(fill, float(x), y, float(width), height))
        return "".join(
            f'<rect fill="{one.fill}" x="{one.x:g}" y="{one.y}" width="{one.width:g}" height="{one.height}"/>'
            for one in kept
        )

    return re.sub(rf"(?:{_RECTANGLE.pattern.replace('(', '(?:')})+", merged, frame)


def animate(frames: Sequence[str]) -> str:
    """Put SVG frames one after the other into one that shows each for some seconds, by CSS alone, and begins again."""
    match = re.search(r'viewBox="([^"]+)"', frames[0])
    assert match is not None
    share = 100 / len(frames)
    style = (
        f".frame{{visibility:hidden;animation:show {_SECONDS * len(frames):.1f}s step-end infinite}}"
        f"@keyframes show{{0%{{visibility:visible}}{share:.3f}%{{visibility:hidden}}}}"
        "@media (prefers-reduced-motion:reduce){.frame{animation:none}#f0{visibility:visible}}"
    )
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{match[1]}"><style>{style}</style>']
    for place, frame in enumerate(frames):
        delay = f'style="animation-delay:{_SECONDS * place:.1f}s"'
        parts.append(f'<g class="frame" id="f{place}" {delay}>{shorten(frame, f"{chr(97 + place)}-")}</g>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Record the walk in a temporary folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.walk", description=__doc__)
    parser.add_argument("outdir", type=Path)
    parser.add_argument("--set", default="stages.ppo.steps=30", metavar="FIELD=VALUE", help="the parameter to change")
    chosen = parser.parse_args()
    field, _, value = chosen.set.partition("=")
    os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    out = chosen.outdir.absolute()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["COGTUI_CONFIG"] = f"{folder}/config"
        os.environ.pop("COGTUI_WORKSPACE", None)
        os.chdir(folder)
        written = asyncio.run(record(out, Change(field, value)))
    secrets = [name for name in (folder, str(Path(__file__).parent.parent), os.uname().nodename) if len(name) > 3]
    for path in written:
        found = [name for name in secrets if name in path.read_text("utf-8").replace("&#160;", " ")]
        if found:
            sys.exit(f"{path} names a place of this machine: {', '.join(found)}")


if __name__ == "__main__":
    main()
