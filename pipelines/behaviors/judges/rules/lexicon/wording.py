"""Helpers for writing lexicons as lists of alternatives."""

import re


def any_of(*patterns: str) -> str:
    """Return a group that matches any of the patterns, the first one preferred."""
    return f"(?:{'|'.join(patterns)})"


def words_of(text: str) -> frozenset[str]:
    """Return the set of words of a text."""
    return frozenset(re.split(r"\s+", text.strip()))


def compiled(*patterns: str) -> re.Pattern[str]:
    """Return a compiled pattern that matches any of the patterns."""
    return re.compile("|".join(patterns))
