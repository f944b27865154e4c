"""Displays of a run's progress: `table` on a terminal, `plain` lines elsewhere, or none. Import `make_display`."""

import sys
from typing import Literal

from cogtui.cli.run.display.base import NoDisplay, RunDisplay

DisplayName = Literal["plain", "rich", "none"]


def make_display(name: DisplayName | None) -> RunDisplay:
    """Return the display of that name; by default a table on a terminal, else plain lines. All write to stderr."""
    if name == "none":
        return NoDisplay()
    if name == "rich" or (name is None and sys.stderr.isatty()):
        from cogtui.cli.run.display.table import TableDisplay

        return TableDisplay()
    from cogtui.cli.run.display.plain import PlainDisplay

    return PlainDisplay()
