"""Mode 5: the judges, the agreement of two of them, and the traces on which they differ."""

import time
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Input

from cogtui.analysis.agreement.indexed import DEFAULT_SAMPLE_SIZE, ComparisonSide, JudgeComparison, compare_sides
from cogtui.analysis.agreement.sources import read_gold_source
from cogtui.app.judges.comparison_rows import (
    QUEUE_COLUMNS,
    RUN_COLUMNS,
    no_common_rows,
    queue_cells,
    report_rows,
    run_cells,
    traces_in_common,
)
from cogtui.app.judges.side_choice import SideChoice
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.opening import OpenAdjudication
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.keyed_table import KeyedTable
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import Store
from cogtui.store.query.judge_runs import JudgeRunSummary
from cogtui.store.user_data.final_labels import awaiting_adjudication
from pipelines.errors import CogtuiError, Interrupted
from pipelines.files import expand_user
from pipelines.wording import count_of

_LOOK_S = 0.3
_REST = 5.0
"""After reading the index, wait this many times as long as reading it took."""

Fingerprint = tuple[object, ...]


class _CacheKey(NamedTuple):
    reference: ComparisonSide
    judge: ComparisonSide
    limit: int
    fingerprint: Fingerprint
    """What both judges had judged."""


class RunTable(KeyedTable):
    """The table of judges."""

    TITLE = "table of judges"
    OPENS = False


class QueueTable(KeyedTable):
    """The queue of disagreements."""

    TITLE = "queue of disagreements"


