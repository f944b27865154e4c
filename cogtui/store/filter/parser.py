"""Parsing the filter language of the command line and the app (docs/traces.md).

Recursive descent over:

    or      = and ("OR" and)*
    and     = not ("AND"? not)*
    not     = "NOT" not | "(" or ")" | pattern | comparison
    pattern = behaviour "->" behaviour (("<" | "<=") whole number)?
    comparison = field operator value ("," value)*
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

from cogtui.store.columns import FieldKind
from cogtui.store.filter.ast import (
    FIELDS,
    FINISH_REASONS,
    HAS,
    TRUTH_VALUES,
    Conjunction,
    Disjunction,
    FieldComparison,
    HasFlag,
    NegatedTerm,
    Operator,
    SpanPattern,
    Term,
    TextPhrase,
)
from cogtui.store.filter.lexer import FilterError, FilterToken, TokenKind, tokenize
from pipelines.behaviors.sets.registered import BEHAVIORS, SET_OF
from pipelines.records import Behavior

MAX_DEPTH: Final = 100
MAX_TERMS: Final = 400
"""SQLite refuses expressions deeper than 1,000, and a chain of OR is as deep as it has terms."""
_ORDERED: Final = ("<", "<=", ">", ">=")
_KEYWORDS: Final = ("OR", "AND", "NOT")


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    text: str = ""
    """The text as typed."""
    term: Term | None = None
    """The syntax tree; None matches every rollout."""

    def __and__(self, other: Filter) -> Filter:
        """Return the filter that matches what both match."""
        if self.term is None or other.term is None:
            return other if self.term is None else self
        return Filter(f"({self.text}) ({other.text})", Conjunction((self.term, other.term)))


EVERYTHING: Final = Filter()


def parse(text: str) -> Filter:
    """Parse a filter; an empty text matches every rollout.

    Raises:
        FilterError: the text is not a filter; the detail shows it with a caret under the error.
    """
    parser = _FilterParser(text)
    if parser.at("end"):
        return Filter(text)
    term = parser.any_of()
    if not parser.at("end"):
        unopened = parser.at("close")
        raise parser.fail(parser.token, "this parenthesis was never opened" if unopened else "a term was expected")
    return Filter(text, term)


class _FilterParser:
    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        self._index = 0
        self._depth = 0
        self._terms = 0

    @property
    def token(self) -> FilterToken:
        return self._tokens[self._index]

    def next(self) -> FilterToken:
        token = self.token
        if token.kind != "end":
            self._index += 1
        return token

    def at(self, kind: TokenKind) -> bool:
        return self.token.kind == kind

    def fail(self, at: FilterToken, message: str, remedy: str = "") -> FilterError:
        """Return the error to raise for a token."""
        return FilterError(self.text, at.start, at.end, message, remedy)

    def any_of(self) -> Term:
        terms = [self.all_of()]
        while self._keyword("OR"):
            self.next()
            terms.append(self.all_of())
        return terms[0] if len(terms) == 1 else Disjunction(tuple(terms))

    def all_of(self) -> Term:
        terms = [self.negated()]
        while True:
            if self._keyword("AND"):
                self.next()
            elif self.token.kind in ("end", "close") or self._keyword("OR"):
                break
            terms.append(self.negated())
        return terms[0] if len(terms) == 1 else Conjunction(tuple(terms))

    def negated(self) -> Term:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.fail(self.token, f"more than {MAX_DEPTH} terms inside each other")
        try:
            if self._keyword("NOT"):
                self.next()
                return NegatedTerm(self.negated())
            if self.at("open"):
                return self._group()
            return self._leaf()
        finally:
            self._depth -= 1

    def _group(self) -> Term:
        opening = self.next()
        if self.at("close"):
            raise self.fail(self.token, "there is nothing between these parentheses")
        term = self.any_of()
        if not self.at("close"):
            raise self.fail(opening, "this parenthesis is never closed", "Add a ) where the group ends.")
        self.next()
        return term

    def _keyword(self, word: str) -> bool:
        return self.at("word") and self.token.text == word

    def _leaf(self) -> Term:
        name = self.token
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self.fail(name, f"more than {MAX_TERMS} terms", "Leave some out, or select rows outside with --json.")
        if name.kind == "end":
            raise self.fail(name, "a term is missing here")
        if name.kind == "quoted":
            raise self.fail(name, "a quoted text needs a field", f'Search completions with text:"{name.text}".')
        if name.kind != "word" or name.text in _KEYWORDS:
            raise self.fail(name, "a field was expected here")
        self.next()
        if self.at("arrow"):
            return self._pattern(name)
        field = name.text
        if field not in FIELDS:
            raise self.fail(name, f"there is no field {field!r}", self._hint(name))
        operator = self.token
        if operator.kind != "operator":
            raise self.fail(name, f"{field} needs a value", f"Write {_example(field)}.")
        self.next()
        return self._comparison(name, cast("Operator", operator.text), operator)

    def _hint(self, name: FilterToken) -> str:
        if self.token.kind not in ("operator", "arrow"):
            return f'Search completions with text:"{name.text}".'
        near = difflib.get_close_matches(name.text, FIELDS, n=1, cutoff=0.5)
        return f"Did you mean {near[0]}?" if near else f"Fields: {', '.join(FIELDS)}."

    def _pattern(self, first: FilterToken) -> SpanPattern:
        self.next()
        second = self.token
        behaviors = [self._behavior(first), self._behavior(second)]
        if SET_OF[behaviors[0]] is not SET_OF[behaviors[1]]:
            raise self.fail(
                second,
                f"{behaviors[0]} and {behaviors[1]} belong to different behaviour sets",
                f"Behaviours of {SET_OF[behaviors[0]].name}: {', '.join(SET_OF[behaviors[0]].names)}.",
            )
        self.next()
        operator = self.token
        if operator.kind != "operator" or not operator.glued:
            return SpanPattern(behaviors[0], behaviors[1], None)
        self.next()
        if operator.text not in ("<", "<="):
            raise self.fail(operator, "a distance is bounded with < or <=", "Write verification->backtracking<80.")
        limit = self.token
        if limit.kind != "word" or not limit.text.isdecimal() or len(limit.text) > 15:
            raise self.fail(limit, "a number of characters was expected here")
        self.next()
        return SpanPattern(behaviors[0], behaviors[1], int(limit.text) + (operator.text == "<="))

    def _behavior(self, token: FilterToken) -> Behavior:
        for behavior in BEHAVIORS:
            if token.kind == "word" and token.text == behavior:
                return behavior
        near = difflib.get_close_matches(token.text, BEHAVIORS, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Behaviours: {', '.join(BEHAVIORS)}."
        raise self.fail(token, "a pattern stands between two behaviours", remedy)

    def _comparison(self, name: FilterToken, operator: Operator, at: FilterToken) -> Term:
        kind, _ = FIELDS[name.text]
        if operator in _ORDERED and kind != "number":
            raise self.fail(at, f"{name.text} has no order", f"Write {_example(name.text)}.")
        if operator == "!=":
            return NegatedTerm(self._comparison(name, "=", at))
        tokens = [self._value(name)]
        while self.at("comma"):
            comma = self.next()
            if operator in _ORDERED or kind == "words":
                raise self.fail(comma, "one value is enough here")
            tokens.append(self._value(name))
        if kind == "words":
            return self._words(name.text, tokens[0])
        if name.text == "has":
            found: Iterable[Term] = [HasFlag(self._choice(token, HAS)) for token in tokens]
            terms = tuple(found)
            return terms[0] if len(terms) == 1 else Disjunction(terms)
        read = self._reader(kind)
        return FieldComparison(name.text, operator, tuple(read(token) for token in tokens))

    def _value(self, name: FilterToken) -> FilterToken:
        value = self.token
        if value.kind not in ("word", "quoted"):
            place = name if value.kind == "end" else value
            raise self.fail(place, f"the value of {name.text} is missing", f"Write {_example(name.text)}.")
        self.next()
        while value.kind == "word" and self._continues():  # judge:openai:gpt-4o needs no quotes
            colon, rest = self.next(), self.next()
            value = FilterToken("word", value.text + colon.text + rest.text, value.start, rest.end, value.glued)
        return value

    def _continues(self) -> bool:
        if self.at("end"):
            return False
        colon, rest = self._tokens[self._index : self._index + 2]
        return colon.text == ":" and colon.glued and rest.kind == "word" and rest.glued

    def _reader(self, kind: FieldKind) -> Callable[[FilterToken], str | float | bool]:
        if kind == "number":
            return self._number
        if kind == "truth":
            return lambda token: TRUTH_VALUES[self._choice(token, TRUTH_VALUES)]
        if kind == "choice":
            return lambda token: self._choice(token, FINISH_REASONS)
        return lambda token: token.text

    def _number(self, token: FilterToken) -> float:
        try:
            value = float(token.text) if token.text.isascii() and "_" not in token.text else float("nan")
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e18:
            raise self.fail(token, f"{token.text!r} is not a number")
        return int(value) if value == int(value) else value

    def _choice(self, token: FilterToken, choices: Iterable[str]) -> str:
        if token.text in choices:
            return token.text
        near = difflib.get_close_matches(token.text, choices, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"One of: {', '.join(choices)}."
        raise self.fail(token, f"{token.text!r} is not one of the values", remedy)

    def _words(self, field: str, token: FilterToken) -> Term:
        if field == "note":
            return FieldComparison("note", ":", (token.text,))
        phrase = token.text.removesuffix("*")
        if not any(char.isalnum() for char in phrase):
            raise self.fail(token, "there is no word or number in it", "Only words and numbers are indexed.")
        return TextPhrase(phrase, prefix=phrase != token.text)


_EXAMPLES: Final[dict[str, str]] = {
    "number": "{field}>=2",
    "truth": "{field}:true",
    "words": '{field}:"try a different"',
    "prefix": "{field}:3f2a",
    "text": "{field}:NAME",
    "condition": "condition:all_strategies",
    "has": "has:unaligned",
    "finish": "finish:length",
}


def _example(field: str) -> str:
    return (_EXAMPLES.get(field) or _EXAMPLES[FIELDS[field][0]]).format(field=field)
