"""The reader: one rollout's completion with spans, legend and minimap, with its spans and problem beside it."""

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.rollout.span_list import SpanList
from cogtui.app.rollout.trace_data import (
    EMPTY_VIEW,
    ProblemFacts,
    RulesJudgement,
    problem_facts,
    rules_judgement,
    view_judge_run,
)
from cogtui.app.rollout.trace_facts import head_rows, judge_name, minimap_parts, problem_rows, span_rows
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.chords import ChordScreen
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.shell.opening import OpenAnnotation
from cogtui.app.shell.screen_pool import ReusableScreen
from cogtui.app.shell.trace_order import ListOrder
from cogtui.app.traces.compare.compare_actions import CompareActions
from cogtui.app.traces.note_actions import NoteActions
from cogtui.app.traces.reader.search_actions import SearchActions
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import Query, RolloutRow, Store
from cogtui.store.values.import_facts import text_parts
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.errors import InvalidInput
from pipelines.records import Behavior

R = TypeVar("R")
Pane = Literal["none", "spans", "problem"]
_TOGETHER_S: Final = 0.05
"""Seconds that a trace waits for derived facts before it is shown without them."""
_READING: Final[list[list[Part]]] = [[(" reading", "dim")], []]
_UNREADABLE: Final[list[list[Part]]] = [[(" this rollout cannot be read", "bad")], []]
_AFTER: dict[Pane, Pane] = {"none": "spans", "spans": "problem", "problem": "none"}


