"""The modes and their first screens, each imported when its mode is first shown; what is imported after the paint."""

import gc
from collections.abc import Callable
from importlib import import_module
from typing import Final

from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.shell.screen_base import AppScreen


def _make_jobs() -> AppScreen:
    from cogtui.app.jobs.screen import JobsScreen

    return JobsScreen()


def _make_traces() -> AppScreen:
    from cogtui.app.traces.list.screen import TracesScreen

    return TracesScreen()


def _make_curves() -> AppScreen:
    from cogtui.app.curves.screen import CurvesScreen

    return CurvesScreen()


def _make_judges() -> AppScreen:
    from cogtui.app.judges.screen import JudgesScreen

    return JudgesScreen()


MODE_SCREENS: tuple[tuple[str, Callable[[], AppScreen]], ...] = (
    ("Experiments", ExperimentsScreen),
    ("Jobs", _make_jobs),
    ("Traces", _make_traces),
    ("Curves", _make_curves),
    ("Judges", _make_judges),
)
"""The modes in the order of their number keys; a screen is created when its mode is first shown."""
ALL_MODES = tuple(title for title, _ in MODE_SCREENS)
BROWSING_MODES = ("Traces", "Judges")
"""The modes that need no stages, offered for opened files."""


_LATER_SCREENS: Final = (
    "cogtui.app.jobs.screen",
    "cogtui.app.stages.log_screen",
    "cogtui.app.traces.list.screen",
    "cogtui.app.traces.reader.screen",
    "cogtui.app.curves.screen",
    "cogtui.app.judges.screen",
    "cogtui.app.launch.screen",
    "cogtui.app.launch.scripts_screen",
    "cogtui.app.launch.choice",
    "cogtui.app.shell.help",
)


def import_screens() -> None:
    """Import the modules of other screens in a thread, so that opening them later takes no time."""
    for module in _LATER_SCREENS:
        import_module(module)


def freeze_garbage_collector() -> None:
    """Exclude current objects from garbage collection, which otherwise takes 100 ms per full pass."""
    gc.freeze()
