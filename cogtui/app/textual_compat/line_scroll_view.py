"""A scroll view for lines whose number changes often, without laying out the screen each time.

Private parts of Textual used here: `Widget._vertical_scrollbar`, `App._start_widget`, `ScrollView._scroll_update`.
"""

from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar

from cogtui.app.textual_compat.scrollbar import LineScrollBar
from cogtui.app.textual_compat.styled_widget import StyledWidget


class LineScrollView(ScrollView, StyledWidget, can_focus=True, inherit_bindings=False):
    """A scroll view whose vertical scrollbar is always present, one cell wide, and cheap to paint."""

    DEFAULT_CSS = """
    LineScrollView {
        height: 1fr; width: 1fr; overflow: hidden scroll; scrollbar-size-vertical: 1;
        scrollbar-background: transparent; scrollbar-background-hover: transparent;
        scrollbar-background-active: transparent;
    }
    """

    # Textual's own `virtual_size` lays out the whole screen at every change. Lines fill the width they are given and
    # the scrollbar's column is always there, so only the scrollbar has to follow.
    virtual_size: reactive[Size] = reactive(Size(0, 0), repaint=False)

    def __init__(self, *, widget_id: str | None = None) -> None:
        super().__init__(id=widget_id)
        # Without this, Textual discovers the scrollbar during layout, styles it, and starts the layout again.
        self.set_reactive(ScrollView.show_vertical_scrollbar, True)

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        """The scrollbar, created on first use."""
        if self._vertical_scrollbar is None:
            self._vertical_scrollbar = bar = LineScrollBar(name="vertical", thickness=self.scrollbar_size_vertical)
            bar.display = False
            self.app._start_widget(self, bar)
        return self._vertical_scrollbar

    def watch_virtual_size(self, size: Size) -> None:
        if self.is_mounted:
            self._scroll_update(size)
