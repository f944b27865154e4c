"""Small helpers to write lexicons as lists of alternatives."""

import re

TARGET_WORDS = r"(?:target|goal|objective)"


def any_of(*patterns: str) -> str:
    """A group that matches any of the patterns, first come first served."""
    return f"(?:{'|'.join(patterns)})"


def words_of(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(re.split(r"\s+", text.strip()))


def compiled(*patterns: str) -> re.Pattern[str]:
    """A compiled pattern that matches any of the patterns."""
    return re.compile("|".join(patterns))
