"""The annotation of one trace as an immutable value, with every edit; undo restores an earlier value."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from cogtui.store.user_data.annotations import HumanAnnotation, find_overlap
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS, behaviors_in_use
from pipelines.records import Behavior, LabelledSpan
from pipelines.wording import count_of

Flag = Literal["weak", "repeat"]
SpanKey = tuple[Behavior, int, int]
"""Behaviour, start and end: unique among the spans of a draft."""


class InvalidEdit(ValueError):
    """An edit that would make the annotation inconsistent; the message explains it to the annotator."""


@dataclass(frozen=True, slots=True)
class AnnotationDraft:
    """An annotation in progress. Every edit returns a new draft or raises `InvalidEdit`.

    Invariants: spans lie inside the text and quote it; the annotator's spans of one behaviour do not overlap; no place
    is both decided and open; a finished trace has no open proposals.
    """

    text: str
    spans: tuple[LabelledSpan, ...] = ()
    """The annotator's own spans, in reading order."""
    open: tuple[LabelledSpan, ...] = ()
    """Proposals that are not decided yet."""
    rejected: tuple[LabelledSpan, ...] = ()
    done: bool = False
    basis: str = ""
    """Id of the judge run whose spans were proposed."""

    @classmethod
    def of(cls, annotation: HumanAnnotation, text: str) -> Self:
        """Return the draft of a saved annotation."""
        return cls(text, annotation.spans, annotation.open, annotation.rejected, annotation.done, annotation.basis)

    @property
    def behaviors(self) -> tuple[Behavior, ...]:
        """The behaviours it is about: those of the sets its spans belong to, the four habits if it has none."""
        return behaviors_in_use(span.behavior for span in (*self.spans, *self.open, *self.rejected))

    @property
    def items(self) -> tuple[LabelledSpan, ...]:
        """The annotator's spans and the open proposals, in reading order."""
        return _ordered((*self.spans, *self.open))

    @property
    def empty(self) -> bool:
        """Whether the annotation has no content."""
        return not (self.spans or self.open or self.rejected or self.done)

    def is_open(self, span: LabelledSpan) -> bool:
        """Return whether a span is an undecided proposal."""
        return span in self.open

    def count(self, behavior: Behavior) -> int:
        """Count the annotator's spans of a behaviour that are neither weak nor repeated."""
        return sum(span.behavior == behavior and not (span.weak or span.repeat) for span in self.spans)

    def propose(self, spans: Iterable[LabelledSpan], basis: str) -> Self:
        """Replace the open proposals by a judge's spans; decided spans are not proposed again."""
        known = {span_key(span) for span in (*self.spans, *self.rejected)}
        fresh: dict[SpanKey, LabelledSpan] = {}
        for span in spans:
            if span.start is None or span.end is None or span.end > len(self.text):
                continue
            one = self._span(span.behavior, span.start, span.end, weak=span.weak, repeat=span.repeat)
            if span_key(one) not in known:
                fresh.setdefault(span_key(one), one)
        found = _ordered(fresh.values())
        return replace(self, open=found, basis=basis, done=self.done and not found)

    def accept(self, span: LabelledSpan) -> Self:
        """Turn an open proposal into one of the annotator's spans."""
        return self._with(add=span, drop=span)

    def accept_version(self, span: LabelledSpan) -> Self:
        """Accept an open proposal and reject the open ones of its behaviour that overlap it: other versions of it."""
        accepted = self.accept(span)
        others = tuple(one for one in accepted.open if _overlap(one, span))
        left = tuple(one for one in accepted.open if one not in others)
        return replace(accepted, open=left, rejected=_ordered((*accepted.rejected, *others)))

    def accept_all(self) -> Self:
        """Accept all open proposals except those that overlap a span of the annotator."""
        draft = self
        for span in self.open:
            try:
                draft = draft.accept(span)
            except InvalidEdit:
                continue
        return draft

    def remove(self, span: LabelledSpan) -> Self:
        """Reject an open proposal, or delete a span of the annotator."""
        if self.is_open(span):
            left = tuple(one for one in self.open if one != span)
            return replace(self, open=left, rejected=_ordered((*self.rejected, span)))
        return replace(self, spans=tuple(one for one in self.spans if one != span))

    def reject_all(self) -> Self:
        """Reject all open proposals."""
        return replace(self, open=(), rejected=_ordered((*self.rejected, *self.open)))

    def add(self, start: int, end: int, behavior: Behavior) -> Self:
        """Add a span; an open proposal at the same place is accepted."""
        new = self._span(behavior, start, end)
        same = next((one for one in self.open if span_key(one) == span_key(new)), None)
        return self._with(add=new, drop=same)

    def move(self, span: LabelledSpan, start: int, end: int) -> Self:
        """Change the boundaries of a span; an open proposal is accepted by this."""
        return self.change(span, start, end, span.behavior)

    def relabel(self, span: LabelledSpan, behavior: Behavior) -> Self:
        """Change the behaviour of a span; an open proposal is accepted by this."""
        assert span.start is not None
        assert span.end is not None
        return self.change(span, span.start, span.end, behavior)

    def change(self, span: LabelledSpan, start: int, end: int, behavior: Behavior) -> Self:
        """Change the boundaries and the behaviour of a span."""
        return self._with(add=self._span(behavior, start, end, weak=span.weak, repeat=span.repeat), drop=span)

    def toggle(self, span: LabelledSpan, flag: Flag) -> Self:
        """Set or clear a flag of a span; an open proposal is accepted by this."""
        assert span.start is not None
        assert span.end is not None
        flags = {"weak": span.weak, "repeat": span.repeat}
        flags[flag] = not flags[flag]
        return self._with(add=self._span(span.behavior, span.start, span.end, **flags), drop=span)

    def finish(self) -> Self:
        """Mark the annotation as finished: behaviours without a span count as zero."""
        if self.open:
            raise InvalidEdit(f"{count_of(len(self.open), 'proposal')} not decided")
        return replace(self, done=True)

    def reopen(self) -> Self:
        """Mark the annotation as unfinished."""
        return replace(self, done=False)

    def _span(
        self, behavior: Behavior, start: int, end: int, *, weak: bool = False, repeat: bool = False
    ) -> LabelledSpan:
        if not 0 <= start < end <= len(self.text):
            raise InvalidEdit(f"{start}–{end} is outside the text of {len(self.text)} characters")
        return LabelledSpan(
            behavior=behavior, start=start, end=end, quote=self.text[start:end], weak=weak, repeat=repeat
        )

    def _with(self, *, add: LabelledSpan, drop: LabelledSpan | None) -> Self:
        """Replace one span by another."""
        kept = tuple(one for one in self.spans if one != drop)
        spans = _ordered((*kept, add))
        clash = find_overlap(spans)
        if clash is not None:
            other = clash[0] if clash[1] == add else clash[1]
            raise InvalidEdit(
                f"the span would overlap your {BEHAVIOR_LETTERS[other.behavior]} {other.start}–{other.end}: "
                "spans of one behaviour do not overlap"
            )
        place = span_key(add)
        return replace(
            self,
            spans=spans,
            open=tuple(one for one in self.open if one != drop and span_key(one) != place),
            rejected=tuple(one for one in self.rejected if span_key(one) != place),
        )


