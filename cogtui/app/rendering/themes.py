"""Themes, and the CSS variables of roles, behaviours and curves."""

import os
from collections.abc import Mapping
from typing import Final

from textual.theme import Theme

from cogtui.palette import COLOUR_BLIND, CONTRAST, DARK, LIGHT, SERIES, Palette
from pipelines.behaviors.sets.definition import ThemeKind
from pipelines.behaviors.sets.registered import DEFINITIONS
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
DARK_THEME: Final = THEMES[0]
LIGHT_THEME: Final = THEMES[1]


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


def default_theme(environment: Mapping[str, str] = os.environ, remembered: str = "") -> str:
    """Return the initial theme: COGTUI_THEME, else the one chosen last, else light if COLORFGBG says so, else dark."""
    wanted = environment.get("COGTUI_THEME", "")
    if wanted in ("light", "dark", "contrast", "colour-blind"):
        return f"cogtui-{wanted}"
    if wanted or remembered:
        return wanted or remembered
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT_THEME.name if background in ("7", "15") else DARK_THEME.name
