"""A histogram of a column over a list of rollouts; each bar is a filter."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store.columns import VALUE_COLUMNS
from cogtui.store.values.types import Histogram, SortField
from pipelines.behaviors.sets.registered import BEHAVIORS

_FIRST: Final = ("reward", "correct", *BEHAVIORS, "unaligned", "length", "tokens")
FIELDS: Final[tuple[SortField, ...]] = (
    *_FIRST, *(column.name for column in VALUE_COLUMNS if column.sortable and column.name not in _FIRST)
)  # fmt: skip
"""The columns to choose from, the ones most asked for first."""
_BINS: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_WITHOUT: Final[dict[str, str]] = {
    "reward": "NOT has:reward", "unaligned": "NOT has:judged",
}  # fmt: skip
"""The filter for rows without a value, where the language has one."""


class HistogramBars(LineView):
    """One bar per line; the longest fills the width."""

    TITLE = "histogram"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Filter by this")]

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[str, int, str]] = []
        self._total = 0

    @property
    def line_count(self) -> int:
        return len(self._rows)

    @property
    def filters(self) -> Sequence[str]:
        """The filter of each bar; empty where no filter can express it."""
        return [text for _, _, text in self._rows]

    def show_histogram(self, found: Histogram) -> None:
        """Show bars, and at the end the number of rollouts without a value."""
        self._rows = []
        above = 0.0
        for one in found.bins:
            if found.field not in ("reward", "correct") and self._rows and one.low > above:
                self._rows.append((_label(above, one.low - 1), 0, ""))
            above = one.high + 1
            self._rows.append((_label(one.low, one.high, found.field), one.count, one.filter))
        if found.missing:
            self._rows.append(("no value", found.missing, _WITHOUT.get(found.field, "")))
        self._total = sum(count for _, count, _ in self._rows)
        self.lines_changed(cursor=0)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        label, count, _ = self._rows[line]
        most = max(one for _, one, _ in self._rows)
        share = f"{100 * count / self._total:.1f}%" if self._total else ""
        room = max(1, width - 15 - 20)
        bar = draw_bar(count / most if most else 0.0, room)
        style: StyleName = "warn" if label == "no value" else "series-0"
        return [
            (f"{fit(label, 13, right=True)} ", ""),
            (fit(bar, room), style),
            (f"{count:>11,}", "strong"),
            (f"{share:>8}", "dim"),
        ]


class HistogramScreen(AppScreen):
    """The histogram of one column; Enter returns to the list with the bar as a filter.

    Args:
        mode: title of the mode it is opened in.
        list_query: the list.
        field: the column to begin with; reward where it is no number.
        chosen: takes the filter of a bar.
    """

    HELP_TITLE = "Histogram"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,tab", "field(1)", "Next column"),
        Binding("H,shift+tab", "field(-1)", "Previous column", show=False),
        Binding("o", "choose_field", "Choose a column"),
    ]

    def __init__(self, mode: str, list_query: ListQuery, field: SortField, chosen: Callable[[str], None]) -> None:
        super().__init__("histogram", mode=mode)
        self.list_query = list_query
        self.field: SortField = field if field in FIELDS and field != "step" else "reward"
        self._chosen = chosen

    def compose_body(self) -> ComposeResult:
        yield TextRows((" reading", "dim"), widget_id="summary")
        with Panel(title="Distribution", subtitle="Enter filters by a bar"):
            yield HistogramBars()

    def on_mount(self) -> None:
        self.query_one(HistogramBars).focus()
        self.load()

    def load(self) -> None:
        """Query the index."""
        self.run_worker(self._load(self.field), group="load", exclusive=True)

    async def _load(self, field: SortField) -> None:
        query = self.list_query.query()
        found = await self.fetch(self.context.store.call(lambda store: store.histogram(query, field, bins=_BINS)))
        if found is None:
            return
        self.query_one(HistogramBars).show_histogram(found)
        total = sum(one.count for one in found.bins)
        parts: list[Part] = [(f" {field.replace('_', ' ')}", "strong"), (f"  n {total:,}", "")]
        if found.missing:
            parts.append((f", {found.missing:,} without a value", "warn"))
        parts.append((f"  {printable_line(self.list_query.text) or 'no filter'}", "dim"))
        self.query_one("#summary", TextRows).show(*parts)

    @on(LineView.LineSelected)
    def _bar_chosen(self, event: LineView.LineSelected) -> None:
        text = self.query_one(HistogramBars).filters[event.line]
        if not text:
            self.show_message("there is no filter for this line")
            return
        self.action_up()
        self._chosen(text)

    def action_field(self, by: int) -> None:
        """Show the next or previous column."""
        self.field = FIELDS[(FIELDS.index(self.field) + by) % len(FIELDS)]
        self.load()

    def action_choose_field(self) -> None:
        """Ask which column to show."""

        def chosen(index: int | None) -> None:
            if index is not None:
                self.field = FIELDS[index]
                self.load()

        names = [name.replace("_", " ") for name in FIELDS]
        self.app.push_screen(ChoiceScreen("Which column?", names, FIELDS.index(self.field)), chosen)


def draw_bar(share: float, width: int) -> str:
    """Draw a bar in eighths of a cell; a share above zero is always visible."""
    eighths = round(share * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _label(low: float, high: float, field: SortField = "reward") -> str:
    if field == "correct":
        return "correct" if low else "wrong"
    return _number(low) if low == high else f"{_number(low)} – {_number(high)}"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:.3g}"
