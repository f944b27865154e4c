"""The published accuracy curves, on the start page: what the bundled recipes set out to see in small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from textual import events
from textual.strip import Strip

from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.textual_compat.styled_widget import StyledWidget

if TYPE_CHECKING:
    from cogtui.app.curves.chart import ChartLine

_SHOWN: Final[tuple[tuple[str, str, str, StyleName], ...]] = (
    ("qwen", "none", "Qwen", "series-1"),
    ("llama", "all_strategies", "Llama primed", "series-0"),
    ("llama", "none", "Llama", "series-4"),
)
"""Model, condition, name and style of each curve."""


class PublishedChart(StyledWidget):
    """Draws published curves.

    Args:
        lines: the curves, as `published_lines` reads them.
    """

    DEFAULT_CSS = "PublishedChart { height: 1fr; width: 1fr; }"

    def __init__(self, lines: Sequence[ChartLine]) -> None:
        super().__init__()
        self._lines = lines
        self._rows: list[list[Part]] = []

    def on_resize(self, event: events.Resize) -> None:
        if self._lines and event.size.height > 3:
            self._draw()

    def _draw(self) -> None:
        from cogtui.app.curves.chart import chart_rows

        legend: list[Part] = [(" step  ", "dim")]
        for line in self._lines:
            legend += [(f"{line.letter} ", (line.style, "strong")), (f"{line.name}  ", "")]
        self._rows = [*chart_rows(self._lines, self.size.width, self.size.height - 1), legend]
        self.refresh()

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)


def published_lines() -> list[ChartLine]:
    """Read the curves that are shown."""
    from cogtui.analysis.curves import Curve, CurvePoint
    from cogtui.analysis.reference import published_curve
    from cogtui.app.curves.chart import ChartLine

    lines = []
    for place, (model, condition, name, style) in enumerate(_SHOWN):
        points = tuple(
            CurvePoint(step, value, None, None, 1, 0, 0)
            for step, value in published_curve(model, condition, "accuracy")
        )
        letter = chr(ord("a") + place)
        lines.append(ChartLine(Curve(condition, "test", "accuracy", points, name), letter, style, "solid"))
    return lines
