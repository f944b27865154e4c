"""Sentences whose parts are labelled with behaviours, and the layouts that write them out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from pipelines.records import Behavior
from pipelines.teachers.draft import TraceDraft

Layout = Literal["prose", "lines", "items", "terse"]

_ENDED: Final = (".", "?", "!", ":", "✓", "✗", "✅", "❌")
_MARKED: Final = re.compile("«([^»]*)»")


NO_SLOTS: Final[Mapping[str, object]] = {}


class TextPart(NamedTuple):
    """A piece of text that shows a behaviour as a whole, or none."""

    text: str
    behavior: Behavior | None = None
    weak: bool = False


def fill_wording(
    wording: str, behavior: Behavior, slots: Mapping[str, object] = NO_SLOTS, *, weak: bool = False
) -> list[TextPart]:
    """Fill the slots of a wording; the text in `«…»` shows the behaviour."""
    parts: list[TextPart] = []
    for place, piece in enumerate(_MARKED.split(wording)):
        if piece:
            marked = place % 2 == 1
            parts.append(TextPart(piece.format_map(slots), behavior if marked else None, weak and marked))
    return parts


@dataclass(slots=True)
class Sentence:
    """Parts of one sentence, which are on one line."""

    parts: list[TextPart]
    group: int
    """Sentences of one attempt have the same group."""
    attempt: bool = False
    """Whether it contains the arithmetic of an attempt."""
    colon: bool = False
    """Whether it may end with a colon, because it announces the next sentence."""


@dataclass(slots=True)
class SentenceLayout:
    """Sentences with their layout: separators, bullets, full stops."""

    layout: Layout
    bullet: str = "- "
    """`- `, `* `, or `1. ` for numbers."""
    full_stops: bool = True
    """Whether sentences in words end with a full stop; in prose they always do."""
    between_attempts: str = "\n"
    """Separator of two attempts; only `terse` has several on one line."""
    sentences: list[Sentence] = field(default_factory=list)

    def write_to(self, draft: TraceDraft) -> None:
        """Write all sentences to a draft."""
        item = 0
        before: Sentence | None = None
        for sentence in self.sentences:
            if before is not None:
                draft.add(self._separator(before, sentence))
            if self.layout == "items" and sentence.attempt and (before is None or before.group != sentence.group):
                item += 1
                draft.add(f"{item}. " if self.bullet == "1. " else self.bullet)
            _write(draft, self._ended(_capitalised(sentence.parts), sentence))
            before = sentence

    def _separator(self, before: Sentence, after: Sentence) -> str:
        if self.layout == "prose":
            return " "
        if self.layout == "lines":
            return "\n"
        if before.group == after.group:
            return " "
        return self.between_attempts if before.attempt and after.attempt else "\n"

    def _ended(self, parts: list[TextPart], sentence: Sentence) -> list[TextPart]:
        last = parts[-1].text
        if last.endswith(_ENDED):
            return parts
        if sentence.colon:
            return [*parts, TextPart(":")]
        stop = self.layout == "prose" or (self.full_stops and not sentence.attempt)
        return [*parts, TextPart(".")] if stop else parts


def _capitalised(parts: list[TextPart]) -> list[TextPart]:
    first = parts[0]
    return [first._replace(text=first.text[:1].upper() + first.text[1:]), *parts[1:]]


def _write(draft: TraceDraft, parts: Iterable[TextPart]) -> None:
    for part in parts:
        place = draft.add(part.text)
        if part.behavior is not None:
            draft.mark(part.behavior, place.start, place.end, weak=part.weak)
