"""Named text styles and the colours a theme gives them.

Names are used instead of CSS component classes because Textual applies component classes again to every widget whenever
one style changes; with twenty of them that took most of the app's CPU time.
"""

from collections.abc import Mapping
from typing import Final, Literal, cast

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color

from cogtui.app.rendering.themes import span_variable
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior

StyleName = Literal[
    "", "dim", "strong", "key", "good", "bad", "warn", "busy", "cursor", "cursor-blurred", "match", "heading",
    "second", "unsure", "current", "wrong",
    "differs", "selected", "held",
    "series-0", "series-1", "series-2", "series-3", "series-4", "series-5",
]  # fmt: skip
StyleNames = StyleName | tuple[StyleName, ...]
"""One style name, or several that are combined from left to right."""
Part = tuple[str, StyleNames]
"""Printable text (see `text.shown`) and its style."""

SERIES_STYLES: Final[tuple[StyleName, ...]] = ("series-0", "series-1", "series-2", "series-3", "series-4", "series-5")
"""Styles of curves, in the order in which curves get them."""
SPAN_STYLES: Final[Mapping[Behavior, StyleName]] = {
    behavior: cast("StyleName", span_variable(behavior)) for behavior in BEHAVIORS
}
"""Styles of the spans of each behaviour; which behaviours there are depends on the sets installed."""

_STYLE_SPECS: Final[dict[StyleName, tuple[str, str, str]]] = {
    # style: text colour, background colour (theme variables; `a/40` blends 40 % of a into the background), attributes
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
    **{style: ("", str(style), "") for style in SPAN_STYLES.values()},
    "series-0": ("primary", "", ""),
    "series-1": ("warning", "", ""),
    "series-2": ("success", "", ""),
    "series-3": ("error", "", ""),
    "series-4": ("foreground", "", ""),
    "series-5": ("secondary", "", ""),
}


def resolve_styles(variables: Mapping[str, str], *, no_color: bool) -> dict[StyleName, Style]:
    """Resolve every style name to a rich style under a theme.

    Args:
        variables: the theme's CSS variables.
        no_color: whether colours will be turned into greys; spans are then bold as well, so that they stand out.
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
