"""The dialog that chooses the columns of the list and their order."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from cogtui.app.rendering.styles import Part
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows


class ColumnLines(LineView):
    """All columns, the shown ones first and in order."""

    TITLE = "list of columns"
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "show_or_hide", "Show or hide"),
        Binding("K,shift+up", "carry(-1)", "Earlier"),
        Binding("J,shift+down", "carry(1)", "Later"),
    ]

    def __init__(self, chosen: Sequence[str], every: Sequence[str]) -> None:
        super().__init__()
        self._names = [*chosen, *(name for name in every if name not in chosen)]
        self._shown = set(chosen)

    @property
    def line_count(self) -> int:
        return len(self._names)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The columns shown, in order."""
        return tuple(name for name in self._names if name in self._shown)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        name = self._names[line]
        shown = name in self._shown
        return [("[x] " if shown else "[ ] ", "strong" if shown else "dim"), (name.replace("_", " "), "")]

    def action_show_or_hide(self) -> None:
        """Show or hide the column under the cursor."""
        self._shown ^= {self._names[self.cursor]}
        self.line_changed(self.cursor)

    def action_carry(self, by: int) -> None:
        """Move the column under the cursor."""
        there = self.cursor + by
        if 0 <= there < len(self._names):
            names = self._names
            names[self.cursor], names[there] = names[there], names[self.cursor]
            self.cursor = there
            self.refresh()


class ColumnsScreen(ModalScreen[tuple[str, ...] | None], DeferredPaintScreen):
    """Asks for columns; the result is their names in order, empty for the default ones, None for no change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "Apply"),
        Binding("u", "dismiss(())", "Default columns"),
        Binding("escape,q", "dismiss(None)", "Cancel"),
    ]

    def __init__(self, chosen: Sequence[str], every: Sequence[str]) -> None:
        super().__init__()
        self.lines = ColumnLines(chosen, every)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog choice") as box:
            box.styles.height = min(self.lines.line_count + 4, 24)
            yield TextRows(("Which columns?", "heading"))
            yield self.lines
            keys: list[Part] = []
            for key, does in (("Space", "show"), ("J K", "move"), ("Enter", "apply"), ("u", "default columns")):
                keys += [(f" {key} ", "key"), (does, "dim")]
            yield TextRows(*keys)

    def action_apply(self) -> None:
        """Apply the choice; without a column, the default ones."""
        self.dismiss(self.lines.chosen)
