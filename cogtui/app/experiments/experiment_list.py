"""The list of experiments: state, progress, time left, accuracy before and after, gain and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.rendering.states import format_share
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.widgets.line_view import LineView
from jobs.formatting import format_duration

if TYPE_CHECKING:  # computed in a thread, whose imports take longer than the first paint may
    from cogtui.analysis.intervals import MeanEstimate
    from cogtui.app.experiments.overview import ExperimentOverview
    from jobs.planning.experiment_notes import NotesOnExperiment

_BAR = 12


class ExperimentList(LineView):
    """One line for each experiment of the workspace, the newest first."""

    TITLE = "list of experiments"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Its matrix")]

    def __init__(self) -> None:
        super().__init__(widget_id="experiments")
        self.overviews: Sequence[ExperimentOverview] = ()
        self._names: list[str] = []
        self._notes: Mapping[str, NotesOnExperiment] = {}

    @property
    def line_count(self) -> int:
        return len(self._names)

    def show_experiments(self, names: Sequence[str], overviews: Sequence[ExperimentOverview], here: int) -> None:
        """Show experiments; what is known of them may arrive later."""
        changed = list(names) != self._names
        before = {one.name: one for one in self.overviews}
        self._names, self.overviews = list(names), overviews
        if changed:
            self.lines_changed(cursor=here)
            return
        for line, name in enumerate(names):
            if before.get(name) != self._overview(name):
                self.line_changed(line)
        if self.cursor != here:
            self.cursor = here

    def show_notes(self, notes: Mapping[str, NotesOnExperiment]) -> None:
        """Show tags and notes of people at the ends of the lines."""
        before, self._notes = self._notes, notes
        for line, name in enumerate(self._names):
            if before.get(name) != notes.get(name):
                self.line_changed(line)

    def _overview(self, name: str) -> ExperimentOverview | None:
        return next((one for one in self.overviews if one.name == name), None)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        name = self._names[line]
        wide = width >= 100
        title = max(12, min(30, width - 56)) if not wide else 28
        parts: list[Part] = [(fit(printable_line(name, 60), title), "chosen" if line == self.cursor else "")]
        found = self._overview(name)
        if found is None:
            return [*parts, *self._note_parts(name)]
        parts.append((" ", ""))
        parts += _state(found, 26 if wide else 18)
        if wide:
            filled = round(found.share * _BAR)
            parts += [(" ", ""), ("━" * filled, "busy"), ("─" * (_BAR - filled), "rule")]
            left = "" if found.seconds_left is None else f"~{format_duration(found.seconds_left)}"
            parts.append((fit(left, 10, right=True), "dim"))
        parts.append(("  ", ""))
        parts += _accuracy(found)
        if found.warnings:
            count = sum(number for _, number, _ in found.warnings)
            parts.append((f"  ▲ {count}", "warn"))
        if wide and found.best:
            parts.append((f"  {printable_line(found.best, 60)}", "dim"))
        return [*parts, *self._note_parts(name)]

    def _note_parts(self, name: str) -> list[Part]:
        notes = self._notes.get(name)
        if notes is None:
            return []
        parts: list[Part] = [(f"  #{printable_line(tag, 40)}", "key") for tag in notes.tags]
        return [*parts, (f"  {printable_line(notes.note, 200)}", "")] if notes.note else parts


def _state(found: ExperimentOverview, width: int) -> list[Part]:
    glyph, style, words = _state_words(found)
    more = f", {found.failed} failed" if found.failed and glyph != "✗" else ""
    return [(f"{glyph} ", style), (fit(f"{words}{more}", width - 2), "" if glyph != "✗" else "bad")]


def _state_words(found: ExperimentOverview) -> tuple[str, StyleName, str]:
    """Return glyph, style and words of the most urgent thing about an experiment."""
    if found.running:
        return "◐", "busy", f"{found.done} of {found.total}"
    if found.failed:
        return "✗", "bad", f"{found.failed} failed, {found.done} of {found.total}"
    if found.done == found.total:
        return "✓", "good", "done"
    if found.waiting:
        return "·", "dim", f"{found.done} of {found.total}, queued"
    return "○", "dim", f"{found.done} of {found.total}"


def _accuracy(found: ExperimentOverview) -> list[Part]:
    if found.after is None:
        return [(fit("no result yet", 14), "dim")]
    before = format_share(found.before.mean, 2) if found.before is not None else " – "
    parts: list[Part] = [(f"{before} → ", "dim"), (format_share(found.after.mean, 2), "strong")]
    if found.gain is not None:
        style: StyleName = "good" if _is_above_zero(found.gain) else ""
        half = "" if found.gain.half is None else f" ±{found.gain.half:.2f}".replace("0.", ".", 1)
        parts.append((f"  {found.gain.mean:+.2f}".replace("0.", ".", 1) + half, style))
    return parts


def _is_above_zero(gain: MeanEstimate) -> bool:
    return gain.low is not None and gain.low > 0
