"""The comparison screen: the same problem at two steps or in two conditions, or any two rollouts."""

from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.rendering.pairing import Pairing, pair_segments
from cogtui.app.rendering.text import printable_line
from cogtui.app.rollout.trace_data import EMPTY_VIEW, rules_judgement, view_judge_run
from cogtui.app.shell.chords import ChordScreen
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery, quote_value
from cogtui.app.shell.opening import OpenReader
from cogtui.app.shell.screen_pool import ReusableScreen
from cogtui.app.traces.compare.compare_facts import LETTERS, side_parts, strip_parts, summary_parts
from cogtui.app.traces.compare.pair_text import PairSide, PairText
from cogtui.app.traces.compare.siblings import Axis, describe_rollout, find_neighbour
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import RolloutDetail, RolloutRow

_ENDS: dict[Axis, tuple[str, str]] = {
    "step": ("that is the first step of this run", "that is the last step of this run"),
    "sample": ("that is the first sample at this step", "that is the last sample at this step"),
    "series": ("that is the first run with this problem", "that is the last run with this problem"),
}


class CompareScreen(ChordScreen, ReusableScreen):
    """Rollout A on the left (or above), B on the right; keys replace the rollout of the active side."""

    HELP_TITLE = "Compare"
    FOOTER = ("Tab", "← →", "n p", "c C", "d")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "step('step', 1)", "Step", key_display="← →"),
        Binding("left", "step('step', -1)", "Previous step", show=False),
        Binding("n", "step('sample', 1)", "Sample", key_display="n p"),
        Binding("p", "step('sample', -1)", "Previous sample", show=False),
        Binding("c", "step('series', 1)", "Run", key_display="c C"),
        Binding("C", "step('series', -1)", "Previous run", show=False),
        Binding("tab", "other_side", "Other side"),
        Binding("o", "choose", "Choose a rollout of this problem", show=False),
        Binding("x", "swap", "Swap A and B", show=False),
        Binding("enter", "read", "Read alone", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(self) -> None:
        super().__init__("compare")
        self._forget()

    def _forget(self) -> None:
        self.rows: list[RolloutRow] = []
        self.active = 1
        self.details: list[RolloutDetail | None] = [None, None]
        self.traces = [EMPTY_VIEW, EMPTY_VIEW]
        self.others: list[list[RolloutRow]] = [[], []]
        self.pairing: Pairing | None = None
        self._chord = 0

    def compose_body(self) -> ComposeResult:
        yield TextRows(widget_id="side-0")
        yield TextRows(widget_id="side-1")
        yield TextRows(widget_id="pair-summary")
        yield TextRows(widget_id="strip-0")
        yield TextRows(widget_id="strip-1")
        with Panel(title="Side by side", text=True):
            yield PairText()

    def read(self, mode: str, left: RolloutRow, right: RolloutRow) -> None:
        """Open two rollouts.

        Args:
            mode: title of the mode it is opened in.
            left, right: the right one is active.
        """
        self.begin(mode)
        self.rows = [left, right]
        self.set_focus(self.query_one(PairText))
        self._load()

    def release(self) -> None:
        super().release()
        self._forget()
        self.query_one(PairText).show_nothing()
        for name in ("#side-0", "#side-1", "#pair-summary", "#strip-0", "#strip-1"):
            self.query_one(name, TextRows).show()

    def _load(self) -> None:
        self._show_lines(reading=True)
        self.run_worker(self._read(), group="load", exclusive=True)

    async def _read(self) -> None:
        store, work = self.context.store, self.context.work
        for side in (0, 1):
            row, known = self.rows[side], self.details[side]
            if known is not None and known.row.id == row.id:
                continue
            detail = await self.fetch(store.call(lambda found, row=row: found.rollout_of(row)))  # type: ignore[misc]
            if detail is None:
                return
            now = None
            if not detail.judge_runs:
                now = await self.fetch(work.call(lambda _, detail=detail: rules_judgement(detail)))  # type: ignore[misc]
            if not any(row.id == other.id for other in self.others[side]):
                found = await self.fetch(
                    store.call(lambda found, row=row: found.same_problem(row.id))  # type: ignore[misc]
                )
                self.others[side] = found or []
            self.details[side], self.traces[side] = detail, view_judge_run(detail, 0, now)
        left, right = self.details
        assert left is not None
        assert right is not None
        self.pairing = await self.fetch(work.call(lambda _: pair_segments(left.completion, right.completion)))
        if self.pairing is not None:
            sides = [
                PairSide(detail.completion, trace.spans)
                for detail, trace in zip((left, right), self.traces, strict=True)
            ]
            self.query_one(PairText).show_pair(sides[0], sides[1], self.pairing)
        self._show_lines()

    def _show_lines(self, *, reading: bool = False) -> None:
        width = self.size.width
        for side in (0, 1):
            line = self.query_one(f"#side-{side}", TextRows)
            line.show(*side_parts(side, self.rows[side], self.traces[side], width, active=side == self.active))
        pairing = None if reading else self.pairing
        left, right = self.rows
        self.query_one("#pair-summary", TextRows).show(*summary_parts(left, right, pairing, reading, width))
        self._show_strips()

    @on(events.Resize)
    def _resized(self) -> None:
        if self.rows and self.traces:
            self._show_lines()

    @on(PairText.VisiblePairsChanged)
    def _moved(self) -> None:
        self._show_strips()

    def _show_strips(self) -> None:
        lengths = [len(detail.completion) if detail else 0 for detail in self.details]
        text = self.query_one(PairText)
        for side, length in enumerate(lengths):
            parts = strip_parts(side, length, max(lengths), self.traces[side], text.seen(side), self.size.width)
            self.query_one(f"#strip-{side}", TextRows).show(*parts)

    def jump(self, direction: int, letter: str) -> None:
        self.query_one(PairText).jump_letter(direction, letter)

    @on(PairText.NoFurtherTarget)
    def _no_more(self, event: PairText.NoFurtherTarget) -> None:
        self.show_message(f"no {event.what} further {'below' if event.direction > 0 else 'above'}")

    def _put(self, row: RolloutRow) -> None:
        """Show a rollout on the active side."""
        self.rows[self.active] = row
        self.traces[self.active] = EMPTY_VIEW
        self._load()

    def action_step(self, axis: Axis, by: int) -> None:
        """Go along an axis on the active side."""
        rows, here = self.others[self.active], self.rows[self.active]
        found = find_neighbour(rows, here, axis, by)
        if found is None:
            self.show_message(_ENDS[axis][by > 0])
        else:
            self._put(found)

    def action_other_side(self) -> None:
        """Make the other side the active one."""
        self.active = 1 - self.active
        self._show_lines()

    def action_swap(self) -> None:
        """Exchange the two sides; the active rollout stays active."""
        for pair in (self.rows, self.details, self.traces, self.others):
            pair.reverse()
        self.active = 1 - self.active
        self._load()

    def action_choose(self) -> None:
        """Ask which rollout of the problem to show on the active side."""
        rows, here = self.others[self.active], self.rows[self.active]
        if not rows:
            return
        names = [f"{describe_rollout(row)}  {'–' if row.reward is None else f'{row.reward:.2f}'}" for row in rows]
        at = next((place for place, row in enumerate(rows) if row.id == here.id), 0)

        def chosen(index: int | None) -> None:
            if index is not None:
                self._put(rows[index])

        self.app.push_screen(ChoiceScreen(f"Which one for {LETTERS[self.active]}?", names, at), chosen)

    def action_read(self) -> None:
        """Open the active rollout in the reader, among the rollouts of its problem."""
        self.run_worker(self._open(), group="open", exclusive=True)

    async def _open(self) -> None:
        row = self.rows[self.active]
        listed = ListQuery(f"problem:{quote_value(row.problem_id)}")
        place = await self.fetch(self.context.store.call(lambda store: store.locate(listed.query(), row.id)))
        if place is not None:
            self.post_message(OpenReader(self, listed, replace(row, cursor=place)))

    def action_copy(self) -> None:
        """Ask what to copy."""
        ids = [row.id for row in self.rows]
        things = [
            (f"the text of {LETTERS[side]}", detail.completion) for side, detail in enumerate(self.details) if detail
        ]
        things += [
            ("both ids", " ".join(ids)),
            ("a command that prints them", "; ".join(f"cogtui trace {i}" for i in ids)),
        ]

        def chosen(index: int | None) -> None:
            if index is not None:
                self.copy(things[index][1], things[index][0])

        self.app.push_screen(ChoiceScreen("Copy what?", [printable_line(name) for name, _ in things]), chosen)
