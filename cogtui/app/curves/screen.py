"""Mode 4: the curves of an experiment as small multiples, with intervals over seeds; Enter opens a point's rollouts."""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.analysis.curves import (
    RunPlace,
    available_measures,
    place_runs,
    places_by_condition,
)
from cogtui.analysis.figures import Figure, export_figure
from cogtui.analysis.measures import ROLLOUTS, ChartMeasure, list_measures
from cogtui.app.curves.building import ChartRequest, build_charts
from cogtui.app.curves.chart import CORRECTED, ChartLine, ChartView, list_steps
from cogtui.app.curves.chart_grid import Chart, ChartGrid
from cogtui.app.curves.experiment_choice import ExperimentChoice
from cogtui.app.curves.legend import CurveLegend
from cogtui.app.curves.reading import CurveData, read_curves
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen
from cogtui.app.shell.list_query import quote_value
from cogtui.app.shell.opening import OpenRolloutList
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.widgets.bars import TopBar
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store.values.types import MetricStep
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import CogtuiError
from pipelines.files import expand_user

_AT_MOST_EVERY_S: Final = 5.0
_SHARE_OF_TIME: Final = 10
"""Reading takes at most one part in so many of the time, where curves are very long."""
_PUBLISHED: Final = ("", "llama", "qwen")
_SMOOTHINGS: Final = (0.0, 0.6, 0.9)


