"""Jumps between spans by two keys, `]v [b` and so on, for every screen with spans."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from cogtui.app.shell.screen_base import AppScreen
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS

_LETTERS = frozenset(letter.lower() for letter in BEHAVIOR_LETTERS.values())


class ChordScreen(AppScreen):
    """A screen on which a bracket followed by a letter jumps. Subclasses implement `jump`."""

    CHORDS: ClassVar[tuple[tuple[str, str], ...]] = (
        *(
            (f"]{letter.lower()} [{letter.lower()}", f"Next, previous {behavior.replace('_', ' ')}")
            for behavior, letter in BEHAVIOR_LETTERS.items()
        ),
        ("]] [[", "Next, previous span of any kind"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "chord(1)", "Next span", key_display="]v"),
        Binding("left_square_bracket", "chord(-1)", "Previous span", key_display="[v", show=False),
    ]

    _chord = 0

    def jump(self, direction: int, letter: str) -> None:
        """Jump to the next (1) or previous (-1) span of the behaviour with a letter; an empty one means any."""
        raise NotImplementedError

    def action_chord(self, direction: int) -> None:
        """Remember the direction of a jump; the next key names the behaviour."""
        self._chord = direction

    def on_key(self, event: events.Key) -> None:
        """Complete a jump with its second key."""
        if not self._chord:
            return
        direction, self._chord = self._chord, 0
        letter = "" if event.key in ("right_square_bracket", "left_square_bracket") else event.key
        if not letter or letter in _LETTERS:
            event.stop()
            event.prevent_default()
            self.jump(direction, letter)
