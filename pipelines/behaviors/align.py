"""Aligns the quotes of a judge with a text: exact, normalised, elided, fuzzy, by segment, or unaligned.

Nothing is dropped and nothing is guessed silently: each quote comes back with how it was found, how well it
fits, and whether another place would have fitted as well. Quotes of one behaviour are aligned together: each
gets a place of its own, in the order given where that is possible.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from pipelines.behaviors.normal import NormalisedText, normalise, numbers_in
from pipelines.behaviors.segment import TextRange, segments
from pipelines.records import Alignment, Span

ALIGNER: Final = "tiers-chain-1"
"""Name and version of these rules, recorded with every judge run whose quotes were aligned by them."""

FUZZY_SCORE: Final = 0.8
"""Lowest similarity at which a quote is aligned with a place."""
_GAP: Final = 200
"""Most characters that an ellipsis may replace."""
_LONG_TEXT: Final = 100_000
"""In texts longer than this, a quote without a segment is not searched for by similarity."""
_ELLIPSIS: Final = re.compile(r"\.{3,}|…|\[\.\.\.\]")
_NEGATION: Final = re.compile(r"\bnot\b|n't\b|≠|!=|\bno\b|不", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JudgeQuote:
    """A quote of a judge."""

    text: str
    segment: int | None = None
    """Number of the segment named by the judge, counted from 1; None or a number out of range means no segment."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The possible places of a quote, all of one tier."""

    alignment: Alignment
    places: tuple[TextRange, ...]
    score: float = 1.0
    nearest: TextRange | None = None
    """The place nearest to the named segment, set if that segment does not contain the quote."""


@dataclass
class _Text:
    """The text that is searched, with its segments."""

    text: str
    segments: Sequence[TextRange]
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.starts = [start for start, _ in self.segments]

    @cached_property
    def normal(self) -> NormalisedText:
        """The normal form, computed only if a quote is not verbatim."""
        return normalise(self.text)

    def window(self, segment: int, around: int) -> TextRange:
        """Return the range of a segment, counted from 1, and of `around` neighbours on each side."""
        first = max(0, segment - 1 - around)
        last = min(len(self.segments) - 1, segment - 1 + around)
        return self.segments[first][0], self.segments[last][1]


def align_quotes(text: str, quotes: Sequence[JudgeQuote], cut: Sequence[TextRange] | None = None) -> tuple[Span, ...]:
    """Align quotes with a text; returns a span for each, in the same order.

    Args:
        text: what was judged.
        quotes: quotes of one behaviour.
        cut: the segments the judge was shown; those of `segments(text)` where left out.
    """
    searched = _Text(text, segments(text) if cut is None else cut)
    candidates = [_find(searched, quote) for quote in quotes]
    chosen = _assign(candidates)
    crowds = _crowds(candidates)
    return tuple(
        _span(text, quote, found, place, crowds) for quote, found, place in zip(quotes, candidates, chosen, strict=True)
    )


def _span(
    text: str,
    quote: JudgeQuote,
    found: _Candidates | None,
    place: TextRange | None,
    crowds: dict[tuple[TextRange, ...], int],
) -> Span:
    if found is None or place is None:
        return Span(quote=quote.text, alignment="unaligned", score=0.0, why=quote.why)
    start, end = place
    shown = text[start:end] if found.alignment == "exact" else quote.text
    # With as many quotes as places every place is taken, so the assignment is not ambiguous.
    ambiguous = len(found.places) > 1 and crowds[found.places] < len(found.places)
    return Span(
        start=start,
        end=end,
        quote=shown,
        alignment=found.alignment,
        score=round(found.score, 4),
        ambiguous=ambiguous,
        why=quote.why,
    )


def _crowds(candidates: Iterable[_Candidates | None]) -> dict[tuple[TextRange, ...], int]:
    counts: dict[tuple[TextRange, ...], int] = {}
    for found in candidates:
        if found is not None:
            counts[found.places] = counts.get(found.places, 0) + 1
    return counts


# --- looking for places --------------------------------------------------------------------------------------


def _find(searched: _Text, quote: JudgeQuote) -> _Candidates | None:
    """Return the candidates of the best tier that has any, searching near the named segment first."""
    if not quote.text.strip():
        return None
    whole = (0, len(searched.text))
    named = quote.segment is not None and 1 <= quote.segment <= len(searched.segments)
    if not named or quote.segment is None:
        return _look(searched, quote.text, whole, _TIERS) or _fuzzy(searched, quote.text, whole)
    own = searched.window(quote.segment, 0)
    near = searched.window(quote.segment, 1)
    found = _look(searched, quote.text, own, _TIERS) or _look(searched, quote.text, near, _TIERS)
    if found is None and (far := _look(searched, quote.text, whole, _SURE_TIERS)) is not None:
        middle = sum(own)
        found = replace(far, nearest=min(far.places, key=lambda place: abs(sum(place) - middle)))
    found = found or _fuzzy(searched, quote.text, own) or _fuzzy(searched, quote.text, near)
    return found or _whole_segment(searched, own)


def _look(searched: _Text, quote: str, window: TextRange, tiers: Sequence[Alignment]) -> _Candidates | None:
    for tier in tiers:
        if tier == "exact":
            places = _occurrences(searched.text, quote, *window)
        elif tier == "normalised":
            places = _normalised(searched, quote, window)
        else:
            places = _elided(searched, quote, window)
        if places:
            return _Candidates(tier, tuple(places))
    return None


