"""Values in a filter that no rollout has: a misspelt condition matches nothing, and should not do so in silence."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cogtui.store.filter.ast import FIELDS, Conjunction, Disjunction, FieldComparison, NegatedTerm, Term

_CHECKED: Final = frozenset({"condition", "experiment", "kind", "name", "split", "tag", "task"})
"""Fields of few values, all of which can be read at once."""
_LISTED: Final = 8


def unknown_values(term: Term | None, values_of: Callable[[str], Sequence[str]]) -> list[str]:
    """Return a sentence for each value that no rollout has, with the nearest one that some have.

    Args:
        term: of a parsed filter; None matches everything.
        values_of: returns the values of a field in the data.
    """
    sentences: dict[str, None] = {}
    for one in _comparisons(term):
        if one.field not in _CHECKED or FIELDS[one.field][0] != "text":
            continue
        known = values_of(one.field)
        for value in one.values:
            text = str(value)
            beginning = text.removesuffix("*")
            if text in known or (text.endswith("*") and any(other.startswith(beginning) for other in known)):
                continue
            sentences[f"no rollout has {one.field}:{text}; {_hint(beginning, known)}"] = None
    return list(sentences)


def _comparisons(term: Term | None) -> Iterator[FieldComparison]:
    if isinstance(term, FieldComparison):
        yield term
    elif isinstance(term, NegatedTerm):
        yield from _comparisons(term.term)
    elif isinstance(term, Conjunction | Disjunction):
        for part in term.terms:
            yield from _comparisons(part)


def _hint(value: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    if not known:
        return "none has any"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"there are {', '.join(known[:_LISTED])}{more}"
