"""A completion in the making, which knows where it put each behaviour."""

from dataclasses import dataclass, field
from typing import Any

from pipelines.records import Behavior, LabelledSpan


@dataclass(frozen=True, slots=True)
class WrittenTrace:
    """What a teacher wrote for one problem, not yet scored."""

    completion: str
    spans: tuple[LabelledSpan, ...]
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class TextRange:
    """A half-open range of code points."""

    start: int
    end: int


class TraceDraft:
    """Text that grows at its end. Ranges stay valid, since nothing before the end ever changes."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._marks: list[tuple[int, int, Behavior, bool]] = []
        self.length = 0

    def add(self, text: str) -> TextRange:
        """Appends text and returns where it stands."""
        start = self.length
        self._parts.append(text)
        self.length += len(text)
        return TextRange(start, self.length)

    def mark(self, behavior: Behavior, start: int, end: int, *, weak: bool = False) -> None:
        """Notes that a range shows a behaviour."""
        self._marks.append((start, end, behavior, weak))

    def text(self) -> str:
        """The text so far."""
        return "".join(self._parts)

    def finish(self, meta: dict[str, Any]) -> WrittenTrace:
        """The text and its spans in reading order."""
        text = self.text()
        spans = tuple(
            LabelledSpan(behavior=behavior, start=start, end=end, quote=text[start:end], weak=weak)
            for start, end, behavior, weak in sorted(self._marks, key=lambda mark: mark[:2])
        )
        return WrittenTrace(text, spans, meta)


class WordDraft(TraceDraft):
    """A draft of words with one space between neighbours: the plain style. `words` counts them."""

    def __init__(self, *, space_first: bool) -> None:
        super().__init__()
        self._space = space_first
        self.words = 0

    def add_words(self, *words: str) -> TextRange:
        """Appends words and returns where they stand, without the space before the first."""
        text = " ".join(words)
        self.words += len(words)
        if self._space:
            self.add(" ")
        self._space = True
        return self.add(text)
