"""Finding the phrases of a filter in a completion."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from cogtui.store.filter.ast import Conjunction, Disjunction, NegatedTerm, Term, TextPhrase
from cogtui.store.filter.parser import Filter
from cogtui.store.values.types import Snippet

_WORD: Final = re.compile(r"[^\W_]+")


def phrases_of(chosen: Filter) -> list[TextPhrase]:
    """Return the phrases of a filter, without excluded ones."""
    return list(_phrases(chosen.term)) if chosen.term is not None else []


def _phrases(term: Term) -> Iterable[TextPhrase]:
    if isinstance(term, TextPhrase):
        yield term
    elif isinstance(term, Conjunction | Disjunction):
        for one in term.terms:
            yield from _phrases(one)
    elif isinstance(term, NegatedTerm) and isinstance(term.term, NegatedTerm):
        yield from _phrases(term.term.term)


def find_phrase(text: str, phrase: TextPhrase, *, start: int = 0) -> tuple[int, int] | None:
    """Find a phrase from an offset on: its consecutive words, split as the index does.

    Returns:
        Half-open code-point range, or None.
    """
    wanted = [_folded(match[0]) for match in _WORD.finditer(phrase.phrase)]
    if not wanted:
        return None
    recent: list[tuple[str, int, int]] = []
    for match in _WORD.finditer(text, start):
        recent.append((_folded(match[0]), match.start(), match.end()))
        recent = recent[-len(wanted) :]
        if len(recent) == len(wanted) and _same([word for word, _, _ in recent], wanted, prefix=phrase.prefix):
            return recent[0][1], recent[-1][2]
    return None


def find_all(text: str, phrases: Iterable[TextPhrase], *, most: int = 10_000) -> list[tuple[int, int]]:
    """Return all matches of some phrases in a text, in order, at most `most` of each."""
    found: set[tuple[int, int]] = set()
    for phrase in phrases:
        match = find_phrase(text, phrase)
        for _ in range(most):
            if match is None:
                break
            found.add(match)
            match = find_phrase(text, phrase, start=match[1])
    return sorted(found)


def _same(words: Sequence[str], wanted: Sequence[str], *, prefix: bool) -> bool:
    if list(words[:-1]) != list(wanted[:-1]):
        return False
    return words[-1].startswith(wanted[-1]) if prefix else words[-1] == wanted[-1]


def _folded(word: str) -> str:
    # FTS5 folds case one code point at a time, as lower() does for all but a few letters.
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in unicodedata.normalize("NFC", word))


def snippet_of(text: str, phrases: Iterable[TextPhrase], width: int) -> Snippet | None:
    """Return the first match of any phrase, with some text around it; None if there is none."""
    matches = [match for phrase in phrases if (match := find_phrase(text, phrase)) is not None]
    if not matches:
        return None
    first, end = min(matches)
    margin = max(0, width - (end - first)) // 2
    start = max(0, first - margin)
    stop = min(len(text), max(end, start + width))
    marks = tuple((a - start, min(b, stop) - start) for a, b in sorted(matches) if a >= start and a < stop)
    return Snippet(text[start:stop], marks, start)
