"""Make hostile text safe to display without moving an offset: each code point becomes one code point."""

from functools import cache
from typing import Final

_BIDI: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_INVISIBLE: Final = "\u200b\u2028\u2029\u2060\ufeff"


@cache
def _table(keep: str) -> dict[int, str]:
    table = {code: chr(0x2400 + code) for code in range(0x20)}  # U+2400..: pictures of the C0 controls
    table[0x7F] = "\u2421"
    table.update(dict.fromkeys(range(0x80, 0xA0), "\ufffd"))
    table.update({ord(char): "\ufffd" for char in _BIDI + _INVISIBLE})
    for char in keep:
        table.pop(ord(char), None)
    return table


def picture_controls(text: str, keep: str = "") -> str:
    """Replace each control, bidi and invisible character and lone surrogate by one visible character.

    Args:
        text: any text, e.g. a completion or a log line.
        keep: characters to leave as they are, e.g. a newline.

    Returns:
        Text of the same length in code points, safe to write to a terminal.
    """
    pictured = text.translate(_table(keep))
    if pictured.isascii():
        return pictured
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in pictured)


def one_line(text: str, limit: int = 300) -> str:
    """Return a text as one harmless line of at most `limit` characters, runs of whitespace folded to a space."""
    flat = picture_controls(" ".join(text.split()))
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
