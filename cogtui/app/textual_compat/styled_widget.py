"""A widget that draws its own lines from styled parts and caches them until they change.

Private parts of Textual used here: `Widget._set_dirty`, which Textual calls with the regions to repaint.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from cogtui.app.rendering.styles import Part, StyleName, StyleNames, resolve_styles


def line_filter(widget: Widget) -> Callable[[Strip], Strip]:
    """Return a function that applies the app's line filters, such as the one for NO_COLOR, to a line of a widget."""
    filters, background = widget.get_line_filters(), widget.background_colors[1]

    def apply_filters(strip: Strip) -> Strip:
        for one in filters:
            strip = strip.apply_filter(one, background)
        return strip

    return apply_filters


class StyledWidget(Widget):
    """A widget whose subclasses implement `render_line` with `strip`; each line is `size.width` cells wide."""

    _background_style: Style | None = None
    """The widget's own background during one paint: looking it up for every line is a third of the work."""
    _line_cache: dict[int, Strip] | None = None
    """Painted lines by row, valid until Textual marks their region as dirty."""

    def render_lines(self, crop: Region) -> list[Strip]:
        self._background_style = self.rich_style
        try:
            if self.styles.gutter or crop.x or crop.width != self.outer_size.width:
                return super().render_lines(crop)
            # Textual's own implementation handles borders, padding and opacity, and takes twice as long where there
            # are none. The scrollbar draws its own column.
            return self._render_unpadded_lines(crop)
        finally:
            self._background_style = None

    def _render_unpadded_lines(self, crop: Region) -> list[Strip]:
        apply_filters = line_filter(self)
        cache = self._line_cache
        if cache is None:
            cache = self._line_cache = {}
        for y in crop.line_range:
            if y not in cache:
                cache[y] = apply_filters(self.render_line(y))
        return [cache[y] for y in crop.line_range]

    def _set_dirty(self, *regions: Region) -> None:
        super()._set_dirty(*regions)
        if not regions:
            self._line_cache = None
        elif self._line_cache is not None:
            for region in regions:
                for y in region.line_range:
                    self._line_cache.pop(y, None)

    def strip(self, parts: Iterable[Part], width: int, over: Sequence[StyleName] = ()) -> Strip:
        """Build one line of exactly `width` cells on the widget's own background.

        Args:
            parts: what to draw, from the left; parts beyond `width` are cut off.
            width: cells.
            over: styles applied to the whole line, for example the cursor's.
        """
        cache = self._style_cache()
        base, above = self._background_style or self.rich_style, tuple(over)
        segments = [Segment(text, cache.combine(base, names, above)) for text, names in parts if text]
        # Merging neighbours of equal style sends fewer escape sequences over a slow connection.
        line = Segment.adjust_line_length(segments, width, cache.combine(base, "", above))
        return Strip(Segment.simplify(line), width)

    def _style_cache(self) -> "_StyleCache":
        # Textual replaces the dictionary of variables whenever the theme changes.
        app, variables = self.app, self.app.theme_variables
        cached = _style_caches.get(app)
        if cached is None or cached[0] is not variables:
            cached = _style_caches[app] = (variables, _StyleCache(resolve_styles(variables, no_color=app.no_color)))
        return cached[1]


class _StyleCache:
    """Combinations of styles, each computed once."""

    def __init__(self, styles: Mapping[StyleName, Style]) -> None:
        self._styles = styles
        self._combined: dict[tuple[Style, StyleNames, tuple[StyleName, ...]], Style] = {}

    def combine(self, base: Style, names: StyleNames, above: tuple[StyleName, ...]) -> Style:
        """Return the named styles on a background, under the styles of the whole line."""
        key = (base, names, above)
        found = self._combined.get(key)
        if found is None:
            several: tuple[StyleName, ...] = (names,) if isinstance(names, str) else names
            found = self._combined[key] = Style.combine([base, *(self._styles[name] for name in (*several, *above))])
        return found


_style_caches: "WeakKeyDictionary[App[object], tuple[dict[str, str], _StyleCache]]" = WeakKeyDictionary()
