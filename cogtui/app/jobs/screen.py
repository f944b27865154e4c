"""Mode 2: the queue in the order it will run, with use, machines, the reason of a failure and the end of the log."""

import time
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.app.jobs.activity import ActivityReader, JobsActivity
from cogtui.app.jobs.log_tail import LogTail
from cogtui.app.jobs.machine_rows import machine_rows
from cogtui.app.jobs.queue_rows import COLUMNS, FILTERS, passes, queue_cells, sort_key, state_counts_by_name
from cogtui.app.rendering.states import URGENCY, state_style
from cogtui.app.rendering.styles import Part
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.stages.stages_screen import StagesScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.keyed_table import KeyedTable
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from jobs.state.queue_order import queue_order
from jobs.state.types import STATE_GLYPHS

_LOOK_S: Final = 2.0
_RARELY: Final = 10
"""Looks of `_LOOK_S` between two readings while no stage is active."""


class JobTable(KeyedTable):
    """The table of stages."""

    TITLE = "queue"


class JobsScreen(StagesScreen):
    """All stages: the queue as it will run, then what needs attention, what is planned, what is done."""

    MODE = "Jobs"
    HELP_TITLE = "Jobs"
    SHOWS_ATTEMPTS = True
    FOOTER: ClassVar[tuple[str, ...]] = ("Enter", "x", "r", "F", "l", "t", "/", "f")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f,a", "next_filter", "All, unfinished or failed", key_display="f"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._filter = FILTERS[0]
        self._activity: JobsActivity | None = None
        self._activity_reader: ActivityReader | None = None
        self._looks = 0

    def compose_body(self) -> ComposeResult:
        titles = TextRows(widget_id="titles")
        yield TextRows(widget_id="summary")
        with Panel(title="Queue, in the order it will run", panel_id="stages-panel"):
            yield titles
            yield JobTable(COLUMNS, titles)
        with Container(id="jobs-below"):
            with Panel(title="Why", panel_id="facts-panel", text=True):
                yield DetailPane("facts")
            with Panel(title="Machines", panel_id="machines-panel", text=True):
                yield DetailPane("machines")
        with Panel(title="Log", subtitle="l opens it", panel_id="tail-panel", text=True):
            yield LogTail()

    def on_mount(self) -> None:
        super().on_mount()
        self.call_every(_LOOK_S, self._look)
        self.call_after_refresh(self._look)

    @property
    def stage_view(self) -> LineView:
        return self.query_one(JobTable)

    @property
    def stage_key(self) -> str | None:
        return self.query_one(JobTable).key

    def stages_in_scope(self) -> tuple[list[str], str]:
        return list(self.context.snapshot.states), "all stages of the workspace"

    def show_snapshot(self, snapshot: WorkspaceSnapshot) -> None:
        """Draw the changes of a snapshot."""
        states = {} if snapshot.unread else snapshot.states  # a part of them would look like all
        activity = self._activity
        if activity is None or any(key not in states for key in activity.places):
            activity = JobsActivity(queue_order(states, {}))
        stages = sorted(states.values(), key=lambda stage: sort_key(stage, activity))
        counts = state_counts_by_name(states)
        parts: list[Part] = []
        for state in URGENCY:
            if state in counts:
                parts.append((f" {STATE_GLYPHS[state]} {counts[state]} {state} ", state_style(state)))
        nothing = "no stage here yet" if snapshot.read and not snapshot.unread else "reading the workspace"
        self.query_one("#summary", TextRows).show(*(parts or [(f" {nothing}", "dim")]))
        shown = [stage for stage in stages if passes(stage, self._filter)]
        now = time.time()
        self.query_one(JobTable).set_rows([(stage.key, queue_cells(stage, activity, now)) for stage in shown])
        panel = self.query_one("#stages-panel", Panel)
        panel.show_subtitle(f"{len(shown):,} of {len(stages):,} · f: {self._filter}")
        self.show_facts()

    def show_facts(self) -> None:
        super().show_facts()
        stage = self.stage
        self.query_one(LogTail).show_log_of(None if stage is None or not stage.attempts else stage.key)

    def _look(self) -> None:
        """Read what is shown beside the states: often while a stage is active, else rarely."""
        states = self.context.snapshot.states
        is_active = any(state.active for state in states.values())
        self._looks += 1
        if self._activity is None or is_active or self._looks % _RARELY == 0:
            self.run_worker(self._read_activity(), group="activity", exclusive=True)
        self.query_one(LogTail).poll()

    async def _read_activity(self) -> None:
        workspace, states = self.context.workspace, self.context.snapshot.states

        def read() -> JobsActivity:
            if self._activity_reader is None:
                self._activity_reader = ActivityReader(workspace)
            return self._activity_reader.read(states)

        found = await self.fetch(self.context.work.call(lambda _: read()))
        if found is not None:
            self._activity = found
            self.query_one("#machines", DetailPane).show_with(lambda width: machine_rows(found, width))
            self.show_snapshot(self.context.snapshot)

    def action_next_filter(self) -> None:
        """List all stages, those that have not ended well, or those that need attention."""
        self._filter = FILTERS[(FILTERS.index(self._filter) + 1) % len(FILTERS)]
        self.show_snapshot(self.context.snapshot)
