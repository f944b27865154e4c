"""A view that builds visible lines only: the base of every list, table and text in the app."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.textual_compat.line_scroll_view import LineScrollView


class LineMessage(Message):
    """A message about one line of a `LineView`."""

    def __init__(self, view: "LineView", line: int) -> None:
        super().__init__()
        self.view = view
        self.line = line

    @property
    def control(self) -> "LineView":
        return self.view


class LineView(LineScrollView, can_focus=True, inherit_bindings=False):
    """Draws `line_count` lines by asking for the visible ones, with a cursor on one of them.

    Subclasses implement `line_count` and `line_parts`, and call `lines_changed` when their data changed. Moving the
    cursor repaints two lines; scrolling repaints the visible ones.
    """

    TITLE: ClassVar[str] = "list"
    """Name of the view in help."""
    CURSOR_GLYPH: ClassVar[bool] = True
    """Whether the cursor's line begins with a mark, visible without colour. Takes one cell."""
    OPENS: ClassVar[bool] = True
    """Whether Enter opens the item under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open"),
        Binding("down,j", "move(1)", "Next line", show=False),
        Binding("up,k", "move(-1)", "Previous line", show=False),
        Binding("pagedown,ctrl+f", "move_page(1)", "Page down", show=False),
        Binding("pageup,ctrl+b", "move_page(-1)", "Page up", show=False),
        Binding("home,g", "first", "First line", show=False),
        Binding("end,G", "last", "Last line", show=False),
    ]

    class CursorMoved(LineMessage):
        """The cursor moved to another line."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LineView.CursorMoved) and message.view is self.view

    class LineSelected(LineMessage):
        """Enter, or a double click on a line."""

    cursor: reactive[int] = reactive(0, repaint=False)

    @property
    def line_count(self) -> int:
        """Number of lines."""
        raise NotImplementedError

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        """Return the parts of a line; called for visible lines only."""
        raise NotImplementedError

    def line_text(self, line: int) -> str:
        """Return a line without styles, as wide as the view."""
        return "".join(text for text, _ in self.line_parts(line, self.text_width))

    @property
    def text_width(self) -> int:
        """Width of a line in cells, without the cursor's mark."""
        return max(1, self.scrollable_content_region.width - self.CURSOR_GLYPH)

    def lines_changed(self, *, cursor: int | None = None) -> None:
        """Repaint after lines were added, removed or changed.

        Args:
            cursor: where the cursor's line is now.
        """
        self.virtual_size = Size(self.size.width, self.line_count)
        wanted = self.cursor if cursor is None else cursor
        self.cursor = max(0, min(wanted, self.line_count - 1))
        self.refresh()

    def shift(self, lines: int) -> None:
        """Keep the visible lines in place after lines were inserted at the start, or removed if negative."""
        top = self.scroll_offset.y + lines
        self.virtual_size = Size(self.size.width, self.line_count)
        self.set_reactive(LineView.cursor, max(0, min(self.cursor + lines, self.line_count - 1)))
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)
        self.refresh()

    def line_changed(self, line: int) -> None:
        """Repaint one line, if it is visible."""
        top = self.scroll_offset.y
        if top <= line < top + self.size.height:
            self.refresh_line(line)

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, self.line_count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        self.line_changed(before)
        self.line_changed(now)
        self.show_line(now)
        self.post_message(self.CursorMoved(self, now))

    def show_line(self, line: int, *, context: int = 0) -> None:
        """Scroll as little as needed to show a line with `context` lines around it."""
        if self.is_mounted and self.size.height:
            region = Region(0, max(0, line - context), 1, 1 + 2 * context)
            self.scroll_to_region(region, animate=False, force=True, immediate=True)

    def render_line(self, y: int) -> Strip:
        line = self.scroll_offset.y + y
        width = self.size.width
        if line >= self.line_count:
            return self.strip((), width)
        over = self.line_styles(line)
        parts = self.line_parts(line, self.text_width)
        if self.CURSOR_GLYPH:
            parts = [("›", "key") if over else (" ", ""), *parts]
        return self.strip(parts, width, over)

    def line_styles(self, line: int) -> Sequence[StyleName]:
        """Return the styles applied to a whole line, for the cursor."""
        if line != self.cursor:
            return ()
        return ("cursor",) if self.has_focus else ("cursor-blurred",)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, self.line_count)
        self.show_line(self.cursor)

    def on_focus(self) -> None:
        self.line_changed(self.cursor)

    def on_blur(self) -> None:
        self.line_changed(self.cursor)

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        self.cursor += lines

    def action_move_page(self, pages: int) -> None:
        """Move the cursor by a page, less one line."""
        self.action_move(pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """Go to the first line."""
        self.cursor = 0

    def action_last(self) -> None:
        """Go to the last line."""
        self.cursor = self.line_count - 1

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "choose" or self.OPENS

    def action_choose(self) -> None:
        """Open the item under the cursor."""
        if self.line_count:
            self.post_message(self.LineSelected(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        line = self.scroll_offset.y + event.y
        if line >= self.line_count:
            return
        self.cursor = line
        if event.chain == 2:
            self.action_choose()


class ScrollLines(LineView):
    """Lines to read: there is no cursor, keys scroll."""

    CURSOR_GLYPH = False
    OPENS = False

    def line_styles(self, line: int) -> Sequence[StyleName]:
        return ()

    def scroll_lines(self, top: int) -> None:
        """Scroll a line to the top, as far as there are lines below it."""
        last = max(0, self.line_count - self.size.height)
        self.scroll_to(y=max(0, min(top, last)), animate=False, immediate=True, force=True)

    def action_move(self, lines: int) -> None:
        """Scroll by lines."""
        self.scroll_lines(self.scroll_offset.y + lines)

    def action_first(self) -> None:
        """Scroll to the top."""
        self.scroll_lines(0)

    def action_last(self) -> None:
        """Scroll to the end."""
        self.scroll_lines(self.line_count)

    def on_click(self, event: events.Click) -> None:
        event.stop()


class RowLines(ScrollLines):
    """Rows given once, to read."""

    def __init__(self, rows: Sequence[Sequence[Part]]) -> None:
        super().__init__()
        self._rows = rows

    @property
    def line_count(self) -> int:
        return len(self._rows)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        return self._rows[line]
