"""The curve of test accuracy of one experiment, drawn small beside its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from textual import events
from textual.strip import Strip

from cogtui.app.rendering.styles import Part
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.textual_compat.styled_widget import StyledWidget

if TYPE_CHECKING:  # read and built in threads, which import what they need
    from cogtui.app.curves.chart import ChartLine
    from cogtui.store import Store
    from jobs.planning.experiments import Experiment

_STREAM: Final = "metrics-eval"
_NAME: Final = "accuracy"


class AccuracyChart(StyledWidget):
    """Shows nothing until the index has an evaluation; reads it again when the index changed."""

    DEFAULT_CSS = "AccuracyChart { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._experiment: Experiment | None = None
        self._lines: list[ChartLine] = []
        self._rows: list[list[Part]] = []
        self._version = -1

    @property
    def text(self) -> str:
        """The text shown, without styles."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def on_mount(self) -> None:
        screen = cast("AppScreen", self.screen)
        screen.watch_signal(screen.shared.store_signal, self._index_changed)

    def _index_changed(self, version: int) -> None:
        if version != self._version:
            self._version = version
            self._load()

    def show_experiment(self, experiment: Experiment) -> None:
        """Show the curves of an experiment."""
        if self._experiment is None or experiment.name != self._experiment.name:
            self._experiment, self._lines = experiment, []
            self._draw()
            self._load()
        self._experiment = experiment

    def _load(self) -> None:
        if self._experiment is not None and self.size.width:
            self.run_worker(self._read(self._experiment), group="accuracy", exclusive=True)

    async def _read(self, experiment: Experiment) -> None:
        screen = cast("AppScreen", self.screen)
        lines = await screen.fetch(screen.context.store.call(lambda store: _read_lines(store, experiment)))
        if lines is not None and self._experiment is not None and experiment.name == self._experiment.name:
            self._lines = lines
            self._draw()

    def _draw(self) -> None:
        if not self._lines:
            rows: list[list[Part]] = [[(" no evaluation in the index yet", "dim")]]
        else:
            from cogtui.app.curves.chart import chart_rows

            ending = [part for one in self._lines[:6] for part in _label(one)]
            rows = [*chart_rows(self._lines, self.size.width - 1, self.size.height - 1), ending]
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()
        if not self._lines:
            self._load()

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)


def _label(line: ChartLine) -> list[Part]:
    return [(f" {line.letter} ", (line.style, "strong")), (line.title[:24], "dim")]


def _read_lines(store: Store, experiment: Experiment) -> list[ChartLine]:
    from cogtui.analysis.curves import build_metric_curves, place_runs
    from cogtui.app.curves.chart import ChartView, make_lines

    places = place_runs(experiment.cells)
    rows = [row for stage in places for row in store.metric_steps(stage, _STREAM, [_NAME])]
    curves = build_metric_curves(rows, _STREAM, _NAME, places)
    order = list(dict.fromkeys(place.group for place in places.values()))
    names = [name for name in order if name in {curve.name for curve in curves}]
    return sorted(make_lines(curves, names, {}, ChartView()), key=lambda one: one.letter)
