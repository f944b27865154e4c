"""What an experiment says about the habits, as rows: claims with their verdicts, then warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import printable_line
from pipelines.wording import count_of

if TYPE_CHECKING:
    from cogtui.app.experiments.overview import ExperimentOverview

_SIGNS: Final[dict[str, tuple[str, StyleName]]] = {
    "holds": ("✓", "good"), "does not hold": ("✗", "bad"), "undecided": ("?", "warn"),
}  # fmt: skip

_NOTHING: Final = "nothing to compare yet: a claim needs finished runs of two conditions"


def claim_rows(found: ExperimentOverview | None, width: int) -> list[list[Part]]:
    """Return the rows for a pane of some width."""
    if found is None:
        return []
    rows: list[list[Part]] = []
    for name, count, first in found.warnings:
        stages = count_of(count, "stage")
        rows.append(
            [
                ("▲ ", "warn"),
                (printable_line(name, 60), "warn"),
                (f" in {stages}  ", ""),
                (printable_line(first, 120), "dim"),
            ]
        )
    for verdict, text in found.claims:
        sign, style = _SIGNS[verdict]
        layout = TextLayout(text, max(10, width - 2))
        for line in range(len(layout)):
            start, end = layout.bounds(line)
            rows.append([(f"{sign} " if line == 0 else "  ", style), (layout.show(text[start:end]), "")])
    if not found.claims:
        layout = TextLayout(_NOTHING, max(10, width))
        places = (layout.bounds(line) for line in range(len(layout)))
        rows += [[(layout.show(_NOTHING[start:end]), "dim")] for start, end in places]
    return rows