class JudgesScreen(AppScreen):
    """The comparison of two judges."""

    MODE = "Judges"
    HELP_TITLE = "Judges"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "side(0)", "A: the reference"),
        Binding("b", "side(1)", "B: the judge measured"),
        Binding("s", "swap", "Swap A and B"),
        Binding("o", "gold", "Gold file"),
        Binding("d", "adjudicate", "Adjudicate"),
        Binding("t", "all_judges", "All judges together", show=False),
        Binding("plus", "more", "Ten times as many traces", show=False, key_display="+"),
        Binding("minus", "fewer", "A tenth of the traces", show=False, key_display="-"),
        Binding("full_stop", "again", "Compare again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.choice = SideChoice()
        self.limit = DEFAULT_SAMPLE_SIZE
        self.found: JudgeComparison | None = None
        self._summaries: list[JudgeRunSummary] = []
        self._total: int | None = None
        self._awaiting: list[str] = []
        """Rollouts on which annotators differ and nobody decided."""
        self._cache: dict[_CacheKey, JudgeComparison] = {}
        self._progress = (0, 0)
        self._asked = 0
        """Number of the newest comparison; older ones stop."""
        self._computing = False
        self._rest_until = 0.0
        self._changed = False
        self._read = False

    def compose_body(self) -> ComposeResult:
        runs, queue = TextRows(widget_id="run-titles"), TextRows(widget_id="queue-titles")
        yield TextRows((" reading the index", "dim"), widget_id="summary")
        yield PopupInput("a gold file (JSONL), or a teacher's traces.jsonl", "gold-entry")
        with Container(classes="judging"):
            with Vertical(classes="judging-lists"):
                with Panel(title="Judges", panel_id="runs-panel"):
                    yield runs
                    yield RunTable(RUN_COLUMNS, runs)
                with Panel(title="Where they disagree", panel_id="queue-panel"):
                    yield queue
                    yield QueueTable(QUEUE_COLUMNS, queue)
            with Panel(title="How well they agree", panel_id="report-panel", text=True):
                yield DetailPane("report")

    def on_mount(self) -> None:
        self.query_one(RunTable).focus()
        self.watch_signal(self.shared.store_signal, lambda _: self.catch_up())
        self.call_every(_LOOK_S, self._tick)
        self._look()

    def catch_up(self) -> None:
        """Read again who judged what, and whether the comparison is still current."""
        self._changed = True
        self._tick()

    def _tick(self) -> None:
        if self._computing:
            self._show_summary("")
        elif self._changed and time.monotonic() >= self._rest_until:
            self._look()

    def _look(self) -> None:
        self._changed = False
        self.run_worker(self._load(), group="load", exclusive=True)

    async def _load(self) -> None:
        began = time.monotonic()
        answer = await self.fetch(self.context.judging.call(_overview))
        if answer is None:
            self.query_one("#summary", TextRows).show((" the index cannot be read", "bad"))
            return
        self._summaries, self._total, self._awaiting = answer
        # A large index must not be scanned each time a training run appends a line.
        self._rest_until = time.monotonic() + _REST * max(0.0, time.monotonic() - began - 0.2)
        self._read = True
        self.choice.fill(self._summaries)
        self._show_runs()
        await self._compare()

    # Sides

    def action_side(self, place: int) -> None:
        """Make the judge under the cursor one of the two sides."""
        choices = self.choice.options(self._summaries)
        self.choice.set_side(place, choices[min(self.query_one(RunTable).cursor, len(choices) - 1)][0])
        self._restart()

    def action_swap(self) -> None:
        """Swap reference and judge."""
        self.choice.swap()
        self._restart()

    def action_more(self) -> None:
        """Compare ten times as many traces."""
        self.limit *= 10
        self._restart()

    def action_fewer(self) -> None:
        """Compare a tenth of the traces, at least fifty."""
        self.limit = max(50, self.limit // 10)
        self._restart()

    def action_again(self) -> None:
        """Compare again without the cache."""
        self._cache.clear()
        self._restart()

    def _restart(self) -> None:
        self._asked += 1
        self._show_runs()
        self.run_worker(self._compare(), group="load", exclusive=True)

    def action_gold(self) -> None:
        """Ask for the path of a gold file; one that cannot be read stays in the prompt, with the error."""
        self.query_one("#gold-entry", PopupInput).open()

    @on(Input.Submitted, "#gold-entry")
    def _gold_entered(self, event: Input.Submitted) -> None:
        event.stop()
        path = event.value.strip()
        if path:
            self.run_worker(self._take_gold(path), group="gold", exclusive=True)
        else:
            self._close_gold()

    async def _take_gold(self, path: str) -> None:
        """Make a gold file the reference if it can be read; else keep the prompt, with what is wrong."""
        entry = self.query_one("#gold-entry", PopupInput)
        entry.show_problem("reading the file")
        try:
            whole = await self.context.work.call(lambda _: _readable_gold(path))
        except (CogtuiError, OSError) as error:
            self._check_attached()
            entry.show_problem(error.summary if isinstance(error, CogtuiError) else f"{path}: {error.strerror}")
            return
        self._check_attached()
        self._close_gold()
        side = ComparisonSide("gold", f"gold {path}", path=str(whole))
        self.choice.add_gold(side)
        self._restart()

    def _close_gold(self) -> None:
        self.query_one("#gold-entry", PopupInput).close()
        self.query_one(RunTable).focus()

    @on(PopupInput.InputCancelled)
    def _gold_abandoned(self) -> None:
        self.query_one(RunTable).focus()

    def action_adjudicate(self) -> None:
        """Decide the final labels of the traces on which annotators differ."""
        if self._awaiting:
            self.run_worker(self._adjudicate(list(self._awaiting)), group="go", exclusive=True)
        else:
            self.show_message("annotators differ on no trace; two people must have marked the same trace done")

    async def _adjudicate(self, ids: list[str]) -> None:
        row = await self.fetch(self.context.store.call(lambda store: store.rollout(ids[0]).row))
        if row is not None:
            self.post_message(OpenAdjudication(self, ids, row, self._decided))

    def action_all_judges(self) -> None:
        """Show the agreement of all judges and people together."""
        from cogtui.app.judges.panel_screen import JudgePanelScreen

        self.app.push_screen(JudgePanelScreen(self.mode))

    def _decided(self) -> None:
        self._changed = True

    # Comparison

    async def _compare(self) -> None:
        first, second = self.choice.sides
        if first is None or second is None:
            self._show(None, "")
            return
        self._asked += 1
        number, limit = self._asked, self.limit
        prints = await self.fetch(self.context.judging.call(lambda store: _fingerprint(store, (first, second))))
        if prints is None:
            return
        key = _CacheKey(first, second, limit, prints)
        if key not in self._cache:
            self._computing, self._progress = True, (0, 0)
            self._show_summary("")

            def report(done: int, total: int) -> None:
                self._progress = (done, total)
                if self._asked != number:
                    raise Interrupted("another comparison was asked for")

            try:
                made = await self.context.judging.call(
                    lambda store: compare_sides(store, first, second, limit=limit, report=report)
                )
            except Interrupted:
                return
            except (CogtuiError, OSError) as error:
                self._check_attached()
                self._show(None, str(error).splitlines()[0])
                self.show_error(error if isinstance(error, CogtuiError) else CogtuiError(str(error)))
                return
            finally:
                if self._asked == number:
                    self._computing = False
            self._check_attached()
            self._cache = {**dict(list(self._cache.items())[-7:]), key: made}
        self._show(self._cache[key], "")

    # Display

    def _show_runs(self) -> None:
        rows = []
        for side, summary in self.choice.options(self._summaries):
            mark = "A" if side == self.choice.sides[0] else "B" if side == self.choice.sides[1] else ""
            rows.append((f"{side.kind} {side.run}{side.path}", run_cells(side.name, summary, mark, self._total)))
        self.query_one(RunTable).set_rows(rows)

    def _show(self, found: JudgeComparison | None, problem: str) -> None:
        self.found = found
        report = self.query_one("#report", DetailPane)
        if found is None:
            report.show_with(lambda _: [])
            self.query_one(QueueTable).set_rows([])
        else:
            first, second = self.choice.sides
            if traces_in_common(found) or first is None or second is None:
                report.show_with(lambda width: report_rows(found, width))
            else:
                report.show_with(lambda width: no_common_rows(first, second, width))
            self.query_one(QueueTable).set_rows(queue_cells(found))
        self._show_summary(problem)

    def _show_summary(self, problem: str) -> None:
        first, second = self.choice.sides
        if problem:
            parts: list[Part] = [(f" {printable_line(problem, 200)}", "bad")]
        elif first is None or second is None:
            words = " nobody judged anything yet; a in a trace annotates it" if self._read else " reading the index"
            parts = [(words, "dim")]
        else:
            parts = [(" A ", "strong"), (first.name, ""), ("  against  ", "dim"), ("B ", "strong"), (second.name, "")]
            if self._computing:
                done, total = self._progress
                parts.append((f"   comparing {done:,} of {total:,}" if total else "   reading", "busy"))
            elif self.found is not None:
                traces, queue = self.found.agreement.traces, len(self.found.agreement.queue)
                of = f" of {self.found.total:,} (+ for more)" if traces < self.found.total else ""
                if traces_in_common(self.found):
                    differ = f"{queue:,} {'differs' if queue == 1 else 'differ'}"
                    parts.append((f"   {count_of(traces, 'trace')}{of}, {differ}", "dim"))
                else:
                    parts.append(("   no trace in common", "warn"))
        if self._awaiting:
            parts.append((f"   {len(self._awaiting):,} to adjudicate (d)", "warn"))
        self.query_one("#summary", TextRows).show(*((printable_line(text, 300), style) for text, style in parts))

    @on(LineView.LineSelected)
    def _chosen(self, event: LineView.LineSelected) -> None:
        """Open a trace of the queue with the spans of both judges."""
        from cogtui.app.judges.disagreement_screen import DisagreementScreen

        queue, found = self.query_one(QueueTable), self.found
        if event.view is queue and found is not None and queue.key is not None:
            self.app.push_screen(DisagreementScreen(self.mode, found, queue.key, on_close=queue.go_to))


def _readable_gold(path: str) -> Path:
    """Return the absolute path of a gold file, read once as a check.

    Raises:
        NotFound, InvalidInput: it is not there, or not a gold file. OSError: it cannot be read.
    """
    whole = expand_user(Path(path)).absolute()
    read_gold_source(whole)
    return whole


def _overview(store: Store) -> tuple[list[JudgeRunSummary], int, list[str]]:
    store.version()  # another process may have built a newer index
    awaiting = [label.rollout for label in awaiting_adjudication(store.final_labels())]
    return store.judge_summaries(), store.coverage().rollouts, store.existing(awaiting)


def _fingerprint(store: Store, sides: tuple[ComparisonSide, ComparisonSide]) -> Fingerprint:
    store.version()
    return tuple(store.judge_fingerprint(side.run) if side.kind == "run" else () for side in sides)
