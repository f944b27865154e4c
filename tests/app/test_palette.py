"""The palette: what is read can be read, what must be told apart is, and terminals of few colours get those chosen."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from itertools import combinations
from pathlib import Path

import pytest
from rich._palettes import EIGHT_BIT_PALETTE
from rich.color_triplet import ColorTriplet
from rich.style import Style

from cogtui.app.rendering.terminal_colors import limit_style, nearest_of_256, to_oklab
from cogtui.palette import (
    BACKGROUNDS,
    COLOUR_BLIND,
    CONTRAST,
    DARK,
    INKS,
    LIGHT,
    SERIES,
    Palette,
    series_slots,
)
from cogtui.preferences import default_theme, read_preferences, remember
from pipelines.behaviors.sets.definition import ThemeKind
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import DEFINITIONS
from tests.app.conftest import Builder

PALETTES = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST, "colour-blind": COLOUR_BLIND}
RGB = tuple[float, float, float]
# Linear-light matrices for full deficiency. Source: Machado, Oliveira, Fernandes 2009, severity 1.0.
DEFICIENCIES = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def linear(color: tuple[int, int, int]) -> RGB:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (one / 255 for one in color)
    )
    return red, green, blue


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The contrast of WCAG 2."""
    light, dark = sorted(
        (0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in map(linear, (one, other))), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


def of_256(color: str, table: dict[str, object]) -> tuple[int, int, int]:
    known = table.get(color)
    number = known[0] if isinstance(known, tuple) else nearest_of_256(ColorTriplet(*rgb(color)))
    assert isinstance(number, int), f"{color} is the terminal's own"
    triplet = EIGHT_BIT_PALETTE[number]
    return triplet.red, triplet.green, triplet.blue


def seen_with(color: tuple[int, int, int], deficiency: str) -> tuple[int, int, int]:
    """The colour as somebody with a deficiency sees it."""
    parts = linear(color)
    mixed = [sum(a * b for a, b in zip(row, parts, strict=True)) for row in DEFICIENCIES[deficiency]]
    bounded = [min(1.0, max(0.0, value)) for value in mixed]
    red, green, blue = (
        round(255 * (12.92 * one if one <= 0.0031308 else 1.055 * one ** (1 / 2.4) - 0.055)) for one in bounded
    )
    return red, green, blue


@pytest.mark.parametrize("name", PALETTES)
def test_everything_that_is_read_has_a_contrast_of_four_and_a_half(name: str) -> None:
    palette: Palette = PALETTES[name]
    inks = {role: getattr(palette, role) for role in ("text", "muted", "focus", "accent", "done", "running", "failed")}
    kind: ThemeKind = "light" if name == "light" else "dark"
    inks |= {behavior: definition.colors[kind].ink for behavior, definition in DEFINITIONS.items()}
    inks |= {f"series {slot}": one.of(kind) for slot, one in enumerate(SERIES)}
    grounds = {"background": palette.background, "bar": palette.bar}
    low = {
        (ink, ground): round(value, 2)
        for ink, color in inks.items()
        for ground, behind in grounds.items()
        if (value := contrast(rgb(color), rgb(behind))) < 4.5
    }
    assert not low
    black_or_white = (0, 0, 0) if kind == "dark" else (255, 255, 255)
    few = {
        ink: round(value, 2)
        for ink, color in inks.items()
        if (value := contrast(of_256(color, INKS), black_or_white)) < 4.5  # type: ignore[arg-type]
    }
    assert not few


@pytest.mark.parametrize("kind", ["dark", "light"])
def test_text_stays_readable_on_the_spans_of_the_four_habits(kind: str) -> None:
    palette = PALETTES[kind]
    for behavior in FOUR_HABITS.behaviors:
        behind = behavior.colors[kind].background  # type: ignore[index]
        assert contrast(rgb(palette.text), rgb(behind)) >= 4.5, behavior.name
        few = limit_style(Style.parse(f"{palette.text} on {behind}"), 256)
        assert few.color is not None
        assert few.bgcolor is not None
        drawn = [EIGHT_BIT_PALETTE[one.number or 0] for one in (few.color, few.bgcolor)]
        assert contrast(tuple(drawn[0]), tuple(drawn[1])) >= 4.5, behavior.name  # type: ignore[arg-type]
        assert len({of_256(one.colors[kind].background, BACKGROUNDS) for one in FOUR_HABITS.behaviors}) == 4  # type: ignore[arg-type, index]


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("kind", ["dark", "light"])
def test_the_four_habits_stay_apart_for_readers_with_a_colour_vision_deficiency(kind: str, deficiency: str) -> None:
    inks = {one.name: one.colors[kind].ink for one in FOUR_HABITS.behaviors}  # type: ignore[index]
    for few in (False, True):
        seen = {
            name: to_oklab(*seen_with(of_256(ink, INKS) if few else rgb(ink), deficiency))  # type: ignore[arg-type]
            for name, ink in inks.items()
        }
        for one, other in combinations(seen, 2):
            assert seen[one].distance(seen[other]) ** 0.5 > 0.05, (one, other, deficiency, few)


def test_a_condition_keeps_its_colour_whatever_stands_beside_it() -> None:
    alone = series_slots(["backtracking_verification"])
    among = series_slots(["none", "made_up", "backtracking_verification", "dose=3"])
    assert among["backtracking_verification"] == alone["backtracking_verification"]
    assert series_slots(["dose=3", "backtracking_verification", "made_up", "none"]) == among
    assert len(set(among.values())) == 4


def test_the_theme_chosen_last_is_remembered_and_a_broken_file_is_no_error(tmp_path: Path) -> None:
    environment = {"COGTUI_CONFIG": str(tmp_path / "c")}
    assert read_preferences(environment) == {}
    remember("theme", "cogtui-contrast", environment)
    assert default_theme({}, read_preferences(environment)["theme"]) == "cogtui-contrast"
    assert default_theme({"COGTUI_THEME": "dark"}, "cogtui-contrast") == "cogtui-dark"
    (tmp_path / "c" / "app.json").write_text("[1")
    assert read_preferences(environment) == {}


def painted_by(workspace: Path, environment: dict[str, str]) -> str:
    """What the app writes to a terminal of 120 × 40 until it has shown its first screens."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLORTERM", "NO_COLOR", "TMUX")}
    app = subprocess.Popen(
        [sys.executable, "-m", "cogtui", "--workspace", str(workspace)],
        stdin=slave, stdout=slave, stderr=slave, env={**kept, **environment}, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    written = b""
    try:
        for key, sign in ((b"", b"Experiments"), (b"2", b"Queue"), (b"3", b"Rollouts")):
            os.write(master, key)
            deadline, start = time.monotonic() + 60, len(written)
            while sign not in written[start:] and time.monotonic() < deadline:
                if select.select([master], [], [], 0.1)[0]:
                    written += os.read(master, 1 << 16)
            assert sign in written[start:], f"{sign!r} was never shown"
    finally:
        app.kill()
        app.wait()
        os.close(master)
    return written.decode(errors="replace")


def test_in_tmux_the_colours_are_those_chosen_for_256(small: Builder) -> None:
    text = painted_by(small.workspace.path, {"TERM": "tmux-256color"})
    behind = {int(number) for number in re.findall(r"48;5;(\d+)", text)}
    assert behind, "bars and rows are painted"
    assert behind <= {one.of_256 for one in BACKGROUNDS.values()}, "17 is navy"
    assert not re.search(r"[34]8;2;", text)


def test_without_colour_no_colour_is_sent(small: Builder) -> None:
    text = painted_by(small.workspace.path, {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"})
    codes = {code for found in re.findall(r"\x1b\[([\d;]*)m", text) for code in found.split(";")}
    assert codes <= {"", "0", "1", "2", "3", "4", "7", "39", "49"}, "attributes only"
    assert "7" in codes, "the chosen row stands out"


def test_sixteen_colours_use_the_terminals_own(small: Builder) -> None:
    text = painted_by(small.workspace.path, {"TERM": "xterm"})
    assert not re.search(r"[34]8;[25];", text)
    assert "\x1b" in text


def test_a_style_of_another_theme_goes_to_the_nearest_by_eye() -> None:
    style = limit_style(Style.parse("#d8dee9 on #2e3440"), 256)
    assert style.bgcolor is not None
    assert style.bgcolor.number in range(234, 240), "a dark grey, not navy"
