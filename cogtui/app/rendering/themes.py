"""Themes and the colours of behaviours, distinguishable for colour-blind readers."""

import os
from collections.abc import Mapping
from typing import Final

from textual.theme import Theme

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior

# Backgrounds behind the text of a span, after the Okabe-Ito hues: blue, vermilion, green, purple.
_SPANS_DARK: Final[dict[Behavior, str]] = {
    "verification": "#0b4f86",
    "backtracking": "#8a3d00",
    "subgoal": "#00614a",
    "backward_chaining": "#6d2f63",
}
_SPANS_LIGHT: Final[dict[Behavior, str]] = {
    "verification": "#b5dcf7",
    "backtracking": "#ffcf9e",
    "subgoal": "#a9e3cd",
    "backward_chaining": "#f0c4e3",
}

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
    colors = _SPANS_DARK if theme.dark else _SPANS_LIGHT
    return {f"span-{behavior.replace('_', '-')}": colors[behavior] for behavior in BEHAVIORS}


def default_theme(environment: Mapping[str, str] = os.environ) -> str:
    """Return the initial theme: COGTUI_THEME, else light if COLORFGBG says so, else dark."""
    wanted = environment.get("COGTUI_THEME", "")
    if wanted in ("light", "dark"):
        return f"cogtui-{wanted}"
    if wanted:
        return wanted
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if background in ("7", "15") else DARK.name
