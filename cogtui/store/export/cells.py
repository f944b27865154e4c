"""Cells of CSV files, which people open in spreadsheets."""

import re
from typing import Any, Final

from pipelines.text_safety import picture_controls

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters by which Excel, LibreOffice or Google Sheets take a cell for a formula, as OWASP lists them."""
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def safe_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula and no terminal obeys.

    A text that begins like a formula gets an apostrophe in front; control characters except line breaks become visible
    ones. Numbers, also written as text, stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = picture_controls(value, keep="\n\r\t")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text) else text
