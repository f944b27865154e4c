"""What a person says of one trace, and every way to change it: pure values, so that undo is to go back to one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from cogtui.store.user_data.annotations import HumanAnnotation, find_overlap
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS
from pipelines.records import Behavior, LabelledSpan

Flag = Literal["weak", "repeat"]
SpanKey = tuple[Behavior, int, int]
"""Behaviour, start, end: no two spans of a draft share it."""


class InvalidEdit(ValueError):
    """A change that would break the annotation; the message says why, in a person's words."""


@dataclass(frozen=True, slots=True)
class AnnotationDraft:
    """An annotation as it stands. Every method gives a new one, or raises `Refused`.

    What holds of each: spans lie inside the text and quote it; own spans of one behaviour do not overlap; no place is
    both decided and open; a trace that is done has no open proposals.
    """

    text: str
    spans: tuple[LabelledSpan, ...] = ()
    """The person's own, in reading order."""
    open: tuple[LabelledSpan, ...] = ()
    """Proposals not decided."""
    rejected: tuple[LabelledSpan, ...] = ()
    done: bool = False
    basis: str = ""
    """Id of the judge run that made the proposals."""

    @classmethod
    def of(cls, annotation: HumanAnnotation, text: str) -> Self:
        """A saved annotation, to go on with."""
        return cls(text, annotation.spans, annotation.open, annotation.rejected, annotation.done, annotation.basis)

    @property
    def items(self) -> tuple[LabelledSpan, ...]:
        """Own and open ones together, in reading order."""
        return _ordered((*self.spans, *self.open))

    @property
    def empty(self) -> bool:
        """Whether nothing is said."""
        return not (self.spans or self.open or self.rejected or self.done)

    def is_open(self, span: LabelledSpan) -> bool:
        """Whether it is a proposal that nobody decided."""
        return span in self.open

    def count(self, behavior: Behavior) -> int:
        """Own spans that count: neither weak nor repeat."""
        return sum(span.behavior == behavior and not (span.weak or span.repeat) for span in self.spans)

    def propose(self, spans: Iterable[LabelledSpan], basis: str) -> Self:
        """With a judge's spans as proposals instead of those still open; what was decided is not asked again."""
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
        """An open one becomes the person's own."""
        return self._with(add=span, drop=span)

    def accept_all(self) -> Self:
        """All open ones become the person's own; those that overlap an own one stay open."""
        draft = self
        for span in self.open:
            try:
                draft = draft.accept(span)
            except InvalidEdit:
                continue
        return draft

    def remove(self, span: LabelledSpan) -> Self:
        """Rejects an open one, deletes an own one."""
        if self.is_open(span):
            left = tuple(one for one in self.open if one != span)
            return replace(self, open=left, rejected=_ordered((*self.rejected, span)))
        return replace(self, spans=tuple(one for one in self.spans if one != span))

    def reject_all(self) -> Self:
        """Rejects all open ones."""
        return replace(self, open=(), rejected=_ordered((*self.rejected, *self.open)))

    def add(self, start: int, end: int, behavior: Behavior) -> Self:
        """A span of the person's own. If it is the place of an open one, that one is accepted."""
        new = self._span(behavior, start, end)
        same = next((one for one in self.open if span_key(one) == span_key(new)), None)
        return self._with(add=new, drop=same)

    def move(self, span: LabelledSpan, start: int, end: int) -> Self:
        """With other boundaries; an open one thereby becomes the person's own."""
        return self.change(span, start, end, span.behavior)

    def relabel(self, span: LabelledSpan, behavior: Behavior) -> Self:
        """With another behaviour; an open one thereby becomes the person's own."""
        assert span.start is not None
        assert span.end is not None
        return self.change(span, span.start, span.end, behavior)

    def change(self, span: LabelledSpan, start: int, end: int, behavior: Behavior) -> Self:
        """With other boundaries and another behaviour at once."""
        return self._with(add=self._span(behavior, start, end, weak=span.weak, repeat=span.repeat), drop=span)

    def toggle(self, span: LabelledSpan, flag: Flag) -> Self:
        """Marked as weak or as a repeat, or no longer; an open one thereby becomes the person's own."""
        assert span.start is not None
        assert span.end is not None
        flags = {"weak": span.weak, "repeat": span.repeat}
        flags[flag] = not flags[flag]
        return self._with(add=self._span(span.behavior, span.start, span.end, **flags), drop=span)

    def finish(self) -> Self:
        """Nothing is missing any more: behaviours without a span count as zero."""
        if self.open:
            raise InvalidEdit(f"{len(self.open)} proposals are not decided")
        return replace(self, done=True)

    def reopen(self) -> Self:
        """Not finished after all."""
        return replace(self, done=False)

    def _span(
        self, behavior: Behavior, start: int, end: int, *, weak: bool = False, repeat: bool = False
    ) -> LabelledSpan:
        if not 0 <= start < end <= len(self.text):
            raise InvalidEdit(f"{start}–{end} is no part of a text of {len(self.text)} characters")
        return LabelledSpan(
            behavior=behavior, start=start, end=end, quote=self.text[start:end], weak=weak, repeat=repeat
        )

    def _with(self, *, add: LabelledSpan, drop: LabelledSpan | None) -> Self:
        """One span in the place of another."""
        kept = tuple(one for one in self.spans if one != drop)
        spans = _ordered((*kept, add))
        clash = find_overlap(spans)
        if clash is not None:
            other = clash[0] if clash[1] == add else clash[1]
            raise InvalidEdit(
                f"it overlaps your {BEHAVIOR_LETTERS[other.behavior]} {other.start}–{other.end}: "
                "spans of one behaviour do not overlap"
            )
        place = span_key(add)
        return replace(
            self,
            spans=spans,
            open=tuple(one for one in self.open if one != drop and span_key(one) != place),
            rejected=tuple(one for one in self.rejected if span_key(one) != place),
        )


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
    """A draft with what it was before: undo and redo."""

    def __init__(self, draft: AnnotationDraft) -> None:
        self._past: list[AnnotationDraft] = []
        self._future: list[AnnotationDraft] = []
        self.draft = draft

    def put(self, draft: AnnotationDraft) -> bool:
        """The next state; whether it is another one."""
        if draft == self.draft:
            return False
        self._past = [*self._past[-_MOST:], self.draft]
        self._future = []
        self.draft = draft
        return True

    def undo(self) -> bool:
        """Goes back one state; whether there was one."""
        if not self._past:
            return False
        self._future.append(self.draft)
        self.draft = self._past.pop()
        return True

    def redo(self) -> bool:
        """Takes the last undo back; whether there was one."""
        if not self._future:
            return False
        self._past.append(self.draft)
        self.draft = self._future.pop()
        return True