_TIERS: Final[tuple[Alignment, ...]] = ("exact", "normalised", "elided")
_SURE_TIERS: Final[tuple[Alignment, ...]] = ("exact", "normalised")


def _occurrences(text: str, part: str, start: int, end: int) -> list[TextRange]:
    """Return the non-overlapping occurrences of a part that do not split a number."""
    found: list[TextRange] = []
    at = text.find(part, start, end)
    while at >= 0:
        behind = at + len(part)
        if _splits_number(text, at, behind):
            at = text.find(part, at + 1, end)
            continue
        found.append((at, behind))
        at = text.find(part, behind, end)
    return found


def _splits_number(text: str, start: int, end: int) -> bool:
    before = start > 0 and text[start - 1].isdigit() and text[start].isdigit()
    return before or (end < len(text) and text[end - 1].isdigit() and text[end].isdigit())


def _normalised(searched: _Text, quote: str, window: TextRange) -> list[TextRange]:
    wanted = normalise(quote).text
    if not wanted:
        return []
    normal = searched.normal
    low, high = normal.within(*window)
    numbers = numbers_in(quote)
    places = (normal.place(*found) for found in _occurrences(normal.text, wanted, low, high))
    return [place for place in places if numbers_in(searched.text[slice(*place)]) == numbers]


def _elided(searched: _Text, quote: str, window: TextRange) -> list[TextRange]:
    """Return the places of a quote with an ellipsis: its parts in order, close together, no negation between them."""
    parts = [part.strip() for part in _ELLIPSIS.split(quote)]
    parts = [part for part in parts if len(part) > 1]
    if len(parts) < _TWO:
        return []
    found: list[TextRange] = []
    for start, end in _look_for(searched, parts[0], window):
        last = end
        for part in parts[1:]:
            behind = _look_for(searched, part, (last, min(window[1], last + _GAP + len(part) + 1)))
            if not behind or _NEGATION.search(searched.text, last, behind[0][0]):
                break
            last = behind[0][1]
        else:
            found.append((start, last))
    return found


_TWO: Final = 2


def _look_for(searched: _Text, part: str, window: TextRange) -> list[TextRange]:
    return _occurrences(searched.text, part, *window) or _normalised(searched, part, window)


def _fuzzy(searched: _Text, quote: str, window: TextRange) -> _Candidates | None:
    """Return the most similar place if it is similar enough and contains the numbers of the quote."""
    from rapidfuzz.fuzz import partial_ratio_alignment

    if window[1] - window[0] > _LONG_TEXT:
        return None
    wanted = normalise(quote).text
    normal = searched.normal
    low, high = normal.within(*window)
    if not wanted or high <= low:
        return None
    if len(wanted) > high - low:
        return None  # the quote is longer than the window: the whole segment is the better answer
    hit = partial_ratio_alignment(wanted, normal.text[low:high], score_cutoff=100 * FUZZY_SCORE)
    if hit is None or hit.dest_end <= hit.dest_start:
        return None
    start, end = normal.place(low + hit.dest_start, low + hit.dest_end)
    start, end = _to_words(searched.text, start, end, window)
    there = numbers_in(searched.text[start:end])
    if any(number not in there for number in numbers_in(quote)):
        return None
    return _Candidates("fuzzy", ((start, end),), hit.score / 100)


def _to_words(text: str, start: int, end: int, window: TextRange) -> TextRange:
    """Widen a range to whole words and numbers, then strip white space."""
    while start > window[0] and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < window[1] and text[end].isalnum() and text[end - 1].isalnum():
        end += 1
    while start < end - 1 and text[start].isspace():
        start += 1
    while end > start + 1 and text[end - 1].isspace():
        end -= 1
    return start, end


def _whole_segment(searched: _Text, own: TextRange) -> _Candidates | None:
    """Return the named segment itself without surrounding white space."""
    stripped = searched.text[slice(*own)]
    if not stripped.strip():
        return None
    start = own[0] + len(stripped) - len(stripped.lstrip())
    return _Candidates("segment", ((start, start + len(stripped.strip())),), 0.5)


# --- one place for each ----------------------------------------------------------------------------------------


def _assign(candidates: Sequence[_Candidates | None]) -> list[TextRange | None]:
    """Assign a place to each quote, none twice: as many as possible in rising order, the rest where places are free.

    The longest rising chain with one place a quote, by patience sorting; the places of a quote are tried from
    the last to the first, so that no two of them end up in one chain.
    """
    tails: list[int] = []
    tops: list[int] = []
    links: list[tuple[int, TextRange, int]] = []
    for item, found in enumerate(candidates):
        if found is None:
            continue
        for place in (found.nearest,) if found.nearest else reversed(found.places):
            length = bisect_left(tails, place[0])
            links.append((item, place, tops[length - 1] if length else -1))
            if length == len(tails):
                tails.append(place[0])
                tops.append(len(links) - 1)
            elif place[0] < tails[length]:
                tails[length] = place[0]
                tops[length] = len(links) - 1
    chosen: list[TextRange | None] = [None] * len(candidates)
    at = tops[-1] if tops else -1
    while at >= 0:
        item, place, at = links[at]
        chosen[item] = place
    taken = {place for place in chosen if place is not None}
    for item, found in enumerate(candidates):
        if found is None or chosen[item] is not None:
            continue
        wanted = (found.nearest, *found.places) if found.nearest else found.places
        chosen[item] = next((place for place in wanted if place not in taken), None)
        if (given := chosen[item]) is not None:
            taken.add(given)
    return chosen
