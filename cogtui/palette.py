"""Every colour of cogtui, in one table: the app, the HTML export, reports and curves take theirs from here.

A role has a colour for terminals of 16 million colours, the number of one of the 256, and the name of one of the 16,
each chosen by hand: the nearest of 256 by arithmetic turns a dark blue-grey into navy. Behaviours have theirs from
their set (`set.toml`); what those become with 256 and 16 colours stands here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from pipelines.behaviors.sets.definition import ThemeKind

OWN: Final = "own"
"""The terminal's own colour, instead of a number or name."""


class TerminalColor(NamedTuple):
    """What a colour becomes where there are fewer than 16 million."""

    of_256: int | str
    """A number of the palette of 256 colours, or `OWN`."""
    of_16: str
    """A name of rich's 16 colours, or `OWN`."""
    attributes: str = ""
    """Attributes that replace a background of few colours: `reverse`, `underline`, `bold`."""
    text_of_256: int | None = None
    """The number that plain text takes on this background, where its own would be too close."""


class Palette(NamedTuple):
    """The colours of one theme, by role, as `#rrggbb`."""

    background: str
    bar: str
    """Behind the first and the last row of a screen."""
    row: str
    """Behind the chosen row."""
    text: str
    muted: str
    faint: str
    """For ornament; nothing that is read depends on it."""
    border: str
    focus: str
    """The border of the panel that receives the keys, and the mode that is shown."""
    accent: str
    """Keys, the chosen name, and warnings."""
    done: str
    running: str
    failed: str


DARK: Final = Palette(
    background="#0e1217", bar="#151b21", row="#1f2a36", text="#d5dbe1", muted="#7f8b97", faint="#4a545e",
    border="#2d3741", focus="#6cb6ff", accent="#f2b866", done="#5cc48d", running="#6cb6ff", failed="#f47067",
)  # fmt: skip
LIGHT: Final = Palette(
    background="#fbfbf9", bar="#ecebe6", row="#dfe8f2", text="#1d2329", muted="#5d6872", faint="#9aa3ab",
    border="#c9ced3", focus="#0b63b5", accent="#8a5200", done="#12724a", running="#0b63b5", failed="#b3261e",
)  # fmt: skip
CONTRAST: Final = Palette(
    background="#000000", bar="#1c1c1c", row="#1f3d5c", text="#ffffff", muted="#c6ccd2", faint="#8e98a2",
    border="#8e98a2", focus="#7cc8ff", accent="#ffd24a", done="#6ee7a8", running="#7cc8ff", failed="#ff9b94",
)  # fmt: skip
COLOUR_BLIND: Final = Palette(
    background="#0e1217", bar="#151b21", row="#1f2a36", text="#d5dbe1", muted="#7f8b97", faint="#4a545e",
    border="#2d3741", focus="#56b4e9", accent="#f0e442", done="#56b4e9", running="#d5dbe1", failed="#e8783c",
)  # fmt: skip
"""Done and failed are blue and vermilion, which readers without red or green cones tell apart."""

_BARE: Final = TerminalColor(OWN, OWN)
_ROW: Final = TerminalColor(236, OWN, "reverse")
_BAR: Final = TerminalColor(235, OWN, "bold")

BACKGROUNDS: Final[dict[str, TerminalColor]] = {
    DARK.background: _BARE, DARK.bar: _BAR, DARK.row: _ROW,
    LIGHT.background: TerminalColor(231, OWN), LIGHT.bar: TerminalColor(254, OWN, "bold"),
    LIGHT.row: TerminalColor(189, OWN, "reverse"),
    CONTRAST.background: TerminalColor(16, OWN), CONTRAST.bar: TerminalColor(234, OWN, "bold"),
    CONTRAST.row: TerminalColor(24, OWN, "reverse"),
    DARK.focus: TerminalColor(75, "bright_cyan"), LIGHT.focus: TerminalColor(25, "blue"),
    CONTRAST.focus: TerminalColor(117, "bright_cyan"), COLOUR_BLIND.focus: TerminalColor(74, "bright_cyan"),
    DARK.accent: TerminalColor(215, "yellow"), LIGHT.accent: TerminalColor(94, "yellow"),
    CONTRAST.accent: TerminalColor(221, "bright_yellow"), COLOUR_BLIND.accent: TerminalColor(227, "bright_yellow"),
    # Behaviours behind the text: underlined where there is no colour to spare.
    "#16507d": TerminalColor(24, OWN, "underline"), "#7d4210": TerminalColor(94, OWN, "underline", 231),
    "#17573f": TerminalColor(23, OWN, "underline"), "#5f3267": TerminalColor(53, OWN, "underline"),
    "#cfe5fb": TerminalColor(153, OWN, "underline"), "#ffe0c2": TerminalColor(223, OWN, "underline"),
    "#cdeedd": TerminalColor(194, OWN, "underline"), "#ecd8f3": TerminalColor(225, OWN, "underline"),
}  # fmt: skip
"""Colours behind text, by their `#rrggbb`."""

