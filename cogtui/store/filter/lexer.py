"""Splitting a filter into tokens with their offsets."""

import re
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from pipelines.errors import InvalidInput

TokenKind = Literal["word", "quoted", "operator", "arrow", "open", "close", "comma", "end"]

_SPACE: Final = re.compile(r"\s+")
_TOKEN: Final = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<arrow>->)
      | (?P<operator><=|>=|!=|[:=<>])
      | (?P<open>\()
      | (?P<close>\))
      | (?P<comma>,)
      | (?P<word>(?:(?!->)[^\s()<>=!:,"]|!(?!=))+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FilterToken:
    """A token of a filter."""

    kind: TokenKind
    text: str
    """The text without quotes and escapes."""
    start: int
    end: int
    glued: bool
    """Whether there is no blank before it."""


class FilterError(InvalidInput):
    """A text is not a valid filter.

    Attributes:
        start, end: half-open range of the error in the text, in code points.
        message: what is wrong, without the text.
    """

    def __init__(self, text: str, start: int, end: int, message: str, remedy: str = "") -> None:
        end = max(end, start + 1)
        one_line = text.replace("\n", " ").replace("\t", " ")
        super().__init__(
            f"the filter cannot be read: {message}",
            detail=f"{one_line}\n{' ' * start}{'^' * (end - start)}",
            remedy=remedy,
        )
        self.start = start
        self.end = end
        self.message = message


def tokenize(text: str) -> list[FilterToken]:
    """Return the tokens of a filter, ending with one of kind `end`.

    Raises:
        FilterError: a character cannot start a token, or a quote is not closed.
    """
    tokens = []
    position = 0
    glued = True
    while position < len(text):
        space = _SPACE.match(text, position)
        if space:
            position = space.end()
            glued = False
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            _no_token(text, position)
        tokens.append(_token(match, glued))
        position = match.end()
        glued = True
    tokens.append(FilterToken("end", "", len(text), len(text), False))
    return tokens


def _token(match: re.Match[str], glued: bool) -> FilterToken:
    kinds: tuple[TokenKind, ...] = ("quoted", "arrow", "operator", "open", "close", "comma", "word")
    kind = next(kind for kind in kinds if match[kind] is not None)
    text = match[0]
    if kind == "quoted":
        text = _ESCAPE.sub(r"\1", text[1:-1])
    return FilterToken(kind, text, match.start(), match.end(), glued)


def _no_token(text: str, position: int) -> NoReturn:
    if text[position] == '"':
        raise FilterError(text, position, len(text), "the quote is not closed", 'Add a " at its end.')
    raise FilterError(text, position, position + 1, f"{text[position]!r} has no meaning here")
