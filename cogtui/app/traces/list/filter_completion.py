"""Completion of filters while typing."""

import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cogtui.app.shell.list_query import quote_value
from cogtui.store.filter.ast import FIELDS, FINISH_REASONS, HAS, TRUTH_VALUES

_WORD_ENDS = " \t("
_OPERATORS = (">=", "<=", "!=", ":", "=", "<", ">")


@dataclass(frozen=True, slots=True)
class WordAtCursor:
    """The word that ends at the cursor."""

    start: int
    field: str | None
    """The field before its operator; None while the field itself is typed."""
    prefix: str
    """The typed part of the field or value."""


def find_word(text: str, cursor: int) -> WordAtCursor:
    """Return the word that ends at a cursor; a quoted value may contain spaces."""
    head = text[:cursor]
    start = cursor
    if head.count('"') % 2:
        start = head.rindex('"')
    while start > 0 and head[start - 1] not in _WORD_ENDS:
        start -= 1
    word = head[start:]
    found = [(word.index(operator), -len(operator), operator) for operator in _OPERATORS if operator in word]
    if not found:
        return WordAtCursor(start, None, word)
    place, _, operator = min(found)
    value = place + len(operator)
    value += len(word[value:].rpartition(",")[0]) + ("," in word[value:])
    return WordAtCursor(start + value, word[:place], word[value:].lstrip('"'))


def list_candidates(word: WordAtCursor, values: Callable[[str, str], Sequence[str]]) -> list[str]:
    """Return the possible completions of a word.

    Args:
        word: as typed so far.
        values: values of a field in the data that begin with a prefix.
    """
    if word.field is None:
        fields = [name for name in FIELDS if name.startswith(word.prefix)]
        return [name + (">=" if FIELDS[name][0] == "number" else ":") for name in fields]
    kind = FIELDS.get(word.field, ("", ""))[0]
    fixed: Sequence[str] = ()
    if kind == "truth":
        fixed = tuple(TRUTH_VALUES)
    elif kind == "choice":
        fixed = tuple(HAS) if word.field == "has" else FINISH_REASONS
    elif kind in ("text", "prefix", "number"):
        fixed = [quote_value(value) for value in values(word.field, word.prefix)]
    return [value for value in fixed if value.lstrip('"').startswith(word.prefix)]


def complete_word(text: str, cursor: int, word: WordAtCursor, found: Sequence[str]) -> tuple[str, int]:
    """Return the text with the word completed as far as the candidates agree, and the new cursor position."""
    if not found:
        return text, cursor
    common = os.path.commonprefix(list(found))  # noqa: RUF071 - characters are what is meant
    if len(common.lstrip('"')) < len(word.prefix):
        return text, cursor
    return text[: word.start] + common + text[cursor:], word.start + len(common)
