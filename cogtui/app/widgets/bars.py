"""The first and the last row of every screen: modes and path, and the keys that apply."""

from collections.abc import Iterable

from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Input

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.textual_compat.styled_widget import StyledWidget


def key_name(key: str) -> str:
    """Return a key as users type it: `slash` is `/`, `escape` is `Esc`."""
    names = {
        "escape": "Esc",
        "enter": "Enter",
        "slash": "/",
        "colon": ":",
        "question_mark": "?",
        "left_square_bracket": "[",
        "right_square_bracket": "]",
        "less_than_sign": "<",
        "greater_than_sign": ">",
        "comma": ",",
        "full_stop": ".",
        "backspace": "Backspace",
        "pageup": "PgUp",
        "pagedown": "PgDn",
        "home": "Home",
        "end": "End",
        "tab": "Tab",
        "shift+tab": "Shift+Tab",
        "space": "Space",
        "up": "↑",
        "down": "↓",
        "left": "←",
        "right": "→",
    }
    if key in names:
        return names[key]
    if key.startswith("ctrl+"):
        return f"Ctrl+{key[5:].upper()}"
    return key


class TopBar(StyledWidget):
    """The modes, the path within the mode, and the workspace at the right."""

    DEFAULT_CSS = "TopBar { height: 1; dock: top; background: $panel; }"

    def __init__(self, modes: Iterable[tuple[str, str]], active: str, path: str, place: str) -> None:
        super().__init__()
        self._modes = list(modes)
        self._active = active
        self._path = path
        self._place = printable_line(place, 200)

    def show_mode(self, title: str) -> None:
        """Mark another mode."""
        if title != self._active:
            self._active = title
            self.refresh()

    def render_line(self, y: int) -> Strip:
        parts: list[Part] = [("cogtui ", "strong")]
        for key, title in self._modes:
            label = f" {key} {title} " if len(self._modes) > 1 else f" {title} "
            parts.append((label, "current") if title == self._active else (label, ""))
        width = self.size.width
        used = sum(len(text) for text, _ in parts)
        path = f" › {printable_line(self._path, 200)}" if self._path else ""
        room = max(0, width - used)
        shown = fit(path, min(len(path), room)) if path else ""
        parts.append((shown, "dim"))
        left = room - len(shown) - 2
        if left >= 8:
            place = self._place if len(self._place) <= left else "…" + self._place[1 - left :]
            parts.append((fit("  " + place, left + 2, right=True), "dim"))
        return self.strip(parts, width)


class KeyBar(StyledWidget):
    """The most important keys at the focus, generated from the bindings."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; background: $panel; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: "Screen[object]") -> None:
        if screen is self.screen:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        keys: dict[str, list[str]] = {}
        focused = self.screen.focused
        for key, active in self.screen.active_bindings.items():
            if isinstance(focused, Input) and active.node is not focused:
                continue  # while the user types, other keys are letters
            binding = active.binding
            if binding.show and not binding.system and active.enabled:
                keys.setdefault(binding.description, []).append(binding.key_display or key_name(key))
        parts: list[Part] = []
        room = self.size.width
        tail = [(name, found) for name, found in keys.items() if name in ("Help", "Quit")]
        head = [(name, found) for name, found in keys.items() if name not in ("Help", "Quit")]
        first: tuple[str, ...] = getattr(self.screen, "FOOTER", ())
        head.sort(key=lambda pair: first.index(pair[1][0]) if pair[1][0] in first else len(first))
        room -= sum(len(found[0]) + len(name) + 3 for name, found in tail)
        for name, found in head:
            room -= len(found[0]) + len(name) + 3
            if room < 0:
                break
            parts += [(f" {found[0]} ", "key"), (f"{name} ", "dim")]
        for name, found in tail:
            parts += [(f" {found[0]} ", "key"), (f"{name} ", "dim")]
        return self.strip(parts, self.size.width)
