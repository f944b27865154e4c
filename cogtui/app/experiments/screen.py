"""Mode 1: the live matrix of an experiment, or the start page while there is none."""

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.app.experiments.accuracy_chart import AccuracyChart
from cogtui.app.experiments.claim_rows import claim_rows
from cogtui.app.experiments.experiment_actions import ExperimentActions
from cogtui.app.experiments.experiment_list import ExperimentList
from cogtui.app.experiments.matrix_data import (
    build_matrix,
    build_seed_matrix,
    condition_styles,
    count_states,
    count_unread,
    has_seeds,
)
from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.report_actions import ReportActions
from cogtui.app.rendering.states import format_time, state_style
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.opening import OpenLaunch
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.stages.stages_screen import StagesScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from jobs.state.types import STATE_GLYPHS
from pipelines.wording import count_of

if TYPE_CHECKING:
    from pathlib import Path

    from cogtui.app.curves.chart import ChartLine
    from cogtui.app.experiments.overview import ExperimentOverview, OverviewReader
    from cogtui.app.experiments.start_page import MachineFacts
    from jobs.planning.experiments import Experiment
    from jobs.recipe.bundled import RecipeSummary

_MACHINE_WAIT_S: Final = 0.3
"""Seconds that the start page waits for the facts about the machine: asking for GPUs can take long."""
_HIGH: Final = 32
_BROAD: Final = 150
"""Columns from which claims, curve and explanation stand side by side."""
_NEEDS_EXPERIMENT = frozenset(
    {
        "open_log",
        "search_logs",
        "open_traces",
        "cancel",
        "retry",
        "retry_all",
        "retry_changed",
        "copy_path",
        "copy_command",
        "experiment",
        "choose_experiment",
        "by_seed",
        "archive",
        "delete",
        "note_experiment",
        "tag_experiment",
        "compare",
        "clone",
        "report",
    }
)
"""Actions without effect on the start page, so that the key bar and the palette leave them out."""


class Overview(Container):
    """The list of experiments, the matrix of one, and below it what is claimed, its curve and details of a stage."""

    def __init__(self) -> None:
        super().__init__(id="overview")

    def compose(self) -> ComposeResult:
        titles = TextRows(widget_id="titles")
        with Panel(title="Experiments", panel_id="experiments-panel"):
            yield ExperimentList()
        with Panel(panel_id="matrix-panel"):
            yield TextRows(widget_id="summary")
            yield titles
            yield MatrixView(titles)
        with Container(id="answers"):
            with Panel(title="Do the habits pay?", subtitle="c for the tables", panel_id="claims-panel", text=True):
                yield DetailPane("claims")
            with Panel(title="Test accuracy", subtitle="4 for all curves", panel_id="accuracy-panel"):
                yield AccuracyChart()
            with Panel(title="Why", panel_id="facts-panel", text=True):
                yield DetailPane("facts")


