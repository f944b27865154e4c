"""Hostile text made fit for cells: what a string looks like on screen, and how wide that is.

Everything a model, a log or a recipe wrote goes through `shown` (or `escaped`) before it reaches a
widget, and reaches it as segments or `Content`, never as markup.
"""

from functools import lru_cache
from typing import Final

from rich.cells import cell_len, get_character_cell_size
from textual.content import Content

from pipelines.text_safety import picture_controls

ELLIPSIS: Final = "…"

# Joiners and variation selectors make the width of a cluster differ from the sum of its parts, and terminals
# disagree by how much. They are invisible anyway; the escaped view shows them.
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
    """The text as printed: controls, bidi marks and other invisible characters become visible ones.

    Not of equal length: joiners and variation selectors are left out. Map offsets before calling this.
    """
    pictured = picture_controls(text)
    return pictured if pictured.isascii() else pictured.translate(_DISPLAY)


def escaped(text: str) -> str:
    """The text with everything that is not plainly visible spelt as a Python escape."""
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


def one_line(text: str, limit: int = 2000) -> str:
    """The first part of a text as one printable line; newlines become pictures."""
    return shown(text[:limit])


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Text that is already printable, cut (with an ellipsis) or padded to exactly `width` cells."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        text = crop(text, width - 1) + ELLIPSIS
        length = cell_len(text)
    pad = " " * (width - length)
    return pad + text if right else text + pad


def crop(text: str, width: int) -> str:
    """The longest beginning of a printable text that takes at most `width` cells."""
    if text.isascii():
        return text[:width]
    taken = 0
    for position, char in enumerate(text):
        taken += get_character_cell_size(char)
        if taken > width:
            return text[:position]
    return text


def plain(text: str, style: str = "") -> Content:
    """Content that shows a hostile text as it is: no markup, no control codes."""
    printable = "\n".join(shown(line) for line in text.split("\n"))
    content = Content(printable, strip_control_codes=False)
    return content.stylize(style) if style else content