def _overlap(one: LabelledSpan, other: LabelledSpan) -> bool:
    (behavior, start, end), (other_behavior, other_start, other_end) = span_key(one), span_key(other)
    return behavior == other_behavior and start < other_end and other_start < end


def span_key(span: LabelledSpan) -> SpanKey:
    """Behaviour, start and end of a placed span."""
    assert span.start is not None
    assert span.end is not None
    return span.behavior, span.start, span.end


def _ordered(spans: Iterable[LabelledSpan]) -> tuple[LabelledSpan, ...]:
    order = {behavior: number for number, behavior in enumerate(BEHAVIORS)}
    return tuple(sorted(spans, key=lambda span: (span.start or 0, -(span.end or 0), order[span.behavior])))


_MOST: Final = 1000


class DraftHistory:
    """A draft with undo and redo."""

    def __init__(self, draft: AnnotationDraft) -> None:
        self._past: list[AnnotationDraft] = []
        self._future: list[AnnotationDraft] = []
        self.draft = draft

    def put(self, draft: AnnotationDraft) -> bool:
        """Make a draft the current one; return whether it differs from the one before."""
        if draft == self.draft:
            return False
        self._past = [*self._past[-_MOST:], self.draft]
        self._future = []
        self.draft = draft
        return True

    def undo(self) -> bool:
        """Restore the draft before the last edit; return whether there was one."""
        if not self._past:
            return False
        self._future.append(self.draft)
        self.draft = self._past.pop()
        return True

    def redo(self) -> bool:
        """Restore the draft before the last undo; return whether there was one."""
        if not self._future:
            return False
        self._past.append(self.draft)
        self.draft = self._future.pop()
        return True
