"""Mode 1: the live matrix of an experiment."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.experiments.matrix_data import build_matrix, count_states
from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.start_page import StartPage
from cogtui.app.rendering.states import format_time, state_style
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.opening import OpenLaunch
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.stages.stages_screen import StagesScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows
from jobs.state.types import STATE_GLYPHS

_NEEDS_EXPERIMENT = frozenset(
    {
        "open_log",
        "open_traces",
        "cancel",
        "retry",
        "copy_path",
        "copy_command",
        "experiment",
        "choose_experiment",
        "clone",
    }
)
"""Actions without effect on the start page, so that the key bar and the palette leave them out."""


class ExperimentsScreen(StagesScreen):
    """The matrix, with details of the stage under the cursor below it."""

    MODE = "Experiments"
    HELP_TITLE = "Experiments"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "experiment(1)", "Next experiment"),
        Binding("p", "experiment(-1)", "Previous experiment", show=False),
        Binding("o", "choose_experiment", "Choose an experiment", show=False),
        Binding("N", "app.launch", "Launch"),
        Binding("C", "clone", "Clone with changes", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._experiment_name: str | None = None
        self._wanted: str | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.has_class("-empty") and action in _NEEDS_EXPERIMENT:
            return False
        return super().check_action(action, parameters)

    def compose_body(self) -> ComposeResult:
        titles = TextRows(widget_id="titles")
        yield TextRows(widget_id="summary")
        yield titles
        yield MatrixView(titles)
        yield DetailPane("facts")

    @property
    def stage_view(self) -> LineView:
        return self.query_one(MatrixView)

    @property
    def stage_key(self) -> str | None:
        return self.query_one(MatrixView).key

    def show_snapshot(self, snapshot: WorkspaceSnapshot) -> None:
        """Draw the changes of a snapshot."""
        view = self.query_one(MatrixView)
        summary = self.query_one("#summary", TextRows)
        if not snapshot.experiments:
            summary.show((" reading the workspace", "dim"))
            if snapshot.read:
                self._show_start_page()
            return
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
            parts.append((f"  {len(snapshot.problems)} damaged files", "warn"))
        parts.append((" ", ""))
        for state, count in count_states(experiment, snapshot.states).items():
            parts.append((f" {STATE_GLYPHS[state]} {count} {state}", state_style(state)))
        keys = {key for cell in experiment.cells for key in cell.stages.values()}
        warned = sum(bool(snapshot.figures[key].warnings) for key in keys if key in snapshot.figures)
        if warned:
            parts.append((f"  ▲ warnings in {warned} stage{'s' if warned > 1 else ''}", "warn"))
        parts.append((f"  started {format_time(experiment.time)}", "dim"))
        summary.show(*parts)
        view.show_matrix(build_matrix(experiment), snapshot.states, snapshot.figures)
        self.show_facts()

    def _show_start_page(self) -> None:
        if self.has_class("-empty"):
            return
        self.add_class("-empty")
        if not self.query(StartPage):
            self.mount(StartPage(), after="#facts")
        else:
            self.query_one(StartPage).focus_recipes()

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
