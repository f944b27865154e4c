"""Formats a trace for an LLM judge: numbered segments behind a nonce that the trace cannot forge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.behaviors.segment import TextRange
from pipelines.text_safety import picture_controls


def nonce_of(text: str) -> str:
    """Return eight hexadecimal digits, a letter first, that do not occur in the text.

    Derived from it, so that a resumed run sends the same bytes; a text that held its own code by chance gets
    another one.
    """
    lowered = text.lower()
    for salt in range(1_000_000):
        digest = hashlib.sha256(f"{salt}\x00{text}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
        if digest[0].isalpha() and digest not in lowered:
            return digest
    raise AssertionError("a text cannot hold a million codes drawn from itself")


def shown(text: str) -> str:
    """Replace controls and lone surrogates, which services refuse, by characters of the same length."""
    return picture_controls(text, keep="\n\t\r")


@dataclass(frozen=True, slots=True)
class SegmentWindow:
    """A run of consecutive segments that is shown in one request."""

    first: int
    """Index of its first segment, from 0."""
    end: int
    """Index after its last segment."""


def windows(segments: Sequence[TextRange], most: int) -> list[SegmentWindow]:
    """Split segments into windows of at most `most` characters; a longer segment has a window of its own."""
    found: list[SegmentWindow] = []
    first = 0
    for index, (_, end) in enumerate(segments):
        if index > first and end - segments[first][0] > most:
            found.append(SegmentWindow(first, index))
            first = index
    if segments:
        found.append(SegmentWindow(first, len(segments)))
    return found


def numbered(text: str, segments: Sequence[TextRange], window: SegmentWindow, nonce: str) -> str:
    """Return the segments of a window, each behind its number, counted from 1. Blank segments are left out."""
    lines = []
    for index in range(window.first, window.end):
        start, end = segments[index]
        segment = shown(text[start:end])
        if segment.strip():
            lines.append(f"⟦{nonce} {index + 1}⟧ {segment.rstrip()}")
    lines.append(f"⟦{nonce} end⟧")
    return "\n".join(lines)