class CurvesScreen(ExperimentChoice):
    """The dashboard."""

    MODE = "Curves"
    HELP_TITLE = "Curves"
    FOOTER = ("Tab", "Enter", "z", "m", "p", "e")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z", "zoom", "Zoom"),
        Binding("m", "measures", "Measures"),
        Binding("p,b", "published", "Published behind", key_display="p"),
        Binding("e", "export", "Export"),
        Binding("s", "split", "Split of the rollouts", show=False),
        Binding("w", "smooth", "Smooth", show=False),
        Binding("c", "corrected", "Corrected by labels, or as judged", show=False),
        Binding("g", "log_axis", "Logarithmic axis", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.measures: list[ChartMeasure] = []
        """The measures that there are."""
        self.hidden: set[str] = set()
        """Keys of measures that are not shown."""
        self.split = ""
        self.published = ""
        self.chosen = ""
        """Name of the group whose band is shown and whose rollouts Enter opens."""
        self.shows_corrected = True
        self.view = ChartView()
        self.names: list[str] = []
        """Names of all groups, in the order of their letters."""
        self._data = CurveData([], frozenset())
        self._rows: Mapping[tuple[str, str], list[MetricStep]] = {}
        self._places: Mapping[str, RunPlace] = {}
        self._others: set[str] = set()
        self._read_at = 0.0
        self._took = 0.0
        self._read = False
        self._waiting = False

    def compose_body(self) -> ComposeResult:
        yield TextRows((" reading the index", "dim"), widget_id="summary")
        yield ChartGrid()
        with Panel(title="At the cursor", panel_id="legend-panel", text=True):
            yield CurveLegend()

    @property
    def grid(self) -> ChartGrid:
        """The charts."""
        return self.query_one(ChartGrid)

    def on_mount(self) -> None:
        self.view = ChartView(no_color=self.app.no_color)
        self.grid.focus()
        self.watch_signal(self.shared.store_signal, lambda _: self.catch_up())
        self.watch_signal(self.shared.snapshot_signal, self._experiments_changed)
        self.load_soon()

    def _experiments_changed(self, snapshot: WorkspaceSnapshot) -> None:
        if self.wanted_experiments(snapshot) != self.experiments:
            self.load_soon()

    def catch_up(self) -> None:
        """Read again, at most every few seconds: charts are many bytes over a slow connection."""
        wait = max(_AT_MOST_EVERY_S, _SHARE_OF_TIME * self._took) - (time.monotonic() - self._read_at)
        if wait <= 0:
            self.load_soon()
        elif not self._waiting:
            self._waiting = True
            self.set_timer(wait, self._waited)

    def _waited(self) -> None:
        self._waiting = False
        if self.app.screen is self:
            self.catch_up()

    def load_soon(self) -> None:
        self.run_worker(self._load(), group="load", exclusive=True)

    async def _load(self) -> None:
        self._read_at = time.monotonic()
        snapshot = self.context.snapshot
        wanted = self.wanted_experiments(snapshot)
        places: dict[str, RunPlace] = {}
        for experiment in snapshot.experiments:
            if experiment.name in wanted:
                prefix = f"{experiment.name} · " if len(wanted) > 1 else ""
                places |= place_runs(experiment.cells, prefix)
        found = await self.fetch(self.context.store.call(lambda store: read_curves(store, places)))
        if found is None:
            return
        self.experiments = wanted
        self._data, self._read = found, True
        self._places = places or places_by_condition(found.summaries)
        self._list_measures()
        # The usual charts first; what else there is, is read when it is chosen.
        rows: defaultdict[tuple[str, str], list[MetricStep]] = defaultdict(list)
        for stage in self._places:
            streams = self._streams()
            if streams:
                read = await self.fetch(
                    self.context.store.call(
                        lambda store, stage=stage, streams=streams: [  # type: ignore[misc]
                            row for stream, names in streams.items() for row in store.metric_steps(stage, stream, names)
                        ]
                    )
                )
                for row in read or ():
                    rows[row.stream, row.name].append(row)
        self._rows = rows
        await self._draw()
        self._took = time.monotonic() - self._read_at

    def _list_measures(self) -> None:
        of_rollouts = available_measures(self._data.summaries) if self._data.summaries else ()
        behaviors = [name for name in BEHAVIORS if name in of_rollouts or ("metrics-eval", name) in self._data.names]
        usual, others = list_measures(of_rollouts, self._data.names, behaviors)
        self.measures = [*usual, *others]
        new = {one.key for one in others} - self._others
        self._others |= new
        self.hidden |= new  # offered under `m`, not shown at first

    def _streams(self) -> dict[str, list[str]]:
        """Return the names of the metrics to read, by stream."""
        streams: dict[str, list[str]] = {}
        for one in self.shown_measures:
            if one.source != ROLLOUTS:
                streams.setdefault(one.source, []).append(one.name)
        return streams

    @property
    def shown_measures(self) -> list[ChartMeasure]:
        """The measures that have a chart."""
        return [one for one in self.measures if one.key not in self.hidden]

    @property
    def splits(self) -> list[str]:
        """The splits of the rollouts, test first."""
        known = {one.split for one in self._data.summaries if one.stage in self._places}
        return sorted(known, key=lambda name: (name != "test", name))

    def draw(self) -> None:
        """Draw the charts anew from what was read."""
        self.run_worker(self._draw(), group="draw", exclusive=True)

    async def _draw(self) -> None:
        if self.split not in self.splits:
            self.split = self.splits[0] if self.splits else ""
        request = ChartRequest(
            self.shown_measures,
            self._data.summaries,
            self._rows,
            self._places,
            not self.experiments,
            self.split,
            self.published,
            self.view,
            self._data.labelled if self.shows_corrected else (),
        )
        built = await self.fetch(self.context.work.call(lambda _: build_charts(request)))
        if built is None:
            return
        self.names = built.names
        if self.chosen not in self.names:
            self.chosen = self.names[0] if self.names else ""
        self._show(built.charts)

    def _show(self, charts: list[Chart] | None = None) -> None:
        grid = self.grid
        shown = list(grid.charts) if charts is None else charts
        keys = [one.key for one in shown]
        focused = grid.chart.key if grid.chart is not None and grid.chart.key in keys else ""
        here = next((one for one in shown if one.key == focused), shown[0] if shown else None)
        steps = list_steps(here.lines) if here is not None else []
        if steps and (self.step is None or self.step not in steps):
            near = steps[-1] if self.step is None else min(steps, key=lambda step: abs(step - (self.step or 0)))
            self.step = near
        grid.show_charts(shown, self.chosen, self.step, self.view)
        self.query_one(CurveLegend).show_lines(here.lines if here is not None else (), self.chosen, self.step)
        panel = self.query_one("#legend-panel", Panel)
        panel.display = bool(shown)
        panel.show_title(here.title if here is not None else "")
        self._show_summary(shown)
        for bar in self.query(TopBar):
            bar.show_path(" + ".join(self.experiments))

    def _show_summary(self, charts: list[Chart]) -> None:
        if not self._read:
            return
        parts: list[Part] = []
        if not charts:
            words = "no chart chosen; m lists the measures" if self.measures else "no rollout here yet"
            parts.append((f" {words}", "dim"))
        else:
            page = self.grid.page()
            if len(page) < len(charts):
                shown = f"s {page.start + 1}–{page.stop}" if len(page) > 1 else f" {page.stop}"
                parts.append((f" chart{shown} of {len(charts)}", ""))
                parts.append((", Tab goes on", "dim"))
            else:
                parts.append((f" {len(charts)} chart{'' if len(charts) == 1 else 's'}", ""))
            seeds = max(
                (point.seeds for chart in charts for one in chart.lines for point in one.curve.points), default=0
            )
            over = f"mean of {seeds} seeds, 95 % interval (Student's t)" if seeds > 1 else "one seed: no interval"
            parts.append((f"  {over}", "dim"))
            if self.view.smoothing:
                parts.append((f"  smoothed {self.view.smoothing:g}", "warn"))
            if self.view.log_axis:
                parts.append(("  logarithmic axis", "warn"))
            if any(one.corrected for chart in charts for one in chart.lines):
                parts.append((f"  {CORRECTED} corrected by labels (c)", "dim"))
        if self.published:
            known = any(one.published for chart in charts for one in chart.lines)
            words = f"  dots: published, {self.published} 3B" if known else f"  nothing published for {self.published}"
            parts.append((words, "dim"))
        self.query_one("#summary", TextRows).show(*parts)

    def _steps_here(self) -> list[int]:
        chart = self.grid.chart
        return [] if chart is None else list_steps(chart.lines)

    @on(ChartGrid.Stepped)
    def _stepped(self, event: ChartGrid.Stepped) -> None:
        steps = self._steps_here()
        if self.step in steps:
            self.step = steps[max(0, min(len(steps) - 1, steps.index(self.step) + event.by))]
            self._show()

    @on(ChartGrid.StepPointed)
    def _pointed(self, event: ChartGrid.StepPointed) -> None:
        steps = self._steps_here()
        if steps:
            self.step = min(steps, key=lambda step: abs(step - event.step))
            self._show()

    @on(ChartGrid.GroupStepped)
    def _group_stepped(self, event: ChartGrid.GroupStepped) -> None:
        if self.chosen in self.names:
            self.chosen = self.names[(self.names.index(self.chosen) + event.by) % len(self.names)]
            self._show()

    @on(ChartGrid.ChartChanged)
    def _chart_changed(self) -> None:
        self._show()

    def _line_here(self) -> ChartLine | None:
        chart = self.grid.chart
        return None if chart is None else next((one for one in chart.lines if one.name == self.chosen), None)

    @on(ChartGrid.PointChosen)
    def _open_point(self) -> None:
        """Open the rollouts that a point stands for."""
        line = self._line_here()
        if line is None or self.step is None or line.at(self.step) is None:
            self.show_message(f"{printable_line(self.chosen, 60) or 'nothing'} has no value at this step")
            return
        curve = line.curve
        stages = curve.stages or tuple(key for key, place in self._places.items() if place.group == curve.group)
        terms = [f"step:{self.step}"]
        split = curve.split or self._split_of_metric(stages)
        if split:
            terms.insert(0, f"split:{quote_value(split)}")
        if self.experiments:
            terms.insert(0, "(" + " OR ".join(f"stage:{stage}" for stage in stages) + ")")
        elif curve.condition is not None:
            terms.insert(0, f"condition:{quote_value(curve.condition)}")
        self.post_message(OpenRolloutList(self, f"{line.name}, step {self.step}", " ".join(terms)))

    def _split_of_metric(self, stages: Collection[str]) -> str:
        """Return the split that the metric in focus was measured on, where these stages have such rollouts here."""
        chart = self.grid.chart
        measure = next((one for one in self.measures if chart is not None and one.key == chart.key), None)
        split = measure.split if measure is not None else ""
        there = any(
            one.split == split and one.step == self.step and one.stage in stages for one in self._data.summaries
        )
        return split if there else ""

    @on(ChartGrid.ZoomToggled)
    def action_zoom(self) -> None:
        """Show the chart in focus alone over the whole screen, or all charts again."""
        if self.grid.charts:
            self.grid.zoomed = not self.grid.zoomed
            self._show()

    def action_up(self) -> None:
        """Leave the zoom first."""
        if self.grid.zoomed:
            self.action_zoom()
        else:
            super().action_up()

    def action_measures(self) -> None:
        """Ask for a measure to show or hide; a shown one that is not in focus is brought into focus."""
        if not self.measures:
            self.show_message("no measure yet: nothing was read")
            return
        here = self.grid.chart.key if self.grid.chart is not None else ""

        def chosen(index: int | None) -> None:
            if index is None:
                return
            key = self.measures[index].key
            if key in self.hidden:
                self.hidden.discard(key)
                self.load_soon()
            elif key == here:
                self.hidden.add(key)
                self.draw()
            else:
                keys = [one.key for one in self.grid.charts]
                if key in keys:
                    self.grid.focused_chart = keys.index(key)
                    self._show()
                else:
                    self.show_message("this measure has no value yet")

        names = [f"{'●' if one.key not in self.hidden else '○'} {one.title}" for one in self.measures]
        keys = [one.key for one in self.measures]
        self.app.push_screen(
            ChoiceScreen(
                "Which measure? ● is shown; the one in focus is hidden", names, keys.index(here) if here in keys else 0
            ),
            chosen,
        )

    def action_split(self) -> None:
        """Show the rollouts of the next split."""
        if self.splits:
            self.split = self.splits[(self.splits.index(self.split) + 1) % len(self.splits)]
            self.draw()
            self.show_message(f"rollouts of split {printable_line(self.split, 30)}")

    def action_published(self) -> None:
        """Show the published curves of the next model behind the charts, or none."""
        self.published = _PUBLISHED[(_PUBLISHED.index(self.published) + 1) % len(_PUBLISHED)]
        self.draw()

    def action_corrected(self) -> None:
        """Show counts corrected by people's labels beside those of the judge, or the judge's alone."""
        self.shows_corrected = not self.shows_corrected
        self.draw()
        if self.shows_corrected and not self._data.labelled:
            self.show_message("no rollout is labelled by a person (cogtui gold next)")

    def action_smooth(self) -> None:
        """Smooth the lines more, or not at all."""
        now = _SMOOTHINGS.index(self.view.smoothing)
        self.view = self.view._replace(smoothing=_SMOOTHINGS[(now + 1) % len(_SMOOTHINGS)])
        self.draw()

    def action_log_axis(self) -> None:
        """Switch the vertical axis between linear and logarithmic."""
        self.view = self.view._replace(log_axis=not self.view.log_axis)
        self.draw()

    def action_export(self) -> None:
        """Ask for a file and write the chart in focus: SVG, PNG or CSV by its ending."""
        chart = self.grid.chart
        if chart is None:
            self.show_message("there is no chart to export")
            return
        figure = Figure(chart.title, [one.curve for one in chart.lines])
        name = "-".join([*self.experiments, chart.key.rpartition(":")[2]])
        safe = "".join(char if char.isalnum() or char in "-_." else "-" for char in name)

        def named(path: str | None) -> None:
            if path:
                self.run_worker(self._export(figure, Path(path)), group="export")

        self.app.push_screen(
            AskScreen("Write this chart to which file? .svg, .png or .csv", str(Path.cwd() / f"{safe}.svg")), named
        )

    async def _export(self, figure: Figure, path: Path) -> None:
        try:
            written = await self.context.work.call(lambda _: export_figure(figure, expand_user(path)))
        except CogtuiError as error:
            self.show_error(error)
        else:
            self.show_message(f"written: {written}")
