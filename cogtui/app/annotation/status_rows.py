"""The lines around an annotated text: annotator, counts, and the keys that apply."""

from collections.abc import Callable, Sequence

from cogtui.app.annotation.boundaries import TextSelection
from cogtui.app.annotation.draft import AnnotationDraft
from cogtui.app.rendering.styles import SPAN_STYLES, Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.rollout.span_list import SpanList, span_parts
from cogtui.store import RolloutRow
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.records import LabelledSpan

_QUOTE = 60


def head_parts(row: RolloutRow, by: tuple[str, str], place: str) -> list[list[Part]]:
    """Return the two header lines: which trace it is and who annotates or decides.

    Args:
        row: of the trace.
        by: a label, and a name.
        place: in the list or queue.
    """
    origin = [text for text in (row.condition, None if row.seed is None else f"seed {row.seed}") if text]
    origin += [f"step {row.step}", row.split, f"problem {row.problem_id} #{row.sample}"]
    first: list[Part] = [(f" {place}  " if place else " ", "dim"), (printable_line(" · ".join(origin), 200), "strong")]
    problem = "" if row.is_document else f" {printable_line(row.describe(), 100)} "
    second: list[Part] = [(problem, "strong")]
    second += [(f" {printable_line(by[0], 120)} ", "dim"), (printable_line(by[1], 80), ""), (f"  {row.id}", "dim")]
    return [first, second]


def count_parts(draft: AnnotationDraft, saved: str) -> list[Part]:
    """Return the counts so far, the number of open proposals, and the save state.

    Args:
        draft: as it stands.
        saved: `saved`, `saving`, or what went wrong; empty before the first change.
    """
    parts: list[Part] = []
    for behavior in draft.behaviors:
        own = draft.count(behavior)
        seen = draft.done or any(span.behavior == behavior for span in draft.spans)
        asked = sum(span.behavior == behavior for span in draft.open)
        parts.append((f" {BEHAVIOR_LETTERS[behavior]} ", (SPAN_STYLES[behavior], "strong")))
        parts.append((f" {own if seen else '–'}{f' +{asked}?' if asked else ''} ", "" if seen else "dim"))
    if draft.done:
        parts.append(("  ✓ done", "good"))
    elif draft.open:
        parts.append((f"  {len(draft.open)} to decide", "warn"))
    else:
        parts.append(("  not done (D)" if not draft.empty else "  not begun", "dim"))
    bad = saved not in ("", "saved", "saving")
    parts.append((f"  {printable_line(saved, 200)}", "bad" if bad else "dim"))
    return parts


def hint_parts(
    draft: AnnotationDraft, span: LabelledSpan | None, selection: TextSelection | None, proposed_by: str = ""
) -> list[Part]:
    """Return what the caret is on and the keys that apply there.

    Args:
        draft: as it stands.
        span: under the caret.
        selection: being made.
        proposed_by: whose the span is, where annotators are compared.
    """
    if selection is not None:
        what = "boundaries" if selection.origin is not None else "selected"
        quote = printable_line(draft.text[selection.start : selection.end][:_QUOTE], _QUOTE)
        keys = "Enter keeps" if selection.origin is not None else "V B S C adds"
        return [
            (f" {what} {selection.start}–{selection.end} ", "strong"),
            (f"{keys}, o other end, Esc cancels  ", "dim"),
            (f"“{quote}”", ""),
        ]
    if span is None:
        if draft.empty:
            return [(" J proposes a judge's spans; Space, then V B S C, adds a span; D: no spans here", "dim")]
        return [(" no span here: ] goes to the next one, Space starts a new one", "dim")]
    open_one = draft.is_open(span)
    flags = "".join(f" {name}" for name, on in (("weak", span.weak), ("repeat", span.repeat)) if on)
    style: StyleName = "warn" if open_one else "good"
    keys = "Enter accepts, x rejects" if open_one else "x deletes, W weak, R repeat"
    return [
        (f" {BEHAVIOR_LETTERS[span.behavior]} ", (SPAN_STYLES[span.behavior], "strong")),
        (f" {_origin(proposed_by, open_one=open_one)}", style),
        (f"{flags} {span.start}–{span.end}  ", ""),
        (f"{keys}, e boundaries, V B S C relabels", "dim"),
    ]


def _origin(proposed_by: str, *, open_one: bool) -> str:
    if not proposed_by:
        return "proposed" if open_one else "yours"
    return f"proposed by {proposed_by}" if open_one else f"taken from {proposed_by}"


class DraftList(SpanList, can_focus=False):
    """The spans of a draft, with `?` before open proposals."""

    def show_draft(
        self,
        draft: AnnotationDraft,
        shown: Sequence[LabelledSpan],
        current: int | None,
        proposed_by: Callable[[LabelledSpan], str] = lambda span: "",
    ) -> None:
        """Show the spans in the order of the text, with the names of those who proposed them."""
        self._draft = draft
        self._proposed_by = proposed_by
        self.show_spans(shown, ())
        if current is not None:
            self.cursor = current

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        span = self._spans[line]
        open_one = self._draft.is_open(span)
        names = self._proposed_by(span)
        who: list[Part] = [(f"{fit(names, min(14, len(names)))} ", "strong")] if names else []
        room = width - 2 - sum(len(text) for text, _ in who)
        return [("? ", "warn") if open_one else ("✓ ", "good"), *who, *span_parts(span, room)]
