"""Alignment of two texts by segment, and the words by which two paired segments differ."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from rapidfuzz import fuzz
from rapidfuzz.distance import LCSseq

from pipelines.behaviors.segment import TextRange, segments

PairKind = Literal["same", "changed", "left", "right"]

MIN_SIMILARITY: Final = 55.0
"""Minimum similarity (0 to 100) at which two segments are treated as a changed one."""
_BLOCK: Final = 150
"""Segments per side that are compared pairwise; longer gaps are split into blocks of this size."""
MOST_CELLS: Final = 400_000_000
"""Maximum product of segment counts for a full search of equal segments: a matrix of 50 MB."""
_MOST_CHARACTERS: Final = 1600
"""Number of characters of a segment that are searched for differing words."""
_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class SegmentPair:
    """One row: a segment of the left text, of the right text, or of both."""

    left: TextRange | None
    right: TextRange | None
    same: bool = False
    """Whether both sides have the same words; white space may differ."""

    @property
    def kind(self) -> PairKind:
        """`same`, `changed`, or the only text that has the segment."""
        if self.left is None or self.right is None:
            return "right" if self.left is None else "left"
        return "same" if self.same else "changed"


@dataclass(frozen=True, slots=True)
class Pairing:
    """The segments of two texts in rows; the segments of each text are in order and cover it."""

    pairs: tuple[SegmentPair, ...]
    by_place: bool = False
    """Whether the texts are too long to align, so that segments are paired by position."""

    def count(self, kind: PairKind) -> int:
        """Count the rows of a kind."""
        return sum(pair.kind == kind for pair in self.pairs)


def pair_segments(left: str, right: str) -> Pairing:
    """Align two texts by segment: first equal segments, then similar ones between them."""
    places = _nonblank_segments(left), _nonblank_segments(right)
    words = [" ".join(left[a:b].split()) for a, b in places[0]], [" ".join(right[a:b].split()) for a, b in places[1]]
    if len(places[0]) * len(places[1]) > MOST_CELLS:
        return Pairing(tuple(_pair_by_position(places, words)), by_place=True)
    rows: list[SegmentPair] = []
    numbers: dict[str, int] = {}
    codes = [[numbers.setdefault(text, len(numbers)) for text in side] for side in words]
    for step in LCSseq.opcodes(codes[0], codes[1]):
        lefts = places[0][step.src_start : step.src_end]
        rights = places[1][step.dest_start : step.dest_end]
        if step.tag == "equal":
            rows += [SegmentPair(here, there, same=True) for here, there in zip(lefts, rights, strict=True)]
        else:
            rows += [SegmentPair(place, None) for place in lefts]
            rows += [SegmentPair(None, place) for place in rights]
    return Pairing(tuple(_pair_between_equals(rows, left, right)))


def _nonblank_segments(text: str) -> list[TextRange]:
    """Return the segments of a text; blank segments are merged into the one before."""
    found: list[TextRange] = []
    for start, end in segments(text):
        if found and text[start:end].isspace():
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _pair_by_position(
    places: tuple[list[TextRange], list[TextRange]], words: tuple[list[str], list[str]]
) -> Iterator[SegmentPair]:
    for row in range(max(map(len, places))):
        left, right = (side[row] if row < len(side) else None for side in places)
        yield SegmentPair(left, right, left is not None and right is not None and words[0][row] == words[1][row])


def _pair_between_equals(rows: Sequence[SegmentPair], left: str, right: str) -> Iterator[SegmentPair]:
    """Pair similar segments between equal rows."""
    lefts: list[TextRange] = []
    rights: list[TextRange] = []
    for row in [*rows, None]:
        if row is not None and row.left is not None and row.right is None:
            lefts.append(row.left)
        elif row is not None and row.right is not None and row.left is None:
            rights.append(row.right)
        else:
            yield from _pair_within_gap(lefts, rights, left, right)
            lefts, rights = [], []
            if row is not None:
                yield row


def _pair_within_gap(
    lefts: Sequence[TextRange], rights: Sequence[TextRange], left: str, right: str
) -> Iterator[SegmentPair]:
    blocks = max(1, -(-max(len(lefts), len(rights)) // _BLOCK))
    for block in range(blocks):
        some = lefts[len(lefts) * block // blocks : len(lefts) * (block + 1) // blocks]
        others = rights[len(rights) * block // blocks : len(rights) * (block + 1) // blocks]
        at = [0, 0]
        matches = _best_pairs([left[a:b] for a, b in some], [right[a:b] for a, b in others])
        for here, there in [*matches, (len(some), len(others))]:
            yield from (SegmentPair(place, None) for place in some[at[0] : here])
            yield from (SegmentPair(None, place) for place in others[at[1] : there])
            if here < len(some):
                yield SegmentPair(some[here], others[there])
            at = [here + 1, there + 1]


def _best_pairs(lefts: Sequence[str], rights: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of indices, both increasing, with the largest total similarity."""
    if not lefts or not rights:
        return []
    scores = [[fuzz.ratio(a, b, score_cutoff=MIN_SIMILARITY) for b in rights] for a in lefts]
    best = [[0.0] * (len(rights) + 1) for _ in range(len(lefts) + 1)]
    for i in range(len(lefts) - 1, -1, -1):
        row, below, score = best[i], best[i + 1], scores[i]
        for j in range(len(rights) - 1, -1, -1):
            row[j] = max(below[j], row[j + 1], below[j + 1] + score[j] if score[j] else 0.0)
    found = []
    i = j = 0
    while i < len(lefts) and j < len(rights):
        if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


@lru_cache(512)
def find_differing_ranges(left: str, right: str) -> tuple[tuple[TextRange, ...], tuple[TextRange, ...]]:
    """Return the ranges of words of each text that the other text lacks, within the first 1,600 characters."""
    tokens = [[(m.start(), m.end(), m[0]) for m in _TOKEN.finditer(t[:_MOST_CHARACTERS])] for t in (left, right)]
    words = [[word for _, _, word in side if not word.isspace()] for side in tokens]
    solid = [[token for token in side if not token[2].isspace()] for side in tokens]
    lacking: tuple[list[TextRange], list[TextRange]] = ([], [])
    numbers: dict[str, int] = {}
    codes = [[numbers.setdefault(word, len(numbers)) for word in side] for side in words]
    for step in LCSseq.opcodes(codes[0], codes[1]):
        ends = (step.src_start, step.src_end), (step.dest_start, step.dest_end)
        for side, (first, stop) in enumerate(ends if step.tag != "equal" else ()):
            if stop > first:
                lacking[side].append((solid[side][first][0], solid[side][stop - 1][1]))
    return tuple(lacking[0]), tuple(lacking[1])
