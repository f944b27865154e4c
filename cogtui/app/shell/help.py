"""Help for the focused pane, generated from the active bindings."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.widgets.bars import key_name
from cogtui.app.widgets.line_view import LineView, RowLines
from cogtui.app.widgets.text_rows import TextRows

Rows = list[tuple[str, str]]


_TEXTUAL: Final = {"Focus Next": "Next pane", "Focus Previous": "Previous pane", "Copy selected text": ""}
"""Descriptions for Textual's own bindings; empty hides the binding."""


_ORDER: Final = ("In this", "On this screen", "Everywhere")


def help_sections(screen: Screen[object]) -> list[tuple[str, Rows]]:
    """Return the active keys of a screen as (title, [(keys, description)]), the focused pane first."""
    sections: dict[str, dict[str, list[str]]] = {}
    # Bindings of the key bar are the most important ones, so they come first.
    for key, active in sorted(screen.active_bindings.items(), key=lambda item: not item[1].binding.show):
        binding = active.binding
        description = _TEXTUAL.get(binding.description, binding.description)
        if not description or binding.system or not active.enabled:
            continue
        rows = sections.setdefault(_title(active.node), {})
        rows.setdefault(description, []).append(binding.key_display or key_name(key))
    ordered = sorted(sections, key=_nearness)
    found = [
        (title, [(" ".join(dict.fromkeys(keys)), description) for description, keys in sections[title].items()])
        for title in ordered
    ]
    if isinstance(screen, AppScreen) and screen.CHORDS:
        found.insert(min(1, len(found)), (f"{screen.HELP_TITLE}: two keys", list(screen.CHORDS)))
    return found


def _nearness(title: str) -> int:
    return next(
        place for place, word in enumerate(("In this", "On this screen", "Everywhere")) if title.startswith(word)
    )


def _title(node: object) -> str:
    if isinstance(node, LineView):
        return f"In this {node.TITLE}"
    if isinstance(node, AppScreen):
        return f"On this screen: {node.HELP_TITLE}"
    if isinstance(node, Screen):
        return "On this screen"
    return "Everywhere"


class HelpLines(RowLines):
    """The lines of help."""

    TITLE = "help"


class HelpScreen(ModalScreen[None], DeferredPaintScreen):
    """The keys of the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "close", "Close help")]

    def __init__(self, sections: Sequence[tuple[str, Rows]]) -> None:
        super().__init__()
        self.sections = sections

    def compose(self) -> ComposeResult:
        rows: list[list[Part]] = []
        for title, keys in self.sections:
            rows += [[]] if rows else []
            rows.append([(title, "strong")])
            rows += [[("  ", ""), (fit(names, 18), "key"), (f" {does}", "")] for names, does in keys]
        with Vertical(classes="dialog help"):
            yield TextRows(("Keys", "heading"), ("   Esc closes, arrows scroll", "dim"))
            yield HelpLines(rows)

    def action_close(self) -> None:
        """Return to the screen below."""
        self.dismiss()
