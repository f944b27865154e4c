"""What the command palette lists: the actions that work here, under the words people use for them."""

from collections.abc import Callable, Iterable
from typing import Final

from textual.app import App, SystemCommand
from textual.screen import Screen

from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.bars import key_name

_MOVES: Final = frozenset(
    {
        "Next line", "Previous line", "Page down", "Page up", "First line", "Last line", "Focus Next", "Focus Previous",
        "Copy selected text", "Up", "Commands",
    }
)  # fmt: skip
"""Descriptions of keys that move, which nobody looks for in the palette."""
_WORDS: Final = {
    "Cancel": "stop, kill",
    "Choose an experiment": "switch, open",
    "Clone with changes": "copy, edit, again",
    "Compare": "tables, claims, diff",
    "Experiments": "overview, matrix, home",
    "Export": "save, SVG, PNG, CSV",
    "Filter": "search, find, where",
    "Help": "keys, shortcuts",
    "Histogram": "distribution",
    "Jobs": "queue, stages, Slurm",
    "Judges": "agreement, annotators",
    "Curves": "charts, plots, metrics",
    "Log": "output, stderr, error",
    "Note": "comment",
    "Quit": "exit, leave",
    "Report": "page, HTML, publish, share",
    "Search all logs": "grep, find",
    "Start again": "retry, rerun, resume",
    "Start all failed": "retry failed",
    "Tags": "label",
    "Traces": "rollouts, completions",
}
"""Further words under which the palette finds an action."""


def command_name(description: str) -> str:
    """Return the name of an action in the palette, with the words people use for it; empty for keys that move."""
    if not description or description in _MOVES:
        return ""
    words = _WORDS.get(description)
    return description if words is None else f"{description} ({words})"


def available_commands(app: App[None], screen: Screen[object]) -> Iterable[SystemCommand]:
    """Yield the actions available at the focus, without keys that move and without what has no effect now."""
    seen: set[str] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        name = command_name(binding.description)
        useful = not isinstance(screen, AppScreen) or screen.shows_key(binding.action)
        if name and useful and not binding.system and active.enabled and name not in seen:
            seen.add(name)
            key = f"key {binding.key_display or key_name(binding.key)}"
            yield SystemCommand(name, key, _runner(app, binding.action, active.node))


def _runner(app: App[None], action: str, node: object) -> Callable[[], None]:
    def run() -> None:
        app.run_worker(app.run_action(action, node), group="palette")  # type: ignore[arg-type]

    return run
