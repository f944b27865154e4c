"""Mode 2: every stage of the workspace in a live table, with attempts and failure reasons beside it."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.app.rendering.column_layout import Column
from cogtui.app.rendering.states import URGENCY, format_time, progress_text, state_style, state_text, urgency
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.stages.facts import short_title
from cogtui.app.stages.stages_screen import StagesScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.keyed_table import Cells, KeyedTable
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from jobs.state.types import STATE_GLYPHS, StageState

COLUMNS = (
    Column("state", "state", 14),
    Column("stage", "stage", 10),
    Column("labels", "run", 21, grows=True),
    Column("progress", "progress or reason", 20, grows=True),
    Column("try", "try", 3, right=True, rank=1),
    Column("since", "submitted", 16, rank=2),
    Column("key", "key", 24, rank=3),
)


class JobsScreen(StagesScreen):
    """All stages: running ones first, then those that need attention, those that wait, those that are done."""

    MODE = "Jobs"
    HELP_TITLE = "Jobs"
    SHOWS_ATTEMPTS = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "toggle_all", "All or unfinished"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._everything = True

    def compose_body(self) -> ComposeResult:
        titles = TextRows(widget_id="titles")
        yield TextRows(widget_id="summary")
        with Container(classes="split"):
            with Panel(title="Stages", panel_id="stages-panel"):
                yield titles
                yield KeyedTable(COLUMNS, titles)
            with Panel(title="Why", panel_id="facts-panel", text=True):
                yield DetailPane("facts")

    @property
    def stage_view(self) -> LineView:
        return self.query_one(KeyedTable)

    @property
    def stage_key(self) -> str | None:
        return self.query_one(KeyedTable).key

    def log_scope(self) -> tuple[list[str], str]:
        stages = sorted(self.context.snapshot.states.values(), key=urgency)
        return [stage.key for stage in stages if stage.attempts], "all stages of the workspace"

    def show_snapshot(self, snapshot: WorkspaceSnapshot) -> None:
        """Draw the changes of a snapshot."""
        stages = sorted(snapshot.states.values(), key=lambda stage: (urgency(stage), -_submitted(stage), stage.key))
        counts = {state: sum(stage.state == state for stage in stages) for state in URGENCY}
        parts: list[Part] = []
        for state, count in counts.items():
            if count:
                parts.append((f" {STATE_GLYPHS[state]} {count} {state} ", state_style(state)))
        if not self._everything:
            parts.append(("  done ones hidden (a)", "dim"))
        nothing = "no stage here yet" if snapshot.read else "reading the workspace"
        self.query_one("#summary", TextRows).show(*(parts or [(f" {nothing}", "dim")]))
        shown = [stage for stage in stages if self._everything or stage.state not in ("done", "planned")]
        self.query_one(KeyedTable).set_rows([(stage.key, _cells(stage)) for stage in shown])
        self.show_facts()

    def action_toggle_all(self) -> None:
        """Show every stage, or hide those that are done or only planned."""
        self._everything = not self._everything
        self.show_snapshot(self.context.snapshot)


def _submitted(stage: StageState) -> float:
    return stage.attempt.submitted if stage.attempt is not None else 0.0


def _cells(stage: StageState) -> Cells:
    attempts = len(stage.attempts)
    story: Part = (printable_line(stage.reason), state_style(stage.state))
    if not stage.reason:
        story = (progress_text(stage.progress) if stage.state != "done" else "", "dim")
    return {
        "state": (state_text(stage), state_style(stage.state)),
        "stage": (printable_line(stage.name or stage.kind, 60), ""),
        "labels": (printable_line(short_title(stage.labels), 120), ""),
        "progress": story,
        "try": (str(attempts) if attempts else "", "dim"),
        "since": (format_time(_submitted(stage)) if attempts else "", "dim"),
        "key": (stage.key, "dim"),
    }
