"""Values of a `result.json` as the text of table cells; a missing value is a dash, never 0."""

from collections.abc import Callable
from typing import Any, Final

MISSING: Final = "–"


def figure_text(value: Any) -> str:
    """Format a number with three decimals."""
    return f"{value:.3f}" if is_number(value) else MISSING


def count_text(value: Any) -> str:
    """Format a whole number with thousands separators."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else MISSING


def percent_text(value: Any) -> str:
    """Format a share from 0 to 1 as per cent."""
    return f"{100 * value:.1f} %" if is_number(value) else MISSING


def interval_text(low: Any, high: Any, shown: Callable[[Any], str]) -> str:
    """Format both ends of an interval; `shown` formats one."""
    if not (is_number(low) and is_number(high)):
        return MISSING
    return f"{shown(low).removesuffix(' %')}–{shown(high)}"


def is_number(value: Any) -> bool:
    """Whether a value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
