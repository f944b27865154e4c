"""The first and the last row of every screen: modes and path, and the keys that apply."""

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Input

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.textual_compat.styled_widget import StyledWidget
from jobs.user import home_folder


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
    """The modes, the path within the mode, and at the right the workspace with what goes on in it."""

    DEFAULT_CSS = "TopBar { height: 1; dock: top; background: $bar; }"

    def __init__(self, modes: Iterable[tuple[str, str]], active: str, path: str, place: str) -> None:
        super().__init__()
        self._modes = list(modes)
        self._active = active
        self._path = path
        self._place = _without_home(printable_line(place, 200))
        self._counts: Sequence[Part] = ()
        self._mode_ends: list[tuple[int, str]] = []

    def show_mode(self, title: str) -> None:
        """Mark another mode."""
        if title != self._active:
            self._active = title
            self.refresh()

    def show_counts(self, counts: Sequence[Part]) -> None:
        """Show how many stages run, wait and failed; repaints only if that changed."""
        if counts != self._counts:
            self._counts = counts
            self.refresh()

    def show_path(self, path: str) -> None:
        """Show another path within the mode."""
        if path != self._path:
            self._path = path
            self.refresh()

    def render_line(self, y: int) -> Strip:
        parts: list[Part] = [(" cogtui ", "key")]
        used = cell_len(parts[0][0])
        self._mode_ends = []
        for key, title in self._modes:
            if title == self._active:
                label = f" {key} {title} " if len(self._modes) > 1 else f" {title} "
                parts.append((label, "mode"))
                used += cell_len(label)
            else:
                parts += [(f" {key} ", "key"), (f"{title} ", "dim")]
                used += len(key) + len(title) + 3
            self._mode_ends.append((used, title))
        room = max(0, self.size.width - used)
        path = f"  › {printable_line(self._path, 200)}" if self._path else ""
        path = fit(path, room) if cell_len(path) > room else path
        parts.append((path, "strong"))
        room -= cell_len(path)
        counts = list(self._counts)
        # Glyph and words, then a gap before each further pair; the last pair matters least.
        while counts and (sum(cell_len(text) for text, _ in counts) + 3 > room or len(counts) % 3 != 2):
            counts.pop()
        right = sum(cell_len(text) for text, _ in counts) + 1
        place = self._place + (" · " if counts else "")
        if room - right >= cell_len(place) + 2:
            counts.insert(0, (place, "dim"))
            right += cell_len(place)
        elif not counts and room >= 10:
            text = f"…{self._place[3 - room :]}"
            counts, right = [(text, "dim")], cell_len(text) + 1
        parts += [(" " * max(0, room - right), ""), *counts, (" ", "")]
        return self.strip(parts, self.size.width)

    async def on_click(self, event: events.Click) -> None:
        for end, title in self._mode_ends:
            if event.x < end:
                await self.app.run_action(f"app.mode({title!r})")
                return


def _without_home(place: str) -> str:
    home = home_folder()
    if home is None or not f"{place}/".startswith(f"{home}/"):
        return place
    return f"~{place[len(str(home)) :]}"


class KeyBar(StyledWidget):
    """The most important keys at the focus, generated from the bindings; a click does what the key does."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; background: $bar; }"

    def __init__(self) -> None:
        super().__init__()
        self._key_ends: list[tuple[int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: "Screen[object]") -> None:
        if screen is self.screen:
            self.refresh()

    def _shown_keys(self) -> list[tuple[str, str, str]]:
        """Return (name as typed, description, key) of the keys to show, the most important first."""
        keys: dict[str, tuple[str, str]] = {}
        focused = self.screen.focused
        shows: Callable[[str], bool] = getattr(self.screen, "shows_key", lambda _: True)
        for key, active in self.screen.active_bindings.items():
            if isinstance(focused, Input) and active.node is not focused:
                continue  # while the user types, other keys are letters
            binding = active.binding
            if binding.show and not binding.system and active.enabled and shows(binding.action):
                keys.setdefault(binding.description, (binding.key_display or key_name(key), key))
        first: tuple[str, ...] = getattr(self.screen, "FOOTER", ())
        found = [(name, description, key) for description, (name, key) in keys.items()]
        head = [one for one in found if one[1] not in ("Help", "Quit")]
        head.sort(key=lambda one: first.index(one[0]) if one[0] in first else len(first))
        return head + [one for one in found if one[1] in ("Help", "Quit")]

    def render_line(self, y: int) -> Strip:
        shown = self._shown_keys()
        room = self.size.width
        tail = [one for one in shown if one[1] in ("Help", "Quit")]
        room -= sum(len(name) + len(description) + 3 for name, description, _ in tail)
        parts: list[Part] = []
        self._key_ends = []
        at = 0
        for name, description, key in shown:
            width = len(name) + len(description) + 3
            if description not in ("Help", "Quit"):
                room -= width
                if room < 0:
                    room = -1  # cut from the right: what matters less is not shown instead
                    continue
            at += width
            parts += [(f" {name} ", "key"), (f"{description} ", "dim")]
            self._key_ends.append((at, key))
        return self.strip(parts, self.size.width)

    async def on_click(self, event: events.Click) -> None:
        for end, key in self._key_ends:
            if event.x < end:
                active = self.screen.active_bindings.get(key)
                if active is not None and active.enabled:
                    await self.app.run_action(active.binding.action, active.node)
                return
