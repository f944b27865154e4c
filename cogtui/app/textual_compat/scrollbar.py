"""A scrollbar that builds each distinct line once.

Textual's scrollbar builds one renderable per line, a quarter of the time that painting a trace takes. Only public parts
of Textual are used here; what can break is the signature of `ScrollBarRender.render_bar`.
"""

from rich.segment import Segment
from textual.geometry import Region
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip

from cogtui.app.textual_compat.styled_widget import line_filter


class LineScrollBar(ScrollBar):
    """A scrollbar that looks and behaves like Textual's own."""

    def render_lines(self, crop: Region) -> list[Strip]:
        renderable = self.render()
        if not isinstance(renderable, ScrollBarRender):
            return super().render_lines(crop)
        style = self.app.console.get_style(renderable.style)
        if style.bgcolor is None or style.color is None:
            return super().render_lines(crop)
        drawn = renderable.render_bar(
            self.size.height,
            renderable.virtual_size,
            renderable.window_size,
            renderable.position,
            renderable.thickness,
            renderable.vertical,
            style.bgcolor,
            style.color,
        )
        apply_filters, base = line_filter(self), self.rich_style
        strips: dict[Segment, Strip] = {}
        for segment in drawn.segments:
            if segment not in strips:
                combined = base if segment.style is None else base + segment.style
                strips[segment] = apply_filters(Strip([Segment(segment.text, combined)], renderable.thickness))
        return [strips[segment] for segment in drawn.segments[crop.y : crop.bottom]]