INKS: Final[dict[str, TerminalColor]] = {
    DARK.background: TerminalColor(16, "black"), LIGHT.background: TerminalColor(231, "bright_white"),
    CONTRAST.background: TerminalColor(16, "black"),
    DARK.text: TerminalColor(252, OWN), DARK.muted: TerminalColor(245, "bright_black"),
    DARK.faint: TerminalColor(240, "bright_black"), DARK.border: TerminalColor(238, "bright_black"),
    DARK.focus: TerminalColor(75, "bright_cyan"), DARK.accent: TerminalColor(215, "yellow"),
    DARK.done: TerminalColor(78, "green"), DARK.failed: TerminalColor(203, "red"),
    LIGHT.text: TerminalColor(235, OWN), LIGHT.muted: TerminalColor(241, "bright_black"),
    LIGHT.faint: TerminalColor(247, "bright_black"), LIGHT.border: TerminalColor(252, "bright_black"),
    LIGHT.focus: TerminalColor(25, "blue"), LIGHT.accent: TerminalColor(94, "magenta"),
    LIGHT.done: TerminalColor(22, "green"), LIGHT.failed: TerminalColor(124, "red"),
    CONTRAST.text: TerminalColor(231, "bright_white"), CONTRAST.muted: TerminalColor(252, "white"),
    CONTRAST.faint: TerminalColor(246, "white"), CONTRAST.focus: TerminalColor(117, "bright_cyan"),
    CONTRAST.accent: TerminalColor(221, "bright_yellow"), CONTRAST.done: TerminalColor(121, "bright_green"),
    CONTRAST.failed: TerminalColor(217, "bright_red"),
    COLOUR_BLIND.focus: TerminalColor(74, "bright_cyan"), COLOUR_BLIND.accent: TerminalColor(227, "bright_yellow"),
    COLOUR_BLIND.failed: TerminalColor(209, "yellow"),
    # Behaviours; the first of each is a colour of the dark theme already.
    "#f0964b": TerminalColor(208, "yellow"), "#c792d8": TerminalColor(176, "magenta"),
    "#a34a00": TerminalColor(130, "yellow"), "#7b3a92": TerminalColor(90, "magenta"),
}  # fmt: skip
"""Colours of text and lines, by their `#rrggbb`."""


class SeriesColor(NamedTuple):
    """The colour of a curve under dark and light themes."""

    dark: str
    light: str
    of_256: int
    of_256_light: int
    of_16: str

    def of(self, kind: ThemeKind) -> str:
        """Return the colour under a kind of theme."""
        return self.dark if kind == "dark" else self.light


SERIES: Final[tuple[SeriesColor, ...]] = (
    SeriesColor("#6cb6ff", "#0b63b5", 75, 25, "cyan"),
    SeriesColor("#f0964b", "#a34a00", 208, 130, "yellow"),
    SeriesColor("#7fd6a0", "#0d5c3b", 78, 22, "green"),
    SeriesColor("#c792d8", "#7b3a92", 176, 90, "magenta"),
    SeriesColor("#9aa5b0", "#5d6872", 247, 241, "white"),
    SeriesColor("#e3d26f", "#6f6300", 185, 58, "bright_yellow"),
    SeriesColor("#4fc1c9", "#006d75", 80, 23, "bright_cyan"),
    SeriesColor("#f28ab2", "#a8275f", 211, 125, "bright_magenta"),
    SeriesColor("#b79a76", "#745528", 137, 94, "bright_red"),
    SeriesColor("#a8b8ff", "#4a4fb0", 147, 61, "bright_blue"),
    SeriesColor("#b5d46a", "#4b6b12", 149, 28, "bright_green"),
    SeriesColor("#d5dbe1", "#1d2329", 252, 235, "bright_white"),
)
"""Colours of curves by slot. The first four are those of the four habits."""
SERIES_SLOTS: Final = len(SERIES)

_CONDITION_SLOTS: Final[dict[str, int]] = {
    "all_strategies": 0,
    "backtracking_verification": 1,
    "backtracking_subgoal": 2,
    "no_positive_all_strategies": 3,
    "none": 4,
    "only_backtracking": 5,
    "backtracking_backward": 6,
    "negative_control": 7,
    "empty_cot": 8,
    "dots": 9,
    "human_cot": 10,
    "owm_rich": 0,
    "owm_minimised": 4,
}
"""Slots of the conditions of the published experiments, the same on every screen and in every report."""


def series_slots(names: Iterable[str]) -> dict[str, int]:
    """Return the colour slot of each name: a known condition has its own, others take free ones in alphabetical order.

    A name keeps its slot as long as the set of names stays the same, whatever their order.
    """
    wanted = sorted(set(names))
    slots = {name: _CONDITION_SLOTS[name] for name in wanted if name in _CONDITION_SLOTS}
    free = [slot for slot in range(SERIES_SLOTS) if slot not in slots.values()] or list(range(SERIES_SLOTS))
    for place, name in enumerate(name for name in wanted if name not in slots):
        slots[name] = free[place % len(free)]
    return slots


for _one in SERIES:
    INKS.setdefault(_one.dark, TerminalColor(_one.of_256, _one.of_16))
    INKS.setdefault(_one.light, TerminalColor(_one.of_256_light, _one.of_16))

QUIET: Final[frozenset[str]] = frozenset(
    color for one in (DARK, LIGHT, CONTRAST, COLOUR_BLIND) for color in (one.muted, one.faint, one.border)
)
"""Colours of what is read last; dim where there is no colour."""
