"""One trace with the spans of two judges: only A, only B, both."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.analysis.agreement.indexed import JudgeComparison
from cogtui.analysis.agreement.measures import BehaviorFinding, TraceFindings
from cogtui.app.judges.span_comparison_widget import InstanceList, SpanComparisonText
from cogtui.app.rendering.span_comparison import SpanMatch, match_span_sets
from cogtui.app.rendering.styles import SPAN_STYLES, Part, StyleName
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.chords import ChordScreen
from cogtui.app.shell.opening import OpenAnnotation
from cogtui.app.shell.trace_order import QueueOrder
from cogtui.app.widgets.detail_pane import DetailPane, labelled_rows
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import RolloutRow
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, behaviors_in_use
from pipelines.errors import CogtuiError
from pipelines.records import Behavior, LabelledSpan

_PANES = ("none", "spans", "problem")
Rows = list[list[Part]]


class DisagreementScreen(ChordScreen):
    """One trace of the queue of disagreements.

    Args:
        mode: title of the mode it is opened in.
        found: the comparison.
        trace: id of the trace.
        on_close: called with the id of the last trace when the screen is left.
    """

    HELP_TITLE = "Disagreement"
    CHORDS = (
        ("]] [[", "Next, previous difference of any kind"),
        ("]v [v … ]c [c", "Next, previous difference of one behaviour"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "neighbour(1)", "Next trace"),
        Binding("p", "neighbour(-1)", "Previous trace"),
        Binding("a", "annotate", "Annotate"),
        Binding("i", "pane", "Instances, both sides"),
    ]

    def __init__(
        self, mode: str, found: JudgeComparison, trace: str, on_close: Callable[[str], None] | None = None
    ) -> None:
        super().__init__("disagreement", mode=mode)
        self.found = found
        self.trace = trace
        self.shared_spans: list[SpanMatch] = []
        self._on_close = on_close
        self._pane = 0

    def compose_body(self) -> ComposeResult:
        yield TextRows(widget_id="head")
        yield TextRows(widget_id="legend")
        yield TextRows(widget_id="counts")
        with Container(classes="reading"):
            with Panel(title="Completion", panel_id="text-panel"):
                yield SpanComparisonText()
            with Container(classes="beside"):
                with Panel(title="Instances", panel_id="spans-panel"):
                    yield InstanceList()
                with Panel(title="This instance", panel_id="span-panel", text=True):
                    yield DetailPane("span")

    def on_mount(self) -> None:
        self.query_one(SpanComparisonText).focus()
        self._show_pane()
        self.show_trace(self.trace)

    def show_trace(self, trace: str) -> None:
        """Show another trace of the queue."""
        self.trace = trace
        text = self.found.texts[trace]
        first, second = self._findings_of(0), self._findings_of(1)
        self.shared_spans = match_span_sets(_spans(first), _spans(second))
        ids = [item.id for item in self.found.agreement.queue]
        head: list[Part] = [(f" {ids.index(trace) + 1:,} of {len(ids):,}  ", "dim")]
        head += [(printable_line(text.group, 100), "strong"), (f"  {text.described()}", "")]
        head.append((f"  {printable_line(trace, 60)}", "dim"))
        self.query_one("#head", TextRows).show(*head)
        names: list[Part] = [(" = ", "strong"), ("both  ", ""), (" A ", "strong")]
        names += [(f"{printable_line(self.found.reference.name, 60)}  ", ""), (" B ", "strong")]
        names += [(printable_line(self.found.judge.name, 60), ""), ("   a b: both, but only one reaches here", "dim")]
        self.query_one("#legend", TextRows).show(*names)
        self.query_one("#counts", TextRows).show(*_count_parts(self.shared_spans, first, second))
        self.query_one(SpanComparisonText).show_sets(text.text, self.shared_spans)
        self.query_one(InstanceList).show_instances(text.text, self.shared_spans)
        self._show_span(None)
        self.call_after_refresh(self._to_first)

    def _to_first(self) -> None:
        text = self.query_one(SpanComparisonText)
        index = text.next_difference(1, "")
        if index is not None:
            self._go_to(index)

    def _findings_of(self, side: int) -> Mapping[Behavior, BehaviorFinding]:
        source = (self.found.reference, self.found.judge)[side]
        trace: TraceFindings | None = source.traces.get(self.trace)
        return {} if trace is None else trace.findings

    def jump(self, direction: int, letter: str) -> None:
        index = self.query_one(SpanComparisonText).next_difference(direction, letter)
        if index is None:
            self.show_message(
                f"no difference further {'below' if direction > 0 else 'above'}; n and p go to other traces"
            )
        else:
            self._go_to(index)

    def _go_to(self, index: int) -> None:
        self.query_one(SpanComparisonText).go_to(index)
        self.query_one(InstanceList).cursor = index
        self._show_span(index)

    @on(LineView.CursorMoved)
    def _moved(self, event: LineView.CursorMoved) -> None:
        spans = self.query_one(InstanceList)
        if event.view is spans and spans.has_focus and self.shared_spans:
            self._go_to(spans.cursor)

    @on(LineView.LineSelected)
    def _chosen(self) -> None:
        self.query_one(SpanComparisonText).focus()

    def _show_span(self, index: int | None) -> None:
        lost = [
            (side, behavior, span.quote)
            for side, findings in (("A", self._findings_of(0)), ("B", self._findings_of(1)))
            for behavior, one in findings.items()
            for span in one.spans
            if span.start is None
        ]

        def rows(width: int) -> Rows:
            made: Rows = []
            if index is not None:
                one = self.shared_spans[index]
                whose = "both say it" if one.whose == "both" else f"only {one.whose} says it"
                letter = BEHAVIOR_LETTERS[one.behavior]
                made.append([(f" {letter} ", (SPAN_STYLES[one.behavior], "strong")), (f" {whose}", "strong")])
                for side, span in (("A", one.first), ("B", one.second)):
                    if span is not None:
                        made += labelled_rows(side, f"{span.start}–{span.end} “{span.quote}”", width, limit=4)
                        made += labelled_rows("", f"{span.alignment} {span.score:.2f}", width, "dim")
                        made += labelled_rows("why", span.why, width, limit=3)
            for side, behavior, quote in lost:
                made += labelled_rows(f"{side} lost", f"{BEHAVIOR_LETTERS[behavior]} “{quote}”", width, "bad", limit=2)
            return made

        self.query_one("#span", DetailPane).show_with(rows)

    def action_neighbour(self, direction: int) -> None:
        """Go to the next or previous trace of the queue."""
        ids = [item.id for item in self.found.agreement.queue]
        at = ids.index(self.trace) + direction
        if 0 <= at < len(ids):
            self.show_trace(ids[at])
        else:
            self.show_message("that was the last trace of the queue" if direction > 0 else "this is the first trace")

    def action_pane(self) -> None:
        """Switch the narrow screen between instances, details and neither; a wide screen always shows both."""
        self._pane = (self._pane + 1) % len(_PANES)
        self._show_pane()

    def _show_pane(self) -> None:
        for number, pane in enumerate(_PANES):
            self.set_class(self._pane == number, f"-pane-{pane}")
        focused = self.focused
        if focused is not None and not isinstance(focused, SpanComparisonText) and not focused.display:
            self.query_one(SpanComparisonText).focus()

    def action_annotate(self) -> None:
        """Open the trace in the annotation screen."""
        self.run_worker(self._annotate(self.trace), group="go", exclusive=True)

    async def _annotate(self, trace: str) -> None:
        row = await self.fetch(self.context.store.call(lambda store: _row_of(store.rollout(trace).row, trace)))
        if row is not None:
            order = QueueOrder([item.id for item in self.found.agreement.queue])
            self.post_message(OpenAnnotation(self, order, row, self.found.judge.run, self._annotated))

    def _annotated(self, rollout: RolloutRow, judge_run: str) -> None:
        if rollout.id in self.found.texts:
            self.show_trace(rollout.id)
        if judge_run in (self.found.reference.run, self.found.judge.run):
            self.show_message("these are the spans as they were compared; Esc shows the new numbers")

    def action_up(self) -> None:
        """Return to the queue, at the trace last read."""
        if self._on_close is not None:
            self._on_close(self.trace)
        super().action_up()


def _row_of(row: RolloutRow, trace: str) -> RolloutRow:
    if row.id != trace:
        raise CogtuiError("this trace belongs to a file, not to the workspace; import the file to annotate it")
    return row


def _spans(findings: Mapping[Behavior, BehaviorFinding]) -> list[LabelledSpan]:
    return [
        LabelledSpan(behavior=behavior, **span.model_dump(exclude={"behavior"}))
        for behavior, one in findings.items()
        for span in one.spans
    ]


def _count_parts(
    shared: list[SpanMatch], first: Mapping[Behavior, BehaviorFinding], second: Mapping[Behavior, BehaviorFinding]
) -> list[Part]:
    """Return the number of instances that only A, only B and both have, by behaviour, or the status where it was not
    judged.
    """
    parts: list[Part] = []
    for behavior in behaviors_in_use((*first, *second)):
        parts.append((f" {BEHAVIOR_LETTERS[behavior]} ", (SPAN_STYLES[behavior], "strong")))
        a, b = first.get(behavior), second.get(behavior)
        missing = [
            f"{side}: {'unjudged' if finding is None else finding.status}"
            for side, finding in (("A", a), ("B", b))
            if finding is None or finding.status != "ok"
        ]
        if missing:
            parts.append((f" {', '.join(missing)}  ", "warn"))
            continue
        own = [one for one in shared if one.behavior == behavior]
        numbers = {whose: sum(one.whose == whose for one in own) for whose in ("A", "B", "both")}
        style: StyleName = "warn" if numbers["A"] or numbers["B"] else "dim"
        parts.append((f" A {numbers['A']} B {numbers['B']} = {numbers['both']}  ", style))
    return parts
