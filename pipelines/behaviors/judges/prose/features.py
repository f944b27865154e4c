"""Features of a text for the network: n-grams of each clause, and dense features of the clause and its neighbours."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.behaviors.judges.prose.clauses import ProseClause
from pipelines.behaviors.judges.prose.tokens import N_CUES, SHAPES, TOKEN, ProseTokens

FEATURES: Final = "features-1"
"""Version of what is computed here; a model made for another is refused."""

LONGEST_CLAUSE: Final = 60
"""Tokens of a clause that make n-grams."""
PREFIX: Final = 5
"""Tokens of the longest prefix n-gram."""
_MOST_FILLERS: Final = 6

_M1, _M2, _M3 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_SHIFT: Final = np.uint64(32)
_HALF: Final = np.uint64(0xFFFFFFFF)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Features of one text of `n` clauses.

    Attributes:
        n: number of clauses.
        grams: (g,) clause number in the upper, hash of the n-gram in the lower 32 bits; may repeat.
        dense: (n, N_DENSE) float32.
    """

    n: int
    grams: NDArray[np.uint64]
    dense: Floats


def _bucket(hashed: Any, salt: int) -> Any:
    return (hashed + np.uint64(salt)) * _M1 >> _SHIFT


def text_features(text: str, places: list[ProseClause], table: ProseTokens) -> TextFeatures:
    """Compute the features of a text cut into `places` (at least one)."""
    n = len(places)
    tokens: list[str] = []
    lengths: list[int] = []
    nexts = [place.start for place in places[1:]]
    for place, following in zip(places, [*nexts, places[-1].stop], strict=True):
        found = TOKEN.findall(text, place.start, following) or ["\n\n"]
        tokens += found
        lengths.append(len(found))
    rows = table.rows(tokens)
    clause = np.repeat(np.arange(n), lengths)
    repeated = _repeated_numbers(rows, clause, n, table)
    hashed = table.hash[rows]
    formula = table.formula[rows]
    keep = np.ones(len(rows), bool)
    keep[1:] = ~((hashed[1:] == hashed[:-1]) & (clause[1:] == clause[:-1]) & formula[1:])
    rows, clause, hashed = rows[keep], clause[keep], hashed[keep]
    length = np.bincount(clause, minlength=n)
    first = np.concatenate([[0], length.cumsum()[:-1]])
    fillers = _leading_fillers(table.filler[rows], first, length)
    grams = _grams(hashed, clause, first, length, fillers)
    counts = np.add.reduceat(table.classes[rows], first, 0)
    dense = _dense(text, places, counts, length, fillers, repeated)
    return TextFeatures(n, grams, dense)


def _repeated_numbers(rows: NDArray[np.int64], clause: NDArray[np.int64], n: int, table: ProseTokens) -> Floats:
    """(n, 2): share of a clause's numbers seen before, and seen before as a right-hand side (a check recomputes)."""
    out = np.zeros((n, 2), np.float32)
    at = np.flatnonzero(table.number[rows])
    if not len(at):
        return out
    _, value = np.unique(rows[at], return_inverse=True)
    owner = clause[at]
    seen = np.full(value.max() + 1, n)
    np.minimum.at(seen, value, owner)
    right = table.equals[rows[np.maximum(at - 1, 0)]]
    seen_right = np.full(value.max() + 1, n)
    np.minimum.at(seen_right, value[right], owner[right])
    total = np.maximum(np.bincount(owner, minlength=n), 1)
    out[:, 0] = np.bincount(owner, seen[value] < owner, n) / total
    out[:, 1] = np.bincount(owner, seen_right[value] < owner, n) / total
    return out


def _leading_fillers(filler: NDArray[np.bool_], first: Any, length: Any) -> NDArray[np.int64]:
    """(n,) number of filler tokens a clause opens with, at most `_MOST_FILLERS`."""
    count = np.zeros(len(first), np.int64)
    run = np.ones(len(first), bool)
    last = len(filler) - 1
    for offset in range(_MOST_FILLERS):
        run = run & (offset < length) & filler[np.minimum(first + offset, last)]
        count += run
    return count


