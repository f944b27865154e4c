"""The problems screen: best, mean and worst reward of each problem, and its course over the steps."""

from collections.abc import Awaitable
from typing import ClassVar, Final, get_args

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.list_query import ListQuery, quote_value
from cogtui.app.shell.opening import OpenRolloutList
from cogtui.app.traces.list.problem_list import ProblemList
from cogtui.app.traces.list.saved_view_actions import SavedViewActions
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import END, Cursor, Page
from cogtui.store.user_data.views import View
from cogtui.store.values.types import GroupSort, ProblemGroup
from pipelines.wording import count_of

_PAGE: Final = 64
_SORTS: Final[tuple[GroupSort, ...]] = get_args(GroupSort)


class ProblemsScreen(SavedViewActions):
    """Problems of a list; Enter opens the rollouts of one.

    Args:
        mode: title of the mode it is opened in.
        list_query: the rollouts that are grouped.
        sort, descending: the order to begin with.
        columns: of the list it comes from, for a view that is kept here.
    """

    HELP_TITLE = "Problems"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse the order"),
        Binding("b", "up", "Single rollouts"),
        Binding("full_stop", "reload", "Read again", show=False),
        Binding("y", "copy_command", "Copy as a command", show=False),
    ]

    def __init__(
        self, mode: str, list_query: ListQuery, sort: GroupSort, descending: bool, columns: tuple[str, ...] = ()
    ) -> None:
        super().__init__("problems", mode=mode)
        self.list_query = list_query
        self.sort = sort
        self.descending = descending
        self.columns = columns
        self._busy = False
        self._read = False

    def compose_body(self) -> ComposeResult:
        titles = TextRows(widget_id="titles")
        yield TextRows((" reading", "dim"), widget_id="summary")
        with Panel(title="Problems"):
            yield titles
            yield ProblemList(titles)

    @property
    def view(self) -> ProblemList:
        """The list."""
        return self.query_one(ProblemList)

    def on_mount(self) -> None:
        self.view.focus()
        self.load()

    def load(self, *, end: bool = False) -> None:
        """Load problems from the start, or at the end."""
        self.run_worker(self._load(end), group="load", exclusive=True)

    def _ask(self, after: Cursor | None, before: Cursor | None) -> Awaitable[Page[ProblemGroup]]:
        query, sort, descending = self.list_query.query(), self.sort, self.descending
        return self.context.store.call(
            lambda store: store.problems(
                query, after, before=before, sort=sort, descending=descending, limit=_PAGE
            )
        )  # fmt: skip

    async def _load(self, end: bool) -> None:
        page = await self.fetch(self._ask(None, END if end else None))
        if page is not None:
            self._read = True
            self.view.set_page(page, (self.sort, self.descending), len(page.rows) - 1 if end else 0)
            self._show_summary()

    @on(ProblemList.Edge)
    def _edge(self, event: ProblemList.Edge) -> None:
        wanted = self.view.above if event.direction < 0 else self.view.below
        if wanted is not None and not self._busy:
            self._busy = True
            self.run_worker(self._load_more(wanted, event.direction), group="more")

    async def _load_more(self, cursor: Cursor, direction: int) -> None:
        view = self.view
        try:
            page = await self.fetch(self._ask(*((None, cursor) if direction < 0 else (cursor, None))))
            if page is not None and direction < 0 and view.above is cursor:
                view.prepend(page)
            elif page is not None and direction > 0 and view.below is cursor:
                view.append(page)
        finally:
            self._busy = False
        self._show_summary()

    @on(ProblemList.Start)
    def _to_start(self) -> None:
        if self.view.above is None:
            self.view.cursor = 0
        else:
            self.load()

    @on(ProblemList.End)
    def _to_end(self) -> None:
        if self.view.below is None:
            self.view.cursor = self.view.line_count - 1
        else:
            self.load(end=True)

    @on(LineView.CursorMoved)
    def _show_summary(self) -> None:
        view, group = self.view, self.view.group
        if not self._read:
            return
        if group is None:
            self.query_one("#summary", TextRows).show((" no problem", "strong"), (" passes this filter", "dim"))
            return
        more = "+" if view.above is not None or view.below is not None else ""
        parts: list[Part] = [
            (f" {view.line_count:,}+ problems" if more else f" {count_of(view.line_count, 'problem')}", "strong")
        ]
        parts.append((f"  by {self.sort} {'↓' if self.descending else '↑'}", "dim"))
        if group.scored < group.rollouts:
            parts.append((f"  * {group.rollouts - group.scored:,} of {group.rollouts:,} without a reward", "warn"))
        if group.by_step:
            first, last = group.by_step[0][0], group.by_step[-1][0]
            steps = f"step {first}" if first == last else f"steps {first} to {last}"
            parts.append((f"  {steps}", "dim"))
        parts.append((f"  {printable_line(self.list_query.text) or 'no filter'}", "dim"))
        self.query_one("#summary", TextRows).show(*parts)

    @on(LineView.LineSelected)
    def _chosen(self) -> None:
        group = self.view.group
        if group is not None:
            scope = replace_typed(self.list_query, f"problem:{quote_value(group.problem_id)}")
            path = f"problem {printable_line(group.problem_id, 40)}"
            self.post_message(OpenRolloutList(self, path, scope))

    def _sort_by(self, field: GroupSort, descending: bool) -> None:
        self.sort, self.descending = field, descending
        self.load()

    def action_sort(self) -> None:
        """Ask what to sort by."""

        def chosen(index: int | None) -> None:
            if index is not None:
                field = _SORTS[index]
                self._sort_by(field, not self.descending if field == self.sort else field in ("best", "rollouts"))

        self.app.push_screen(ChoiceScreen("Sort by?", _SORTS, _SORTS.index(self.sort)), chosen)

    def action_reverse(self) -> None:
        """Reverse the order."""
        self._sort_by(self.sort, not self.descending)

    def action_reload(self) -> None:
        """Load again."""
        self.load()

    def view_here(self, name: str) -> View:
        sort = self.list_query.sort
        return View(
            name=name,
            filter=self.list_query.own_text,
            sort=("-" if sort.descending else "") + sort.field,
            columns=self.columns,
            groups=("-" if self.descending else "") + self.sort,
        )

    def show_view(self, view: View) -> None:
        self.columns = view.columns
        self.list_query = ListQuery(self.list_query.scope, typed=view.filter, sort=view.order)
        if view.groups:
            self._sort_by(*view.group_order)
        else:
            self.show_message(f"{view.name} lists rollouts: choose it there (Esc, v)")

    def action_copy_command(self) -> None:
        """Copy a command that prints these problems."""
        text = printable_line(self.list_query.text).replace("'", "'\\''")
        sort = ("-" if self.descending else "") + self.sort
        self.copy(f"cogtui rollouts '{text}' --by-problem --sort={sort}", "the command")


def replace_typed(list_query: ListQuery, more: str) -> str:
    """Return the filter of a list with a further term."""
    return ListQuery(list_query.text, typed=more).text
