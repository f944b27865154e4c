"""Untrusted text made safe for terminal cells: what it looks like on screen, and how wide that is.

Everything that a model, a log or a recipe wrote passes through `shown` or `escaped` before it reaches a widget, and
reaches it as segments, never as markup.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, get_character_cell_size

from pipelines.text_safety import picture_controls

ELLIPSIS: Final = "…"

# Joiners and variation selectors make the width of a cluster differ from the sum of its characters, and terminals
# disagree on it. They are invisible anyway; the escaped view shows them.
_DROPPED: Final = {0x200C: "", 0x200D: "", **dict.fromkeys(range(0xFE00, 0xFE10), "")}
_INVISIBLE: Final = {
    0xAD: "\u2010",
    **dict.fromkeys((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFFA0), "\ufffd"),
    **dict.fromkeys((*range(0x2061, 0x2066), *range(0x206A, 0x2070), *range(0xFFF9, 0xFFFC)), "\ufffd"),
    **dict.fromkeys((*range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)), "\ufffd"),
    **dict.fromkeys(range(0xE0000, 0xE01F0), "\ufffd"),
}
_DISPLAY: Final = {**_DROPPED, **_INVISIBLE}

_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def shown(text: str) -> str:
    """Return the text with controls, bidi marks and other invisible characters replaced by visible ones.

    The length may differ, because joiners and variation selectors are left out: map offsets before calling this.
    """
    pictured = picture_controls(text)
    return pictured if pictured.isascii() else pictured.translate(_DISPLAY)


def escaped(text: str) -> str:
    """Return the text with everything that is not plainly visible as a Python escape."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_escape(char) for char in text)


@lru_cache(4096)
def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable() and ord(char) not in _DISPLAY and get_character_cell_size(char) > 0:
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def printable_line(text: str, limit: int = 2000) -> str:
    """Return the first part of a text as one printable line; newlines become visible symbols."""
    return shown(text[:limit])


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cut a printable text with an ellipsis, or pad it, to exactly `width` cells."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        text = crop(text, width - 1) + ELLIPSIS
        length = cell_len(text)
    pad = " " * (width - length)
    return pad + text if right else text + pad


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Abbreviate printable names to at most `width` cells, different ones differently where the width allows it.

    A name is cut where that tells it from those before; else the parts between underscores are cut (`priming_data` to
    "pr_d"), else its inner vowels go.
    """
    found: dict[str, str] = {}
    for name in names:
        first, _, rest = name.partition("_")
        parts = [crop(first, width - 1 - k) + "_" + crop(rest, k) for k in range(1, width - 1)] if rest else []
        candidates = [crop(name, width).rstrip("_"), *parts, crop(name[:1] + re.sub("[aeiou]", "", name[1:]), width)]
        taken = set(found.values())
        found[name] = found.get(name) or next((text for text in candidates if text not in taken), candidates[0])
    return [found[name] for name in names]


def cut_middle(text: str, width: int, *, end: int = 7) -> str:
    """Cut a text that is wider than `width` in its middle, so that its last `end` characters stay."""
    if cell_len(text) <= width or width < 2 * end:
        return text
    tail = text[-end:]
    return crop(text, width - 1 - cell_len(tail)) + ELLIPSIS + tail


def crop(text: str, width: int) -> str:
    """Return the longest prefix of a printable text that takes at most `width` cells."""
    if text.isascii():
        return text[:width]
    taken = 0
    for position, char in enumerate(text):
        taken += get_character_cell_size(char)
        if taken > width:
            return text[:position]
    return text
