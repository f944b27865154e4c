"""A completion under construction, which records where each behaviour is."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipelines.records import Behavior, LabelledSpan


@dataclass(frozen=True, slots=True)
class WrittenTrace:
    """A trace as a teacher wrote it, not scored yet."""

    completion: str
    spans: tuple[LabelledSpan, ...]
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class TextRange:
    """A half-open range of code points."""

    start: int
    end: int


class _BehaviorMark(NamedTuple):
    """A range that shows a behaviour."""

    start: int
    end: int
    behavior: Behavior
    weak: bool


class TraceDraft:
    """Text that is only appended to, so that recorded ranges stay valid."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._marks: list[_BehaviorMark] = []
        self.length = 0

    def add(self, text: str) -> TextRange:
        """Append text and return its range."""
        start = self.length
        self._parts.append(text)
        self.length += len(text)
        return TextRange(start, self.length)

    def mark(self, behavior: Behavior, start: int, end: int, *, weak: bool = False) -> None:
        """Record that a range shows a behaviour."""
        self._marks.append(_BehaviorMark(start, end, behavior, weak))

    def text(self) -> str:
        """Return the text so far."""
        return "".join(self._parts)

    def finish(self, meta: dict[str, Any]) -> WrittenTrace:
        """Return the text with its spans in reading order."""
        text = self.text()
        spans = tuple(
            LabelledSpan(behavior=behavior, start=start, end=end, quote=text[start:end], weak=weak)
            for start, end, behavior, weak in sorted(self._marks, key=lambda mark: mark[:2])
        )
        return WrittenTrace(text, spans, meta)


class WordDraft(TraceDraft):
    """A draft of words separated by single spaces, for the plain style; `words` counts them."""

    def __init__(self, *, space_first: bool) -> None:
        super().__init__()
        self._space = space_first
        self.words = 0

    def add_words(self, *words: str) -> TextRange:
        """Append words and return their range, without the space before the first."""
        text = " ".join(words)
        self.words += len(words)
        if self._space:
            self.add(" ")
        self._space = True
        return self.add(text)