class ExperimentsScreen(ExperimentActions, ReportActions, StagesScreen):
    """The matrix, with details of the stage under the cursor below it."""

    MODE = "Experiments"
    HELP_TITLE = "Experiments"
    FOOTER: ClassVar[tuple[str, ...]] = ("Enter", "c", "N", "l", "t", "n", "R")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "experiment(1)", "Next experiment"),
        Binding("p", "experiment(-1)", "Previous experiment", show=False),
        Binding("o", "choose_experiment", "Choose an experiment", show=False),
        Binding("N", "app.launch", "Launch"),
        Binding("c", "compare", "Compare"),
        Binding("v", "by_seed", "Seeds or stages", show=False),
        Binding("C", "clone", "Clone with changes", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._experiment_name: str | None = None
        self._wanted: str | None = None
        self._is_opening_start_page = False
        self._is_opening_overview = False
        self._by_seed: bool | None = None
        """Whether the matrix has a column per seed; None until the user chose, then by whether there are seeds."""
        self._overviews: tuple[ExperimentOverview, ...] = ()
        self._reader: OverviewReader | None = None
        self._matrix_height: int | None = None
        self._list_height: int | None = None
        self._overviews_of: WorkspaceSnapshot | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.has_class("-empty") and action in _NEEDS_EXPERIMENT:
            return False
        return super().check_action(action, parameters)

    def compose_body(self) -> ComposeResult:
        # The rest is mounted when the workspace is read: the first paint needs none of its twelve widgets.
        yield TextRows((" reading the workspace", "dim"), widget_id="reading")

    @property
    def stage_view(self) -> LineView:
        return self.query_one(MatrixView)

    @property
    def has_stage_view(self) -> bool:
        return bool(self.query(MatrixView))

    @property
    def stage_key(self) -> str | None:
        return self.query_one(MatrixView).key if self.has_stage_view else None

    def stages_in_scope(self) -> tuple[list[str], str]:
        experiment = next((one for one in self.context.snapshot.experiments if one.name == self._experiment_name), None)
        keys = dict.fromkeys(key for cell in experiment.cells for key in cell.stages.values()) if experiment else {}
        return list(keys), f"experiment {self._experiment_name}"

    def show_snapshot(self, snapshot: WorkspaceSnapshot) -> None:
        """Draw the changes of a snapshot."""
        if not snapshot.experiments:
            if snapshot.read:
                self._show_start_page()
            return
        if not self.has_stage_view:
            if not self._is_opening_overview:
                self._is_opening_overview = True
                self.run_worker(self._open_overview(), group="overview", exclusive=True)
            return
        view = self.query_one(MatrixView)
        summary = self.query_one("#summary", TextRows)
        if self.has_class("-empty"):
            self.remove_class("-empty")
            view.focus()
            self.refresh_bindings()
        names = [experiment.name for experiment in snapshot.experiments]
        if self._wanted in names:
            self._experiment_name, self._wanted = self._wanted, None
        if self._experiment_name not in names:
            self._experiment_name = names[0]
        place = names.index(self._experiment_name)
        experiment = snapshot.experiments[place]
        parts: list[Part] = [(f" {printable_line(experiment.name, 40)}", "strong")]
        if len(names) > 1:
            parts.append((f" ({place + 1} of {len(names)})", "dim"))
        if snapshot.problems:
            parts.append((f"  {count_of(len(snapshot.problems), 'damaged file')}", "warn"))
        parts.append((" ", ""))
        if unread := count_unread(experiment, snapshot):
            parts.append((f" reading the states of {count_of(unread, 'stage')} …", "dim"))
        else:
            for state, count in count_states(experiment, snapshot.states).items():
                parts.append((f" {STATE_GLYPHS[state]} {count} {state}", state_style(state)))
        keys = {key for cell in experiment.cells for key in cell.stages.values()}
        warned = sum(bool(snapshot.figures[key].warnings) for key in keys if key in snapshot.figures)
        if warned:
            parts.append((f"  ▲ warnings in {count_of(warned, 'stage')}", "warn"))
        notes = snapshot.notes.get(experiment.name)
        if notes is not None:
            parts += [(f"  #{printable_line(tag, 40)}", "key") for tag in notes.tags]
        parts.append((f"  started {format_time(experiment.time)}", "dim"))
        if notes is not None and notes.note:
            parts.append((f"  {printable_line(notes.note, 200)}", ""))
        summary.show(*parts)
        self.context.experiment = experiment.name
        by_seed = has_seeds(experiment) if self._by_seed is None else self._by_seed
        matrix = (
            build_seed_matrix(experiment, snapshot.states, snapshot.figures) if by_seed else build_matrix(experiment)
        )
        panel = self.query_one("#matrix-panel", Panel)
        panel.show_title(experiment.name)
        shape = f"{len(matrix.rows)} × {len(matrix.columns)} {'seeds' if by_seed else 'stages'}"
        panel.show_subtitle(f"{shape} · accuracy at the end · v: {'stages' if by_seed else 'seeds'}")
        styles = condition_styles(experiment, matrix) if by_seed else ()
        view.show_matrix(matrix, snapshot.states, snapshot.figures, styles, compact=by_seed, unread=snapshot.unread > 0)
        # What the matrix does not need goes to the answers below it.
        room = None if self.app.size.height < _HIGH else min(len(matrix.rows) + 4, self.app.size.height // 2)
        if room != self._matrix_height:
            self._matrix_height = room
            panel.styles.height = "1fr" if room is None else room
        self.query_one(AccuracyChart).show_experiment(experiment)
        self._show_number(len(names))
        self._show_overviews(names, place)
        self.query_one(ExperimentList).show_notes(snapshot.notes)
        self.show_facts()
        self._choose_answer()
        if snapshot is not self._overviews_of and not snapshot.unread:
            self._overviews_of = snapshot
            self.run_worker(self._read_overviews(snapshot), group="overviews", exclusive=True)

    def _show_number(self, count: int) -> None:
        """Give the list of experiments as many rows as it needs, up to seven, three where rows are scarce."""
        panel = self.query_one("#experiments-panel", Panel)
        panel.show_subtitle(f"{count}, Tab moves there" if count > 1 else "1")
        rows = min(count, 7 if self.app.size.height >= _HIGH else 3) + 2
        if rows != self._list_height:
            self._list_height = rows
            panel.styles.height = rows

    async def _read_overviews(self, snapshot: WorkspaceSnapshot) -> None:
        found = await self.fetch(self.context.work.call(lambda _: self._compute_overviews(snapshot)))
        if found is not None and found != self._overviews:
            self._overviews = found
            names = [experiment.name for experiment in snapshot.experiments]
            if self._experiment_name in names:
                self._show_overviews(names, names.index(self._experiment_name))
                self._choose_answer()

    def _compute_overviews(self, snapshot: WorkspaceSnapshot) -> "tuple[ExperimentOverview, ...]":
        from cogtui.app.experiments.overview import OverviewReader  # in the thread: it imports the analysis

        if self._reader is None:
            self._reader = OverviewReader()
        return self._reader.read(snapshot)

    def _show_overviews(self, names: list[str], place: int) -> None:
        self.query_one(ExperimentList).show_experiments(names, self._overviews, place)
        found = next((one for one in self._overviews if one.name == names[place]), None)
        self.query_one("#claims", DetailPane).show_with(lambda width: claim_rows(found, width))

    @on(LineView.CursorMoved)
    def _experiment_moved(self, event: LineView.CursorMoved) -> None:
        if not self.has_stage_view:
            return
        names = [experiment.name for experiment in self.context.snapshot.experiments]
        view = self.query_one(ExperimentList)
        moved = event.view is view and view.has_focus and view.cursor < len(names)
        if moved and names[view.cursor] != self._experiment_name:
            self._experiment_name = names[view.cursor]
            self.show_snapshot(self.context.snapshot)
        elif names:
            self._choose_answer()

    @on(LineView.LineSelected)
    def _line_selected(self, event: LineView.LineSelected) -> None:
        if isinstance(event.view, ExperimentList):
            event.stop()
            event.prevent_default()
            self.query_one(MatrixView).focus()

    def _choose_answer(self) -> None:
        if not self.has_stage_view:
            return
        # Where there is room for one of the two, a stage comes before what is claimed if it needs explaining or if the
        # cursor was moved to it.
        stage, view = self.stage, self.query_one(MatrixView)
        moved = (view.cursor, view.column) != (0, 0)
        explained = stage is not None and (moved or stage.state != "done" or not self._has_claims())
        if explained != self.has_class("-explain"):
            self.set_class(explained, "-explain")

    @on(events.Resize)
    def _resized(self) -> None:
        self.set_class(self.app.size.width >= _BROAD, "-broad")
        if self._experiment_name is not None:
            self.show_snapshot(self.context.snapshot)

    def _has_claims(self) -> bool:
        found = next((one for one in self._overviews if one.name == self._experiment_name), None)
        return found is not None and bool(found.claims or found.warnings)

    def action_compare(self) -> None:
        """Open the tables and claims of the experiment."""
        from cogtui.app.experiments.results_screen import ResultsScreen

        for experiment in self.context.snapshot.experiments:
            if experiment.name == self._experiment_name:
                self.app.push_screen(ResultsScreen(experiment))

    @property
    def experiment_name(self) -> str | None:
        return self._experiment_name

    @property
    def reported_experiment(self) -> "Experiment | None":
        return next((one for one in self.context.snapshot.experiments if one.name == self._experiment_name), None)

    def action_by_seed(self) -> None:
        """Switch the matrix between a column per seed and a column per stage."""
        experiment = next((one for one in self.context.snapshot.experiments if one.name == self._experiment_name), None)
        if experiment is not None:
            now = has_seeds(experiment) if self._by_seed is None else self._by_seed
            self._by_seed = not now
            self.show_snapshot(self.context.snapshot)

    async def _open_overview(self) -> None:
        """Mount the list, the matrix and the answers, fill them, and paint them once."""
        self.paint_changes_once()
        self.add_class("-explain", update=False)  # as a rule; added after the styling it would style everything again
        await self.mount(Overview(), after="#reading")
        self.query_one("#reading").display = False
        self.query_one(MatrixView).focus()
        self.show_snapshot(self.context.snapshot)
        self.refresh_bindings()
        self.paint_changes_once()

    def _show_start_page(self) -> None:
        if not self.has_class("-empty") and not self._is_opening_start_page:
            self._is_opening_start_page = True
            self.run_worker(self._open_start_page(), group="start", exclusive=True)

    async def _open_start_page(self) -> None:
        """Show the start page once its facts are read, so that it is painted once."""
        # Not the thread `work`, which first imports the modules of other screens.
        context = self.context
        found = await self.fetch(context.control.call(lambda _: _read_start_page()))
        recipes, published = found or ([], [])
        place = context.workspace.path
        machine = asyncio.ensure_future(self.fetch(context.control.call(lambda _: _machine_facts(place))))
        await asyncio.wait({machine}, timeout=_MACHINE_WAIT_S)
        self._is_opening_start_page = False
        if context.snapshot.experiments:
            return  # one was started meanwhile
        from cogtui.app.experiments.start_page import StartPage, import_config_models

        self.paint_changes_once()
        self.add_class("-empty")
        page = self.query(StartPage).first() if self.query(StartPage) else StartPage(recipes, published)
        if not page.is_mounted:
            self.query_one("#reading").display = False
            await self.mount(page, after="#reading")
        page.focus_recipes()
        if machine.done() and (facts := machine.result()) is not None:
            page.show_machine(facts)
        self.refresh_bindings()
        self.paint_changes_once()
        if (facts := await machine) is not None:
            page.show_machine(facts)
        if recipes:
            await self.fetch(context.work.call(lambda _: import_config_models(recipes[0].path)))

    def select_experiment(self, name: str) -> None:
        """Show an experiment, as soon as the workspace is read if it is new."""
        self._wanted = name
        self.show_snapshot(self.context.snapshot)

    def action_clone(self) -> None:
        """Open the launch screen with the recipe and the changes of the experiment."""
        for experiment in self.context.snapshot.experiments:
            if experiment.name == self._experiment_name:
                self.post_message(OpenLaunch(self, experiment=experiment))
                return
        self.show_message("there is no experiment to clone")

    def action_experiment(self, step: int) -> None:
        """Show another experiment of the workspace."""
        names = [experiment.name for experiment in self.context.snapshot.experiments]
        if len(names) < 2:
            self.show_message("there is no other experiment")
        elif self._experiment_name in names:
            self._experiment_name = names[(names.index(self._experiment_name) + step) % len(names)]
            self.show_snapshot(self.context.snapshot)

    def action_choose_experiment(self) -> None:
        """Ask which experiment to show."""
        names = [experiment.name for experiment in self.context.snapshot.experiments]
        if not names:
            return

        def chosen(index: int | None) -> None:
            if index is not None:
                self._experiment_name = names[index]
                self.show_snapshot(self.context.snapshot)

        now = names.index(self._experiment_name) if self._experiment_name in names else 0
        self.app.push_screen(ChoiceScreen("Which experiment?", names, now), chosen)


def _read_start_page() -> "tuple[list[RecipeSummary], list[ChartLine]]":
    """Read the bundled recipes and published curves, after importing in this thread what shows them."""
    import cogtui.app.experiments.start_page  # noqa: F401
    from cogtui.app.experiments.published_chart import published_lines
    from jobs.recipe.bundled import bundled_recipes

    return bundled_recipes(), published_lines()


def _machine_facts(place: "Path") -> "MachineFacts":
    from cogtui.app.experiments.start_page import machine_facts

    return machine_facts(place)
