"""A list of which only the visible lines exist: the base of every list, table and text in the app."""

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


class LineView(LineScrollView, can_focus=True, inherit_bindings=False):
    """Draws `line_count` lines by asking for the visible ones, with a cursor on one of them.

    Subclasses implement `line_count` and `line_parts`, and call `lines_changed` when their data changed.
    Moving the cursor repaints two lines; scrolling repaints the visible ones.
    """

    TITLE: ClassVar[str] = "list"
    """How help names it."""
    CURSOR_GLYPH: ClassVar[bool] = True
    """Whether the cursor's line begins with a mark, so that it is seen without colour. Takes one cell."""
    OPENS: ClassVar[bool] = True
    """Whether Enter opens what the cursor is on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open"),
        Binding("down,j", "move(1)", "Next line", show=False),
        Binding("up,k", "move(-1)", "Previous line", show=False),
        Binding("pagedown,ctrl+f", "move_page(1)", "Page down", show=False),
        Binding("pageup,ctrl+b", "move_page(-1)", "Page up", show=False),
        Binding("home,g", "first", "First line", show=False),
        Binding("end,G", "last", "Last line", show=False),
    ]

    class CursorMoved(Message):
        """The cursor is on another line."""

        def __init__(self, view: "LineView", line: int) -> None:
            super().__init__()
            self.view = view
            self.line = line

        @property
        def control(self) -> "LineView":
            return self.view

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LineView.CursorMoved) and message.view is self.view

    class LineSelected(Message):
        """Enter, or a click on the cursor's line."""

        def __init__(self, view: "LineView", line: int) -> None:
            super().__init__()
            self.view = view
            self.line = line

        @property
        def control(self) -> "LineView":
            return self.view

    cursor: reactive[int] = reactive(0, repaint=False)

    @property
    def line_count(self) -> int:
        """Lines there are."""
        raise NotImplementedError

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        """What stands on a line; called for visible lines only."""
        raise NotImplementedError

    def line_text(self, line: int) -> str:
        """A line without looks, as wide as the view."""
        return "".join(text for text, _ in self.line_parts(line, self.text_width))

    @property
    def text_width(self) -> int:
        """Cells a line has, the cursor's mark left out."""
        return max(1, self.scrollable_content_region.width - self.CURSOR_GLYPH)

    def lines_changed(self, *, cursor: int | None = None) -> None:
        """Tells that lines came, went or changed; repaints the visible ones.

        Args:
            cursor: where the cursor's line is now.
        """
        self.virtual_size = Size(self.size.width, self.line_count)
        wanted = self.cursor if cursor is None else cursor
        self.cursor = max(0, min(wanted, self.line_count - 1))
        self.refresh()

    def shift(self, lines: int) -> None:
        """Tells that lines were put in front (or, if negative, taken away): what is seen stays where it is."""
        top = self.scroll_offset.y + lines
        self.virtual_size = Size(self.size.width, self.line_count)
        self.set_reactive(LineView.cursor, max(0, min(self.cursor + lines, self.line_count - 1)))
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)
        self.refresh()

    def line_changed(self, line: int) -> None:
        """Repaints one line, if it is visible."""
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
        """Scrolls as little as needed for a line to be seen, with `context` lines around it."""
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
            parts = [("›" if over else " ", ""), *parts]
        return self.strip(parts, width, over)

    def line_styles(self, line: int) -> Sequence[StyleName]:
        """Looks laid over a whole line: the cursor."""
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
        """Moves the cursor."""
        self.cursor += lines

    def action_move_page(self, pages: int) -> None:
        """Moves the cursor by what is seen, less one line."""
        self.action_move(pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """Goes to the first line."""
        self.cursor = 0

    def action_last(self) -> None:
        """Goes to the last line."""
        self.cursor = self.line_count - 1

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "choose" or self.OPENS

    def action_choose(self) -> None:
        """Opens what the cursor is on."""
        if self.line_count:
            self.post_message(self.LineSelected(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        line = self.scroll_offset.y + event.y
        if line >= self.line_count:
            return
        if line == self.cursor:
            self.action_choose()
        else:
            self.cursor = line


class ScrollLines(LineView):
    """Lines to read: without a cursor, the keys scroll."""

    CURSOR_GLYPH = False
    OPENS = False

    def line_styles(self, line: int) -> Sequence[StyleName]:
        return ()

    def scroll_lines(self, top: int) -> None:
        """Puts a line at the top, as far as there are lines below it."""
        last = max(0, self.line_count - self.size.height)
        self.scroll_to(y=max(0, min(top, last)), animate=False, immediate=True, force=True)

    def action_move(self, lines: int) -> None:
        """Scrolls by lines."""
        self.scroll_lines(self.scroll_offset.y + lines)

    def action_first(self) -> None:
        """Scrolls to the top."""
        self.scroll_lines(0)

    def action_last(self) -> None:
        """Scrolls to the end."""
        self.scroll_lines(self.line_count)

    def on_click(self, event: events.Click) -> None:
        event.stop()
