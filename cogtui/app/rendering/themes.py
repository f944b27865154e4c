"""Themes, and the CSS variables of the colours of behaviours."""

import os
from collections.abc import Mapping
from typing import Final

from textual.theme import Theme

from pipelines.behaviors.sets.definition import ThemeKind
from pipelines.behaviors.sets.registered import DEFINITIONS
from pipelines.records import Behavior

DARK: Final = Theme(
    name="cogtui-dark",
    primary="#56b4e9",
    secondary="#8fa3b0",
    accent="#e69f00",
    warning="#e69f00",
    error="#ff6b5e",
    success="#3fc08f",
    foreground="#e4e6e8",
    background="#101418",
    surface="#171c21",
    panel="#222a31",
)
LIGHT: Final = Theme(
    name="cogtui-light",
    primary="#00558c",
    secondary="#4d5c66",
    accent="#9a5b00",
    warning="#9a5b00",
    error="#b3261e",
    success="#00694a",
    foreground="#1a1c1e",
    background="#fbfbf9",
    surface="#f1f1ee",
    panel="#e2e4e4",
    dark=False,
)
THEMES: Final = (DARK, LIGHT)


def span_variables(theme: Theme) -> dict[str, str]:
    """Return the CSS variables of behaviours for any theme, Textual's own included: `$span-verification` and so on."""
    kind: ThemeKind = "dark" if theme.dark else "light"
    return {span_variable(name): behavior.colors[kind].background for name, behavior in DEFINITIONS.items()}


def span_variable(behavior: Behavior) -> str:
    """Return the CSS variable with the background of a behaviour's spans."""
    return f"span-{behavior.replace('_', '-')}"


def default_theme(environment: Mapping[str, str] = os.environ) -> str:
    """Return the initial theme: COGTUI_THEME, else light if COLORFGBG says so, else dark."""
    wanted = environment.get("COGTUI_THEME", "")
    if wanted in ("light", "dark"):
        return f"cogtui-{wanted}"
    if wanted:
        return wanted
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if background in ("7", "15") else DARK.name
