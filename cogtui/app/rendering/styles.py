"""How a piece of a line looks: names that the theme gives colours to.

Not CSS component classes: Textual applies those anew to every widget whenever a style changes, which with
twenty of them is most of what the app would do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal
from weakref import WeakKeyDictionary

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior

StyleName = Literal[
    "", "dim", "strong", "key", "good", "bad", "warn", "busy", "cursor", "cursor-blurred", "match", "heading",
    "verification", "backtracking", "subgoal", "backward_chaining", "second", "unsure", "current", "wrong",
    "differs", "selected", "held",
    "series-0", "series-1", "series-2", "series-3", "series-4", "series-5",
]  # fmt: skip
StyleNames = StyleName | tuple[StyleName, ...]
"""One look, or several laid over each other."""
Part = tuple[str, StyleNames]
"""Printable text (see `text.shown`) and how it looks."""

SERIES_STYLES: Final[tuple[StyleName, ...]] = ("series-0", "series-1", "series-2", "series-3", "series-4", "series-5")
"""Looks of curves."""
SPAN_STYLES: Final[dict[Behavior, StyleName]] = {
    "verification": "verification",
    "backtracking": "backtracking",
    "subgoal": "subgoal",
    "backward_chaining": "backward_chaining",
}
assert tuple(SPAN_STYLES) == BEHAVIORS

_STYLE_SPECS: Final[dict[StyleName, tuple[str, str, str]]] = {
    # look: colour of the text, of the background (theme variables; `a/40` is 40 % of a over the background), attributes
    "": ("", "", ""),
    "dim": ("foreground/60", "", ""),
    "strong": ("", "", "bold"),
    "key": ("primary", "", "bold"),
    "good": ("success", "", ""),
    "bad": ("error", "", "bold"),
    "warn": ("warning", "", "bold"),
    "busy": ("primary", "", "bold"),
    "heading": ("", "", "bold underline"),
    "match": ("background", "accent", ""),
    "cursor": ("", "primary/35", "bold"),
    "cursor-blurred": ("", "primary/15", ""),
    "current": ("", "", "reverse"),
    "selected": ("background", "accent", "underline"),
    "held": ("", "", "bold underline"),
    "second": ("", "", "underline"),
    "unsure": ("", "", "italic"),
    "wrong": ("error", "", "underline"),
    "differs": ("", "", "bold underline"),
    "verification": ("", "span-verification", ""),
    "backtracking": ("", "span-backtracking", ""),
    "subgoal": ("", "span-subgoal", ""),
    "backward_chaining": ("", "span-backward-chaining", ""),
    "series-0": ("primary", "", ""),
    "series-1": ("warning", "", ""),
    "series-2": ("success", "", ""),
    "series-3": ("error", "", ""),
    "series-4": ("foreground", "", ""),
    "series-5": ("secondary", "", ""),
}


def resolve_styles(variables: Mapping[str, str], *, no_color: bool) -> dict[StyleName, Style]:
    """The style of each look under a theme.

    Args:
        variables: the theme's CSS variables.
        no_color: colours will be turned to greys; spans are then bold as well, to stand out from the text.
    """
    background = Color.parse(variables["background"])

    def color(recipe: str) -> RichColor | None:
        name, _, share = recipe.partition("/")
        if not name:
            return None
        solid = Color.parse(variables[name])
        if share and solid.ansi is None and background.ansi is None:
            solid = background.blend(solid, int(share) / 100, alpha=1)
        return solid.rich_color

    styles: dict[StyleName, Style] = {}
    for style, (text, behind, attributes) in _STYLE_SPECS.items():
        if no_color and style in SPAN_STYLES.values():
            attributes = "bold"
        styles[style] = Style.parse(attributes) + Style(color=color(text), bgcolor=color(behind))
    return styles


def line_filter(widget: Widget) -> Callable[[Strip], Strip]:
    """What the app's filters, such as that of NO_COLOR, make of the lines of a widget that Textual does not draw."""
    filters, background = widget.get_line_filters(), widget.background_colors[1]

    def filtered(strip: Strip) -> Strip:
        for one in filters:
            strip = strip.apply_filter(one, background)
        return strip

    return filtered


class StyledWidget(Widget):
    """A widget that draws its own lines out of parts, each `size.width` cells wide."""

    _ground: Style | None = None
    """Its own background while it paints: asked for every line, finding it is a third of the work."""
    _painted: dict[int, Strip] | None = None
    """Lines that are still as they were painted."""

    def render_lines(self, crop: Region) -> list[Strip]:
        self._ground = self.rich_style
        try:
            if self.styles.gutter or crop.x or crop.width != self.outer_size.width:
                return super().render_lines(crop)
            # Textual's own way is for borders, padding and faded text, and takes twice the time where there is none.
            # The column of a scrollbar is the bar's to draw.
            return self._render_unpadded_lines(crop)
        finally:
            self._ground = None

    def _render_unpadded_lines(self, crop: Region) -> list[Strip]:
        filtered = line_filter(self)
        painted = self._painted
        if painted is None:
            painted = self._painted = {}
        for y in crop.line_range:
            if y not in painted:
                painted[y] = filtered(self.render_line(y))
        return [painted[y] for y in crop.line_range]

    def _set_dirty(self, *regions: Region) -> None:
        super()._set_dirty(*regions)
        if not regions:
            self._painted = None
        elif self._painted is not None:
            for region in regions:
                for y in region.line_range:
                    self._painted.pop(y, None)

    def strip(self, parts: Iterable[Part], width: int, over: Sequence[StyleName] = ()) -> Strip:
        """Parts as one line of exactly `width` cells on the widget's own background.

        Args:
            parts: what to draw, from the left; what does not fit is cut.
            width: cells.
            over: looks laid over the whole line, e.g. the cursor.
        """
        mixer = self._styles_for_theme()
        base, above = self._ground or self.rich_style, tuple(over)
        segments = [Segment(text, mixer.mix(base, style_names, above)) for text, style_names in parts if text]
        # Neighbours that look alike become one: fewer escape sequences over a slow line.
        line = Segment.adjust_line_length(segments, width, mixer.mix(base, "", above))
        return Strip(Segment.simplify(line), width)

    def _styles_for_theme(self) -> "_StyleCache":
        # Textual makes a new dictionary whenever the theme changes.
        app, variables = self.app, self.app.theme_variables
        known = _style_caches.get(app)
        if known is None or known[0] is not variables:
            known = _style_caches[app] = (variables, _StyleCache(resolve_styles(variables, no_color=app.no_color)))
        return known[1]


class _StyleCache:
    """Looks laid over each other, each mixture worked out once."""

    def __init__(self, styles: Mapping[StyleName, Style]) -> None:
        self.styles = styles
        self._mixed: dict[tuple[Style, StyleNames, tuple[StyleName, ...]], Style] = {}

    def mix(self, base: Style, style_names: StyleNames, above: tuple[StyleName, ...]) -> Style:
        """The style of looks on a background, under what lies over the whole line."""
        key = (base, style_names, above)
        found = self._mixed.get(key)
        if found is None:
            names: tuple[StyleName, ...] = (style_names,) if isinstance(style_names, str) else style_names
            found = self._mixed[key] = Style.combine([base, *(self.styles[name] for name in (*names, *above))])
        return found


_style_caches: "WeakKeyDictionary[App[object], tuple[dict[str, str], _StyleCache]]" = WeakKeyDictionary()
