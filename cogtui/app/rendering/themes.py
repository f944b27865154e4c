"""Themes, and the CSS variables of roles, behaviours and curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.theme import Theme

from cogtui.palette import COLOUR_BLIND, CONTRAST, DARK, LIGHT, SERIES, Palette
from pipelines.behaviors.sets.definition import ThemeKind
from pipelines.behaviors.sets.registered import DEFINITIONS

if TYPE_CHECKING:  # records need pydantic, which the first paint does without
    from pipelines.records import Behavior


def _theme(name: str, palette: Palette, *, dark: bool = True) -> Theme:
    return Theme(
        name=name,
        primary=palette.focus,
        secondary=palette.muted,
        accent=palette.accent,
        warning=palette.accent,
        error=palette.failed,
        success=palette.done,
        foreground=palette.text,
        background=palette.background,
        surface=palette.background,
        panel=palette.bar,
        dark=dark,
        variables={
            "bar": palette.bar,
            "row": palette.row,
            "muted": palette.muted,
            "faint": palette.faint,
            "rule": palette.border,
            "running": palette.running,
            "block-cursor-background": palette.row,
            "block-cursor-foreground": palette.accent,
            "border": palette.focus,
            "border-blurred": palette.border,
            "scrollbar": palette.border,
            "scrollbar-hover": palette.muted,
            "scrollbar-active": palette.focus,
            "scrollbar-background": palette.background,
            "input-cursor-background": palette.text,
            "input-cursor-foreground": palette.background,
            "input-selection-background": palette.row,
        },
    )


THEMES: Final = (
    _theme("cogtui-dark", DARK),
    _theme("cogtui-light", LIGHT, dark=False),
    _theme("cogtui-contrast", CONTRAST),
    _theme("cogtui-colour-blind", COLOUR_BLIND),
)


def theme_variables(theme: Theme) -> dict[str, str]:
    """Return the CSS variables that the app adds to a theme, Textual's own themes included.

    These are `$row`, `$muted` and the like, `$span-verification` for each behaviour and `$ink-verification` for its
    letter, and `$series-0` and so on for curves.
    """
    kind: ThemeKind = "dark" if theme.dark else "light"
    base = DARK if theme.dark else LIGHT
    roles = {
        "bar": theme.panel or base.bar,
        "row": theme.panel or base.row,
        "muted": base.muted,
        "faint": base.faint,
        "rule": base.border,
        "running": theme.primary,
    }
    spans = {span_variable(name): behavior.colors[kind].background for name, behavior in DEFINITIONS.items()}
    inks = {ink_variable(name): behavior.colors[kind].ink for name, behavior in DEFINITIONS.items()}
    series = {f"series-{slot}": color.of(kind) for slot, color in enumerate(SERIES)}
    return {**roles, **spans, **inks, **series}


def span_variable(behavior: Behavior) -> str:
    """Return the CSS variable with the background of a behaviour's spans."""
    return f"span-{behavior.replace('_', '-')}"


def ink_variable(behavior: Behavior) -> str:
    """Return the CSS variable with the colour of a behaviour's letter and lines."""
    return f"ink-{behavior.replace('_', '-')}"
