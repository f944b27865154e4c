"""Finds misspelt names of fields in objects whose unknown fields are otherwise ignored."""

from collections.abc import Collection
from difflib import SequenceMatcher
from typing import Final

_COUNTED: Final = frozenset({"spans", "done"})
"""Without these a row would say that there is nothing: a looser likeness is enough."""
_ALIKE: Final = 0.88
"""Likeness from which on a name is a misspelling; "license" is .86 like "licence" and passes."""
_COUNTED_ALIKE: Final = 0.75


def misspelt_field(names: Collection[str], known: Collection[str]) -> tuple[str, str] | None:
    """Return an unknown name and the known one that it looks like, if the known one is missing; else None.

    Args:
        names: of the fields of an object.
        known: names that have a meaning.
    """
    missing = [name for name in known if name not in names]
    for name in names:
        if name in known:
            continue
        for meant in missing:
            alike = SequenceMatcher(None, name.lower().strip(), meant).ratio()
            if alike >= (_COUNTED_ALIKE if meant in _COUNTED else _ALIKE):
                return name, meant
    return None
