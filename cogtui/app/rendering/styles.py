"""Named text styles and the colours a theme gives them.

Names are used instead of CSS component classes because Textual applies component classes again to every widget whenever
one style changes; with twenty of them that took most of the app's CPU time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, cast

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color

from cogtui.app.rendering.themes import ink_variable, span_variable
from cogtui.palette import SERIES_SLOTS
from pipelines.behaviors.sets.registered import BEHAVIORS

if TYPE_CHECKING:  # records need pydantic, which the first paint does without
    from pipelines.records import Behavior

StyleName = Literal[
    "", "dim", "faint", "rule", "frame", "strong", "key", "focus", "good", "bad", "warn", "busy",
    "cursor", "cursor-blurred",
    "chosen", "match", "heading", "second", "unsure", "current", "mode", "wrong", "differs", "selected", "held",
    "series-0", "series-1", "series-2", "series-3", "series-4", "series-5",
    "series-6", "series-7", "series-8", "series-9", "series-10", "series-11",
]  # fmt: skip
StyleNames = StyleName | tuple[StyleName, ...]
"""One style name, or several that are combined from left to right."""
Part = tuple[str, StyleNames]
"""Printable text (see `text.shown`) and its style."""

SERIES_STYLES: Final[tuple[StyleName, ...]] = tuple(cast("StyleName", f"series-{slot}") for slot in range(SERIES_SLOTS))
"""Styles of curves by slot (`cogtui.palette.series_slots`)."""
SPAN_STYLES: Final[Mapping[Behavior, StyleName]] = {
    behavior: cast("StyleName", span_variable(behavior)) for behavior in BEHAVIORS
}
"""Styles of the spans of each behaviour; which behaviours there are depends on the sets installed."""
INK_STYLES: Final[Mapping[Behavior, StyleName]] = {
    behavior: cast("StyleName", ink_variable(behavior)) for behavior in BEHAVIORS
}
"""Styles of the letters and lines of each behaviour."""

_STYLE_SPECS: Final[dict[StyleName, tuple[str, str, str]]] = {
    # style: text colour, background colour (theme variables), attributes
    "": ("", "", ""),
    "dim": ("muted", "", ""),
    "faint": ("faint", "", ""),
    "rule": ("rule", "", ""),
    "frame": ("primary", "", ""),
    "strong": ("", "", "bold"),
    "key": ("accent", "", "bold"),
    "focus": ("primary", "", "bold"),
    "good": ("success", "", ""),
    "bad": ("error", "", "bold"),
    "warn": ("warning", "", ""),
    "busy": ("running", "", ""),
    "heading": ("muted", "", ""),
    "match": ("background", "accent", ""),
    "cursor": ("", "row", ""),
    "cursor-blurred": ("", "row", ""),
    "chosen": ("accent", "", "bold"),
    "current": ("", "", "reverse"),
    "mode": ("background", "primary", "bold"),
    "selected": ("background", "accent", "underline"),
    "held": ("", "", "bold underline"),
    "second": ("", "", "underline"),
    "unsure": ("", "", "italic"),
    "wrong": ("error", "", "underline"),
    "differs": ("", "", "bold underline"),
    **{style: ("", str(style), "") for style in SPAN_STYLES.values()},
    **{style: (str(style), "", "bold") for style in INK_STYLES.values()},
    **{style: (str(style), "", "") for style in SERIES_STYLES},
}


def resolve_styles(variables: Mapping[str, str], *, no_color: bool) -> dict[StyleName, Style]:
    """Resolve every style name to a rich style under a theme.

    Args:
        variables: the theme's CSS variables.
        no_color: whether colours will be turned into greys; spans are then bold as well, so that they stand out.
    """

    def color(name: str) -> RichColor | None:
        return Color.parse(variables[name]).rich_color if name else None

    styles: dict[StyleName, Style] = {}
    for style, (text, behind, attributes) in _STYLE_SPECS.items():
        if no_color and style in SPAN_STYLES.values():
            attributes = "bold"
        elif no_color and style in ("mode", "cursor", "match"):
            attributes = "reverse" if style != "cursor" else "bold"
        styles[style] = Style.parse(attributes) + Style(color=color(text), bgcolor=color(behind))
    return styles
