"""Mode 4: a measure over training steps by condition, with intervals over seeds; Enter opens a point's rollouts."""

import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.analysis.curves import Measure, available_measures, build_curves
from cogtui.analysis.reference import published_curve
from cogtui.app.curves.curve_plot import PlotSeries, list_steps, make_series
from cogtui.app.curves.widget import CurveList, CurvePlot
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import quote_value
from cogtui.app.shell.opening import OpenRolloutList
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store.values.types import StepSummary

_AT_MOST_EVERY_S = 5.0
_PUBLISHED = ("", "llama", "qwen")


class CurvesScreen(AppScreen):
    """Curves of one measure and one split."""

    MODE = "Curves"
    HELP_TITLE = "Curves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "measure(1)", "Measure"),
        Binding("M", "measure(-1)", "Previous measure", show=False),
        Binding("o", "choose_measure", "Choose a measure", show=False),
        Binding("s", "split", "Split"),
        Binding("b", "published", "Published curves behind"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.measure: Measure = "accuracy"
        self.split = ""
        self.published = ""
        self.series: list[PlotSeries] = []
        self.step: int | None = None
        self._summaries: list[StepSummary] = []
        self._read_at = 0.0
        self._read = False
        self._waiting = False

    def compose_body(self) -> ComposeResult:
        yield TextRows((" reading the index", "dim"), widget_id="summary")
        with Container(classes="curves"):
            yield CurvePlot()
            yield CurveList()

    def on_mount(self) -> None:
        self.query_one(CurveList).focus()
        self.watch_signal(self.shared.store_signal, lambda _: self.catch_up())
        self.run_worker(self._load(), group="load", exclusive=True)

    def catch_up(self) -> None:
        """Read again, at most every few seconds: a plot is many bytes over a slow connection."""
        wait = _AT_MOST_EVERY_S - (time.monotonic() - self._read_at)
        if wait <= 0:
            self.run_worker(self._load(), group="load", exclusive=True)
        elif not self._waiting:
            self._waiting = True
            self.set_timer(wait, self._waited)

    def _waited(self) -> None:
        self._waiting = False
        if self.app.screen is self:
            self.catch_up()

    async def _load(self) -> None:
        self._read_at = time.monotonic()
        found = await self.fetch(self.context.store.call(lambda store: store.per_step()))
        if found is not None:
            self._summaries, self._read = found, True
            self.draw()

    @property
    def splits(self) -> list[str]:
        """The splits in the index, test first."""
        return sorted({one.split for one in self._summaries}, key=lambda name: (name != "test", name))

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures to choose from, the one shown among them."""
        found = available_measures(self._summaries)
        return found if self.measure in found else (*found, self.measure)

    def draw(self) -> None:
        """Draw the curves of the chosen measure and split."""
        if self.split not in self.splits:
            self.split = self.splits[0] if self.splits else ""
        found = [curve for curve in build_curves(self._summaries, self.measure) if curve.split == self.split]
        conditions = [curve.condition for curve in found if curve.condition]
        behind = {name: published_curve(self.published, name, self.measure) for name in conditions}
        self.series = make_series(found, behind if self.published else {})
        steps = list_steps(self.series)
        if self.step not in steps:
            self.step = steps[-1] if steps else None
        self.query_one(CurveList).show_series(self.series, self.step)
        self._show()

    @on(LineView.CursorMoved)
    def _show(self) -> None:
        chosen = self.query_one(CurveList).cursor
        self.query_one(CurvePlot).show_series(self.series, chosen, self.step)
        if not self._read:
            return
        parts: list[Part] = [(f" {self.measure.replace('_', ' ')}", "strong")]
        if self.series:
            parts.append((f"  {printable_line(self.split, 30)}  at step {self.step}", ""))
            parts.append(("  mean ± 95 %", "dim"))
        else:
            parts.append(("  nothing has a value yet" if self._summaries else "  no rollout here yet", "dim"))
        if self.published:
            known = any(one.published for one in self.series)
            words = f"  dots: published, {self.published} 3B" if known else f"  nothing published for {self.published}"
            parts.append((words, "dim"))
        self.query_one("#summary", TextRows).show(*parts)

    @on(CurveList.Stepped)
    def _stepped(self, event: CurveList.Stepped) -> None:
        steps = list_steps(self.series)
        if self.step in steps:
            self.step = steps[max(0, min(len(steps) - 1, steps.index(self.step) + event.by))]
            self.query_one(CurveList).show_series(self.series, self.step)
            self._show()

    @on(LineView.LineSelected)
    def _chosen(self, event: LineView.LineSelected) -> None:
        """Open the rollouts that a point stands for."""
        one = self.series[event.line]
        terms = [f"split:{quote_value(one.curve.split)}", f"step:{self.step}"]
        if one.curve.condition is not None:
            terms.insert(0, f"condition:{quote_value(one.curve.condition)}")
        path = f"{one.name}, step {self.step}"
        self.post_message(OpenRolloutList(self, path, " ".join(terms)))

    def action_measure(self, by: int) -> None:
        """Show the next or previous measure."""
        self.measure = self.measures[(self.measures.index(self.measure) + by) % len(self.measures)]
        self.draw()

    def action_choose_measure(self) -> None:
        """Ask which measure to show."""

        def chosen(index: int | None) -> None:
            if index is not None:
                self.measure = measures[index]
                self.draw()

        measures = self.measures
        names = [name.replace("_", " ") for name in measures]
        self.app.push_screen(ChoiceScreen("Which measure?", names, measures.index(self.measure)), chosen)

    def action_split(self) -> None:
        """Show the next split."""
        if self.splits:
            self.split = self.splits[(self.splits.index(self.split) + 1) % len(self.splits)]
            self.draw()

    def action_published(self) -> None:
        """Show the published curves of the next model behind the plot, or none."""
        self.published = _PUBLISHED[(_PUBLISHED.index(self.published) + 1) % len(_PUBLISHED)]
        self.draw()
