"""Prints a completion with a gutter of behaviour letters, and on a terminal its spans in their colours."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cogtui.app.rendering.highlight import Highlights
from cogtui.cli.console.layout import wrap_offsets
from cogtui.cli.console.output import printable
from cogtui.store import RolloutDetail
from cogtui.store.query.serialize import shown_judgements
from pipelines.behaviors.sets.definition import ThemeKind
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, DEFINITIONS, behaviors_in_use
from pipelines.records import Behavior, LabelledSpan

Paint = Callable[[str, Behavior | None], str]
"""Returns a piece of text with the escape sequences for the colour of a behaviour."""
_GUTTER: Final = " | "


def print_completion(detail: RolloutDetail, width: int | None, *, colored: bool) -> None:
    """Print the lines of the completion, each after the letters of its behaviours.

    Args:
        detail: the rollout.
        width: columns; None leaves lines as they are stored.
        colored: whether spans have colours where standard output is a terminal that has them.
    """
    paint = (colored and terminal_paint()) or _plain
    for line in completion_lines(detail, width, paint):
        sys.stdout.write(line + "\n")


def completion_lines(detail: RolloutDetail, width: int | None, paint: Paint) -> Iterator[str]:
    """Yield the lines of the completion, control characters replaced."""
    said = shown_judgements(detail)
    behaviors = behaviors_in_use(one.behavior for one in said)
    text = detail.completion
    spans = [LabelledSpan(behavior=one.behavior, **span.model_dump()) for one in said for span in one.spans]
    marks = Highlights(len(text), spans, behaviors=behaviors)
    room = None if width is None else width - len(behaviors) - len(_GUTTER)
    start = 0
    for line in text.split("\n"):
        for first, last in wrap_offsets(printable(line), room):
            yield _line(text, (start + first, start + last), marks, behaviors, paint)
        start += len(line) + 1


def _line(text: str, bounds: tuple[int, int], marks: Highlights, behaviors: Sequence[Behavior], paint: Paint) -> str:
    pieces = marks.pieces_between(*bounds)
    found = {marks.spans[index].behavior for piece in pieces for index in piece.active}
    letters = "".join(
        paint(BEHAVIOR_LETTERS[behavior], behavior) if behavior in found else " " for behavior in behaviors
    )
    painted = "".join(
        paint(printable(text[piece.start : piece.end]), marks.spans[piece.active[0]].behavior if piece.active else None)
        for piece in pieces
    )
    return f"{letters}{_GUTTER}{painted}"


def _plain(text: str, behavior: Behavior | None) -> str:
    return text


def terminal_paint() -> Paint | None:
    """Return what colours spans on standard output; None where it is no terminal that can show them.

    Spans are underlined in the ink of their behaviour, which is readable on the terminal's own background; with
    NO_COLOR they are underlined.
    """
    if not sys.stdout.isatty():
        return None
    from rich.color import ColorSystem
    from rich.console import Console
    from rich.style import Style

    from cogtui.palette import INKS, OWN
    from cogtui.preferences import default_theme, read_preferences

    console = Console(file=sys.stdout)
    if console.color_system is None and not console.no_color:
        return None  # TERM=dumb
    kind: ThemeKind = (
        "light" if default_theme(remembered=read_preferences().get("theme", "")).endswith("light") else "dark"
    )
    system = {"256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}.get(
        console.color_system or "", ColorSystem.STANDARD
    )
    styles: dict[Behavior | None, Style] = {None: Style.null()}
    for name, definition in DEFINITIONS.items():
        ink: str | int | None = definition.colors[kind].ink
        known = INKS.get(str(ink))
        if console.no_color:
            ink = None
        elif known is not None and system is not ColorSystem.TRUECOLOR:
            ink = known.of_256 if system is ColorSystem.EIGHT_BIT else known.of_16
        color = None if ink in (None, OWN) else f"color({ink})" if isinstance(ink, int) else str(ink)
        styles[name] = Style(color=color, underline=True)
    return lambda text, behavior: styles[behavior].render(text, color_system=system)