class TraceScreen(SearchActions, ChordScreen, CompareActions, NoteActions, ReusableScreen):
    """One rollout, with keys that go to its neighbours in the list. `read` sets both."""

    HELP_TITLE = "Trace"
    FOOTER = ("]v", "n", "d", "a", "w", "y", "i", "p")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "neighbour(-1)", "Previous rollout"),
        Binding("i", "pane", "Spans, problem"),
        Binding("a", "annotate", "Annotate"),
        Binding("J", "next_judge", "Next judge", show=False),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self) -> None:
        super().__init__("trace")
        self.add_class("-pane-none", update=False)
        self._pane: Pane = "none"
        self._forget()

    def _forget(self) -> None:
        self.list_query = self.original_query = ListQuery()
        self.detail, self.trace = None, EMPTY_VIEW
        self.facts: ProblemFacts | None = None
        self.rules: RulesJudgement | None = None
        self._on_close: Callable[[RolloutRow], None] | None = None
        self._judge = 0
        self._wanted_run = ""
        """Judge run to show once the rollout is loaded, for example that of the annotator who just closed."""
        self._exhausted_jump: tuple[int, Behavior | None] | None = None
        self._place = ""
        self._arriving = self._chord = 0

    def compose_body(self) -> ComposeResult:
        head = TextRows(widget_id="head")
        head.show_rows(_READING)
        yield head
        yield TextRows(widget_id="legend")
        yield TextRows(widget_id="minimap")
        with Container(classes="reading"):
            with Panel(title="Completion", panel_id="text-panel"):
                yield TraceText()
            with Container(classes="beside"):
                with Panel(title="Spans", panel_id="spans-panel"):
                    yield SpanList()
                with Panel(title="This span", panel_id="span-panel", text=True):
                    yield DetailPane("span")
                with Panel(title="Problem", panel_id="problem-panel", text=True):
                    yield DetailPane("problem")

    def on_mount(self) -> None:
        self._show_pane()

    def read(
        self,
        mode: str,
        list_query: ListQuery,
        rollout: RolloutRow,
        on_close: Callable[[RolloutRow], None] | None = None,
    ) -> None:
        """Show a rollout of a list.

        Args:
            mode: title of the mode it is opened in.
            list_query: the list it comes from.
            rollout: its row.
            on_close: called with the last rollout read when the screen is left.
        """
        self.begin(mode)
        self.list_query = self.original_query = list_query
        self._on_close = on_close
        self._pane = "none"
        self._show_pane()
        self.set_focus(self.query_one(TraceText))
        self.show_rollout(rollout)

    def release(self) -> None:
        super().release()
        self._forget()
        self._show_nothing()

    def show_rollout(self, rollout: RolloutRow) -> None:
        """Load another rollout."""
        self.rollout = rollout
        self.run_worker(self._load(rollout), group="load", exclusive=True)

    async def _load(self, rollout: RolloutRow) -> None:
        store, work = self.context.store, self.context.work
        detail = await self.fetch(store.call(lambda found: found.rollout_of(rollout)))
        if detail is None:
            self.query_one("#head", TextRows).show_rows(_UNREADABLE)
            return
        query = self.list_query.query()
        now = work.submit(lambda _: rules_judgement(detail))
        facts = work.submit(lambda _: problem_facts(detail))
        place = store.submit(lambda found: _place(found, query, rollout))
        # Each future with the method that shows its result if it arrives late.
        pieces: dict[asyncio.Future[Any], Callable[[], None]] = {
            now: self._show_rules, facts: self._show_problem, place: self._show_head
        }  # fmt: skip

        def take() -> None:
            self.rules, self.facts, self._place = _known(now), _known(facts), _known(place) or ""

        try:
            # Usually all results arrive within this time, so that the screen is painted once instead of four times.
            _, late = await asyncio.wait(pieces, timeout=_TOGETHER_S)
            self.detail = detail
            runs = [run.id for run in detail.judge_runs]
            self._judge, self._wanted_run = runs.index(self._wanted_run) if self._wanted_run in runs else 0, ""
            take()
            self._show_judge(stay=False)
            await self.show_found(detail)
            for piece, show in pieces.items():
                await self.fetch(piece)  # shows the error, if any
                if piece in late:
                    take()
                    show()
        finally:
            for piece in pieces:
                piece.cancel()  # those not started yet: another rollout is being read

    def _show_head(self) -> None:
        if self.detail is not None:
            self.query_one("#head", TextRows).show_rows(head_rows(self.detail, self._place, self.size.width))

    def _show_rules(self) -> None:
        """Show the live rules judgement that arrived late: marks, and spans if nobody else judged."""
        if self.detail is not None and self.rules is not None and (self.rules.facts or not self.detail.judge_runs):
            self._show_judge(stay=True)
        else:
            self._show_problem()

    def _show_judge(self, *, stay: bool) -> None:
        if self.detail is None:
            return
        self._exhausted_jump = None
        self.trace = view_judge_run(self.detail, self._judge, self.rules)
        wrong = [(fact.start, fact.end) for fact in self.rules.facts] if self.rules is not None else []
        self._show_head()
        text = self.query_one(TraceText)
        self.show_legend()
        parts = text_parts(self.detail.meta, len(self.detail.completion))
        text.show_trace(
            self.detail.completion, self.trace.spans, wrong, behaviors=self.trace.behaviors, parts=parts, stay=stay
        )
        self.query_one(SpanList).show_spans(self.trace.spans, self.trace.lost)
        self.query_one("#text-panel", Panel).show_subtitle(self.detail.row.id)
        self.query_one("#spans-panel", Panel).show_subtitle(str(len(self.trace.spans) + len(self.trace.lost)))
        self._show_problem()
        self._show_minimap()

    def _show_nothing(self) -> None:
        for name in ("#head", "#legend", "#minimap"):
            self.query_one(name, TextRows).show_rows(_READING if name == "#head" else [])
        self.query_one(TraceText).show_trace("", ())
        self.query_one(SpanList).show_spans((), ())
        for name in ("#span", "#problem"):
            self.query_one(name, DetailPane).show_with(lambda width: ())

    @on(TraceText.VisibleRangeChanged)
    def _show_minimap(self) -> None:
        if self.detail is not None:
            line, text = self.query_one("#minimap", TextRows), self.query_one(TraceText)
            seen = text.visible_part
            line.show(*minimap_parts(len(self.detail.completion), self.trace.spans, seen, line.size.width))

    def _show_problem(self) -> None:
        pane = self.query_one("#problem", DetailPane)
        if self.detail is not None:
            detail, facts, now = self.detail, self.facts, self.rules
            pane.show_with(lambda width: problem_rows(detail, facts, now, width))

    @on(TraceText.FoldingChanged)
    def _folded(self, event: TraceText.FoldingChanged) -> None:
        detail = self.detail
        parts = () if detail is None else text_parts(detail.meta, len(detail.completion))
        self.show_message(event.describe(parts))

    @on(TraceText.CurrentSpanChanged)
    def _at_span(self, event: TraceText.CurrentSpanChanged) -> None:
        self._exhausted_jump = None
        spans = self.query_one(SpanList)
        if event.index is not None and spans.cursor != event.index:
            spans.cursor = event.index
        self._show_span()

    def _show_span(self) -> None:
        pane, text, spans = self.query_one("#span", DetailPane), self.query_one(TraceText), self.query_one(SpanList)
        span = spans.span if spans.has_focus else None if text.current is None else self.trace.spans[text.current]
        trace = self.trace
        pane.show_with(lambda width: span_rows(span, trace, width))

    @on(LineView.CursorMoved)
    def _span_moved(self, event: LineView.CursorMoved) -> None:
        spans = self.query_one(SpanList)
        if event.view is spans and spans.has_focus:
            text = self.query_one(TraceText)
            text.go_to_span(spans.cursor if spans.cursor < len(self.trace.spans) else None)
            self._show_span()

    @on(LineView.LineSelected)
    def _span_chosen(self) -> None:
        self.query_one(TraceText).focus()

    @on(events.Resize)
    def _resized(self) -> None:
        if self.detail is not None:
            self._show_head()
            self.show_legend()
        self.call_after_refresh(self._show_minimap)

    def action_pane(self) -> None:
        """Switch the narrow screen between spans, problem and neither; a wide screen always shows both."""
        self._pane = _AFTER[self._pane]
        self._show_pane()
        self.call_after_refresh(self._show_minimap)

    def _show_pane(self) -> None:
        self.show_pane_class(_AFTER, self._pane)
        focused = self.focused
        if focused is not None and not isinstance(focused, TraceText) and not focused.display:
            self.query_one(TraceText).focus()

    @property
    def rollout_here(self) -> RolloutRow:
        return self.rollout

    def note_written(self) -> None:
        self.show_rollout(self.rollout)

    def jump(self, direction: int, letter: str) -> None:
        self.query_one(TraceText).action_jump(direction, letter)

    @on(TraceText.NoFurtherSpan)
    def _no_more(self, event: TraceText.NoFurtherSpan) -> None:
        wanted = (event.direction, event.behavior)
        name = event.behavior.replace("_", " ") if event.behavior else "span"
        if self._exhausted_jump != wanted:
            self._exhausted_jump = wanted
            side = "below" if event.direction > 0 else "above"
            self.show_message(f"no {name} further {side} here; the same keys again go to another rollout that has one")
            return
        names = [event.behavior] if event.behavior else list(self.trace.behaviors)
        having = " OR ".join(f"{behavior}>=1" for behavior in names)
        asked = replace(self.list_query, scope=" ".join(_bracketed(part) for part in (self.list_query.scope, having)))
        self.run_worker(self._go(asked, event.direction), group="go", exclusive=True)

    def action_neighbour(self, direction: int) -> None:
        """Go to the next or previous rollout of the list."""
        self.run_worker(self._go(self.list_query, direction), group="go", exclusive=True)

    async def _go(self, list_query: ListQuery, direction: int) -> None:
        try:
            query = list_query.query()
        except InvalidInput as error:
            self.show_error(error)
            return
        here, store = self.rollout.cursor, self.context.store
        if direction > 0:
            page = await self.fetch(store.call(lambda found: found.page(query, after=here, limit=1)))
        else:
            page = await self.fetch(store.call(lambda found: found.page(query, before=here, limit=1)))
        if page is None:
            return
        if page.rows:
            self.show_rollout(page.rows[0])
        else:
            self.show_message("that was the last rollout of the list" if direction > 0 else "this is the first rollout")

    def action_next_judge(self) -> None:
        """Show the next judge's spans on the same text."""
        if self.detail is None or len(self.detail.judge_runs) < 2:
            self.show_message(
                "only one judge has seen this rollout" if self.trace.run else "nobody judged this rollout"
            )
            return
        self._judge = (self._judge + 1) % len(self.detail.judge_runs)
        self._show_judge(stay=True)
        if self.trace.run is not None:
            self.show_message(f"judged by {judge_name(self.trace.run)}")

    def action_annotate(self) -> None:
        """Open the annotation screen."""
        seen = self.trace.run.id if self.trace.run is not None else ""
        order = ListOrder(self.list_query)
        self.post_message(OpenAnnotation(self, order, self.rollout, seen, self._annotated))

    def _annotated(self, rollout: RolloutRow, judge_run: str) -> None:
        self._wanted_run = judge_run
        self.show_rollout(rollout)

    def action_copy(self) -> None:
        """Ask what to copy."""
        if self.detail is None:
            return
        detail, text = self.detail, self.query_one(TraceText)
        things = [
            ("the completion", detail.completion),
            ("prompt and completion", detail.prompt + detail.completion),
            ("the rollout's id", detail.row.id),
            ("the command that prints it", f"cogtui trace {detail.row.id}"),
            ("permalink: the same from any folder", permalink(self.context.workspace, detail.row.id)),
        ]
        if text.current is not None:
            span = self.trace.spans[text.current]
            quote = detail.completion[span.start : span.end]
            things.insert(0, (f"this {BEHAVIOR_LETTERS[span.behavior]} span: {printable_line(quote, 60)}", quote))

        def chosen(index: int | None) -> None:
            if index is not None:
                name, value = things[index]
                self.copy(value, name)

        self.app.push_screen(ChoiceScreen("Copy what?", [name for name, _ in things]), chosen)

    def action_up(self) -> None:
        """Return to the list, at the rollout last read."""
        if self._on_close is not None:
            self._on_close(self.rollout)
        super().action_up()


def _place(store: Store, query: Query, rollout: RolloutRow) -> str:
    """Return the position of a rollout in its list: "12 of 4,320"."""
    return f"{store.position(query, rollout.cursor) + 1:,} of {store.count(query):,}"


def _known(piece: "asyncio.Future[R]") -> R | None:
    """Return the result of a finished future; None if it is not finished or failed."""
    return piece.result() if piece.done() and not piece.cancelled() and piece.exception() is None else None


def permalink(workspace: Workspace, rollout_id: str) -> str:
    """Return a command that prints a rollout from any folder."""
    return f"cogtui trace {rollout_id} --workspace {shlex.quote(str(workspace.path.absolute()))}"


def _bracketed(text: str) -> str:
    return f"({text})" if text else ""
