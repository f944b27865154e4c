"""The base of screens that show stages in a list or a matrix, with details of the stage under the cursor."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from cogtui.app.rendering.states import urgency
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.stages.actions import StageActions
from cogtui.app.stages.facts import stage_rows
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.line_view import LineView


class StagesScreen(StageActions):
    """A live view of stages. Subclasses compose a `LineView` and a `DetailPane` named `facts`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search_logs", "Search all logs")]
    SHOWS_ATTEMPTS: ClassVar[bool] = False
    """Whether the details list the attempts of the stage."""

    @property
    def stage_view(self) -> LineView:
        """The view whose cursor is on a stage."""
        raise NotImplementedError

    def show_snapshot(self, snapshot: WorkspaceSnapshot) -> None:
        """Draw the changes of a snapshot."""
        raise NotImplementedError

    @property
    def has_stage_view(self) -> bool:
        """Whether the view is mounted."""
        return True

    def action_search_logs(self) -> None:
        """Search the logs of all stages of this screen."""
        from cogtui.app.stages.log_search_screen import LogSearchScreen

        keys, scope = self.stages_in_scope()
        states = self.context.snapshot.states
        logged = sorted((states[key] for key in keys if key in states and states[key].attempts), key=urgency)
        if logged:
            self.app.push_screen(LogSearchScreen(self.mode, [stage.key for stage in logged], scope))
        else:
            done = any(key in states and states[key].state == "done" for key in keys)
            self.show_message(
                "no log to search: this workspace has only the results of these stages, as a showcase does"
                if done
                else "no stage has a log yet"
            )

    def on_mount(self) -> None:
        if self.has_stage_view:
            self.stage_view.focus()
        self.watch_signal(self.shared.snapshot_signal, self.show_snapshot)
        self.show_snapshot(self.context.snapshot)

    def catch_up(self) -> None:
        self.show_snapshot(self.context.snapshot)

    @on(LineView.CursorMoved)
    def _cursor_moved(self) -> None:
        self.show_facts()

    def show_facts(self) -> None:
        """Show the details of the stage under the cursor, and in the key bar what can be done with it."""
        self.update_stage_keys()
        if not self.has_stage_view:
            return  # the screen shows something else, with a cursor of its own
        stage, attempts = self.stage, self.SHOWS_ATTEMPTS
        figures = self.context.snapshot.figures.get(self.stage_key or "")
        self.query_one("#facts", DetailPane).show_with(
            lambda width: stage_rows(stage, figures, width, attempts=attempts)
        )

    @on(LineView.LineSelected)
    def _stage_selected(self) -> None:
        self.action_open_stage()