def _grams(hashed: Any, clause: Any, first: Any, length: Any, fillers: Any) -> NDArray[np.uint64]:
    """N-grams of one to three tokens, prefixes with and without leading fillers, and the last two tokens."""
    n = len(first)
    with np.errstate(over="ignore"):
        inside = np.arange(len(hashed)) - first[clause] < LONGEST_CLAUSE
        two = hashed[:-1] * _M2 + hashed[1:]
        is_two = (clause[1:] == clause[:-1]) & inside[1:]
        three = two[:-1] * _M3 + hashed[2:]
        is_three = (clause[2:] == clause[:-2]) & inside[2:]
        buckets = [_bucket(hashed[inside], 1), _bucket(two[is_two], 2), _bucket(three[is_three], 3)]
        owners = [clause[inside], clause[1:][is_two], clause[2:][is_three]]
        end = first + length
        for salt, start in ((10, first), (20, first + fillers)):
            prefix = np.zeros(n, np.uint64)
            for offset in range(PREFIX):
                within = np.flatnonzero(start + offset < end)
                if not len(within):
                    break
                prefix[within] = prefix[within] * _M2 + hashed[start[within] + offset]
                buckets.append(_bucket(prefix[within], salt + offset))
                owners.append(within)
        last = end - 1
        several = np.flatnonzero(length > 1)
        buckets += [_bucket(hashed[last], 30), _bucket(hashed[last[several] - 1] * _M2 + hashed[last[several]], 31)]
        owners += [np.arange(n), several]
    grams: NDArray[np.uint64] = np.concatenate(owners).astype(np.uint64) << _SHIFT | np.concatenate(buckets)
    return grams


_N_LOCAL: Final = 17
N_DENSE: Final = _N_LOCAL + 4 * N_CUES + 3
_BEFORE, _AFTER = 10, 8
"""Numbers of neighbouring clauses before and after."""


def _dense(text: str, places: list[ProseClause], counts: Any, length: Any, fillers: Any, repeated: Floats) -> Floats:
    n = len(places)
    number = np.arange(n)
    marks = np.zeros((n, 7), np.float32)
    seen: set[str] = set()
    stop = 0
    for at, (start, end, behind) in enumerate(places):
        last = text[end - 1]
        row = marks[at]
        if last in "?:.,":
            row["?:.,".index(last)] = 1
        gap = text.count("\n", stop, start) if at else 2
        stop = behind
        row[4] = gap > 1
        row[5] = gap == 1
        clause = text[start:end]
        row[6] = clause in seen
        seen.add(clause)
    has = np.minimum(counts[:, :N_CUES], 1)
    shapes = counts[:, N_CUES:]
    out = np.empty((n, N_DENSE), np.float32)
    out[:, 0] = np.log1p(length) / 4
    out[:, 1] = length <= 6
    out[:, 2] = np.minimum(shapes[:, SHAPES.index("<num>")], 6) / 6
    out[:, 3] = np.minimum(shapes[:, SHAPES.index("=")], 4) / 4
    out[:, 4:6] = repeated
    out[:, 6:13] = marks
    out[:-1, 13] = marks[1:, 4]  # ends a paragraph
    out[-1, 13] = 1
    out[:, 14] = shapes[:, :4].sum(1) / np.maximum(1, length)
    out[:, 15] = fillers / _MOST_FILLERS
    out[:, 16] = shapes[:, SHAPES.index("?")] > 0
    at = _N_LOCAL
    out[:, at : at + N_CUES] = has
    latest = np.maximum.accumulate(np.where(has > 0, number[:, None], -50), 0)
    latest = np.vstack([np.full((1, N_CUES), -50), latest[:-1]])
    out[:, at + N_CUES : at + 2 * N_CUES] = 1 / (1 + number[:, None] - latest)
    total = np.vstack([np.zeros((1, N_CUES)), has.cumsum(0, dtype=np.float64)])
    low, high = np.maximum(number - _BEFORE, 0), np.minimum(number + 1 + _AFTER, n)
    out[:, at + 2 * N_CUES : at + 3 * N_CUES] = (total[number] - total[low]) / _BEFORE
    out[:, at + 3 * N_CUES : at + 4 * N_CUES] = (total[high] - total[number + 1]) / _AFTER
    out[:, -3] = np.minimum(number, 12) / 12
    out[:, -2] = np.log1p(np.minimum(number, 200)) / 7
    out[:, -1] = number / n
    return out
