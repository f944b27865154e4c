"""Displays of a run's progress: `table` on a terminal, `plain` lines elsewhere, or none. Import `make_display`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cogtui.cli.run.display.base import NoDisplay, RunDisplay, clock
from cogtui.cli.run.display.evaluations import EvaluationFollower

DisplayName = Literal["plain", "rich", "none"]


def make_display(name: DisplayName | None, folder_of: Callable[[str], Path] | None = None) -> RunDisplay:
    """Return the display of that name; by default a table on a terminal, else plain lines. All write to stderr.

    Args:
        name: of the display; None chooses.
        folder_of: returns the folder of a stage from its key; without it no evaluations are shown.
    """
    follower = None if folder_of is None else EvaluationFollower(folder_of, clock)
    if name == "none":
        return NoDisplay()
    if name == "rich" or (name is None and sys.stderr.isatty()):
        from cogtui.cli.run.display.table import TableDisplay

        return TableDisplay(follower=follower)
    from cogtui.cli.run.display.plain import PlainDisplay

    return PlainDisplay(follower=follower)
